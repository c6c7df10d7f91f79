"""What a predicted instance is explained by: scalars of the raw head maps, with gradient.

Letters: A priors per cell, K mask channels, P priors, m pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mmyolo_lite.models.heads.head_modules import gather_priors

HeadMaps = list[Any]
"""Of one image: class, box and objectness maps, each a list over the levels of (1, A*D, h, w), and
for masks coefficients likewise and prototypes (1, K, h, w)."""


class RawHead(nn.Module):
    """A detector up to its raw head maps, one entry for each image of a batch, all copies of one
    image: what no change of the layers under study reaches is computed once.

    Args:
        network: the detector.
        image: (1, 3, H, W).
        start: ``'backbone'``, ``'neck'``, or ``'out_layers'`` of the neck: the first part that is
            computed each time.
        keep_prototypes: with ``'out_layers'``, compute prototypes once as well; right for layers
            other than the finest.
    """

    def __init__(
        self, network: Any, image: Tensor, start: str, keep_prototypes: bool = False
    ) -> None:
        super().__init__()
        self.network: Any = network
        self.start = start
        with torch.no_grad():
            kept = [image] if start == 'backbone' else network.backbone(image)
            kept = network.neck(kept) if start == 'out_layers' else kept
            self._prototypes: Tensor | None = None
            if start == 'out_layers' and keep_prototypes:
                self._prototypes = network.bbox_head.head_module.proto_pred(kept[0])
        # parameters may be frozen; gradients end here
        self._kept = [part.detach().clone().requires_grad_() for part in kept]

    def forward(self, images: Tensor) -> list[HeadMaps]:
        """Return the head maps of (b, 3, H, W), copies of the image."""
        maps = [part.expand(len(images), -1, -1, -1) for part in self._kept]
        neck, head = self.network.neck, self.network.bbox_head
        if self.start == 'out_layers':
            maps = [layer(part) for layer, part in zip(neck.out_layers, maps, strict=True)]
        else:
            maps = neck(self.network.backbone(maps[0]) if self.start == 'backbone' else maps)
        if self._prototypes is None:
            outputs = head(maps)
        else:
            prototypes = self._prototypes.expand(len(images), -1, -1, -1)
            outputs = [*head.head_module.prior_maps(maps), prototypes]
        return [[_of_image(part, number) for part in outputs] for number in range(len(images))]


def _of_image(part: Any, number: int) -> Any:
    if isinstance(part, Tensor):
        return part[number : number + 1]
    return [level[number : number + 1] for level in part]


@dataclass(frozen=True)
class Origin:
    """Where an instance came from.

    Attributes:
        prior: number of its prior among all of its image.
        level: of that prior, 0 the finest.
        label: its class.
        pixels: (m,) int64, its pixels in the flattened prototypes; empty without masks.
        num_base_priors: A.
    """

    prior: int
    level: int
    label: int
    num_base_priors: int
    pixels: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))


def level_of(prior: int, level_maps: Sequence[Tensor], num_base_priors: int) -> int:
    """Return the level of a prior, counted over all levels; maps of one output (b, channels, h, w),
    the finest first, tell the sizes.
    """
    end = 0
    for level, level_map in enumerate(level_maps):
        end += level_map.shape[-2] * level_map.shape[-1] * num_base_priors
        if prior < end:
            return level
    raise IndexError(f'there are {end} priors, none with the number {prior}')


def mask_pixels(coefficients: Tensor, prototypes: Tensor, box: Tensor) -> Tensor:
    """Return the numbers (m,) of the prototype pixels in an instance's mask: logit above 0 and
    centre in its box; all in the box, should the mask be empty.

    Args:
        coefficients: (K,).
        prototypes: (K, h, w).
        box: (4,) xyxy in prototype pixels.
    """
    height, width = prototypes.shape[-2:]
    x1, y1, x2, y2 = box.unbind()
    columns = torch.arange(width, device=box.device) + 0.5
    rows = torch.arange(height, device=box.device)[:, None] + 0.5
    inside = (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
    logits = (coefficients @ prototypes.flatten(1)).view(height, width)
    mask = (logits > 0) & inside
    return (mask if mask.any() else inside).flatten().nonzero()[:, 0]


def target_of(kind: str, origin: Origin) -> Callable[[HeadMaps], Tensor]:
    """Return the scalar of an instance that a kind of target names.

    Args:
        kind: ``'class'``, logit of its class; ``'objectness'``, its logit; ``'box'``, half the
            squared length of its four box logits, which are 0 where the box is its prior's;
            ``'mask'``, sum of its mask logits over the pixels of its mask.
        origin: the instance's.
    """

    def logits(maps: HeadMaps, output: int) -> Tensor:
        index = torch.tensor([origin.prior], device=maps[0][0].device)
        return gather_priors(maps[output], origin.num_base_priors, 0, index)[0]

    def value(maps: HeadMaps) -> Tensor:
        if kind == 'class':
            return logits(maps, 0)[origin.label]
        if kind == 'objectness':
            return logits(maps, 2)[0]
        if kind == 'box':
            return logits(maps, 1).square().sum() / 2
        prototypes = maps[4][0].flatten(1)[:, origin.pixels].float()
        return (logits(maps, 3) @ prototypes).sum()

    def with_all_maps(maps: HeadMaps) -> Tensor:
        # a zero gradient, in place of none, for layers that the value does not hang on
        rest = sum(
            part.sum()
            for parts in maps
            for part in ([parts] if isinstance(parts, Tensor) else parts)
        )
        return value(maps) + 0.0 * rest

    return with_all_maps
