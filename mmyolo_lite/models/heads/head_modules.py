"""The prediction layers of YOLOv5: tensors in, tensors out (spec: model.md 6 and 7).

Letters: B images, A priors per cell, C classes, K mask channels, h w map size in cells.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mmyolo_lite.models import blocks
from mmyolo_lite.registry import MODELS

IMAGE_SIZE_OF_PRIOR = 640
OBJECTS_OF_PRIOR = 8
"""The objectness bias expects this many objects in an image of IMAGE_SIZE_OF_PRIOR pixels (Focal
loss, https://arxiv.org/abs/1708.02002 section 3.3)."""


@MODELS.register_module()
class YOLOv5HeadModule(BaseModule):
    """One 1x1 convolution per level, giving box, objectness and class logits.

    Args:
        num_classes: C.
        in_channels: channels of each map before widening, or one number for all.
        widen_factor: scales `in_channels`.
        num_base_priors: A.
        featmap_strides: stride of each map in input pixels.
        init_cfg: mmengine's.

    Shape:
        sequence of (B, c_l, h, w) -> three lists over the levels, all logits: classes (B, A*C, h,
        w), channel a*C + c; boxes tx, ty, tw, th (B, A*4, h, w), channel a*4 + i; objectness (B, A,
        h, w)
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int | Sequence[int],
        widen_factor: float = 1.0,
        num_base_priors: int = 3,
        featmap_strides: Sequence[int] = (8, 16, 32),
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.num_base_priors = num_base_priors
        self.featmap_strides = tuple(featmap_strides)
        if isinstance(in_channels, int):
            in_channels = [in_channels] * len(self.featmap_strides)
        self.in_channels = [blocks.make_divisible(c, widen_factor) for c in in_channels]
        self.convs_pred = nn.ModuleList(
            [nn.Conv2d(c, num_base_priors * self.num_out_attrib, 1) for c in self.in_channels]
        )

    @property
    def num_out_attrib(self) -> int:
        """Numbers predicted per prior."""
        return 5 + self.num_classes

    def init_weights(self) -> None:
        """Give the prediction layers PyTorch's default and shift their biases to the expected
        frequencies.

        Calling it again draws anew; it never shifts twice.
        """
        super().init_weights()
        convolutions = cast(list[nn.Conv2d], list(self.convs_pred))
        for convolution, stride in zip(convolutions, self.featmap_strides, strict=True):
            convolution.reset_parameters()
            bias = cast(Tensor, convolution.bias).data.view(self.num_base_priors, -1)
            bias[:, 4] += math.log(OBJECTS_OF_PRIOR / (IMAGE_SIZE_OF_PRIOR / stride) ** 2)
            bias[:, 5 : 5 + self.num_classes] += math.log(0.6 / (self.num_classes - 0.999999))

    def _level(self, x: Tensor, convolution: nn.Module) -> list[Tensor]:
        """Return the maps of one level: class, box, objectness and what follows them."""
        batch, _, height, width = x.shape
        attributes = convolution(x).view(batch, self.num_base_priors, -1, height, width)
        box, objectness, classes, rest = attributes.split(
            (4, 1, self.num_classes, self.num_out_attrib - 5 - self.num_classes), dim=2
        )
        return [part.flatten(1, 2) for part in (classes, box, objectness, rest)]

    def forward(self, feats: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Predict; for shapes see the class."""
        levels = [
            self._level(x, convolution)
            for x, convolution in zip(feats, self.convs_pred, strict=True)
        ]
        classes, boxes, objectness, _ = map(list, zip(*levels, strict=True))
        return classes, boxes, objectness


class ProtoModule(BaseModule):
    """Prototype masks from the finest map (YOLACT, https://arxiv.org/abs/1904.02689 section 3.1).

    The last unit has SiLU too, so prototypes are at least -0.279.

    Shape:
        (B, in_channels, h, w) -> (B, mask_channels, 2h, 2w)
    """

    def __init__(
        self, in_channels: int, middle_channels: int, mask_channels: int, **cfg: Any
    ) -> None:
        super().__init__()
        self.conv1 = blocks.conv_unit(in_channels, middle_channels, 3, **cfg)
        self.conv2 = blocks.conv_unit(middle_channels, middle_channels, 3, **cfg)
        self.conv3 = blocks.conv_unit(middle_channels, mask_channels, 1, **cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Build prototypes; for shapes see the class."""
        x = F.interpolate(self.conv1(x), scale_factor=2, mode='nearest')
        return self.conv3(self.conv2(x))


@MODELS.register_module()
class YOLOv5InsHeadModule(YOLOv5HeadModule):
    """:class:`YOLOv5HeadModule` with K mask coefficients per prior, and prototypes from the finest
    map.

    Args:
        in_channels: as the parent.
        num_classes: C.
        mask_channels: K, not scaled.
        proto_channels: hidden channels of the prototype branch, scaled by `widen_factor`.
        norm_cfg: batch norm config of the prototype branch.
        act_cfg: activation config of the prototype branch.
        widen_factor: scales `in_channels` and `proto_channels`.
        kwargs: those of :class:`YOLOv5HeadModule`.

    Shape:
        as the parent, then a list over the levels of coefficients (B, A*K, h, w), channel a*K + k,
        raw, and prototypes (B, K, 2*h_0, 2*w_0), at stride 4
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        *,
        num_classes: int,
        mask_channels: int = 32,
        proto_channels: int = 256,
        widen_factor: float = 1.0,
        norm_cfg: dict = blocks.NORM_CFG,
        act_cfg: dict = blocks.ACT_CFG,
        **kwargs: Any,
    ) -> None:
        # needed by num_out_attrib while the parent builds its layers
        self.mask_channels = mask_channels
        super().__init__(num_classes, in_channels, widen_factor, **kwargs)
        self.proto_pred = ProtoModule(
            self.in_channels[0],
            blocks.make_divisible(proto_channels, widen_factor),
            mask_channels,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )

    @property
    def num_out_attrib(self) -> int:
        """Numbers predicted per prior."""
        return 5 + self.num_classes + self.mask_channels

    def prior_maps(self, feats: Sequence[Tensor]) -> list[list[Tensor]]:
        """Return all but the prototypes; for shapes see the class."""
        levels = [
            self._level(x, convolution)
            for x, convolution in zip(feats, self.convs_pred, strict=True)
        ]
        return list(map(list, zip(*levels, strict=True)))

    def forward(self, feats: Sequence[Tensor]) -> tuple[Any, ...]:
        """Predict; for shapes see the class."""
        return (*self.prior_maps(feats), self.proto_pred(feats[0]))


MANY = 0.25
"""The share of an image's priors from which on putting all into order is the quicker way."""


def split_attributes(level_map: Tensor, num_base_priors: int) -> Tensor:
    """Undo the channel packing of one map.

    Args:
        level_map: (B, A*D, h, w), channel a*D + d.
        num_base_priors: A.

    Returns:
        (B, A, h, w, D) view of the same numbers.
    """
    batch, _, height, width = level_map.shape
    return level_map.view(batch, num_base_priors, -1, height, width).permute(0, 1, 3, 4, 2)


def flatten_levels(level_maps: Sequence[Tensor], num_base_priors: int) -> Tensor:
    """Put the maps of all levels into prior order.

    Args:
        level_maps: each (B, A*D, h, w).
        num_base_priors: A.

    Returns:
        (B, P, D), prior index (row * w + column) * A + a inside a level, levels one after another.
    """
    rows = []
    for level_map in level_maps:
        attributes = split_attributes(level_map, num_base_priors).permute(
            0, 2, 3, 1, 4
        )  # (B, h, w, A, D)
        rows.append(attributes.reshape(level_map.shape[0], -1, attributes.shape[-1]))
    return torch.cat(rows, dim=1)


def gather_priors(
    level_maps: Sequence[Tensor], num_base_priors: int, image: int, index: Tensor
) -> Tensor:
    """Return the attributes of some priors of one image: ``flatten_levels(...)[image, index]``
    without putting all the others into order.

    Args:
        level_maps: each (B, A*D, h, w).
        num_base_priors: A.
        image: number in the batch.
        index: (m,) int64 of priors, in any order.

    Returns:
        (m, D), float32.
    """
    found: Tensor | None = None
    start = 0
    total = num_base_priors * sum(level_map.shape[-2:].numel() for level_map in level_maps)
    if len(index) > MANY * total:
        one = [level_map[image : image + 1] for level_map in level_maps]
        return flatten_levels(one, num_base_priors)[0].index_select(0, index).float()
    for level_map in level_maps:
        attributes = split_attributes(level_map, num_base_priors)[image].flatten(1, 2)  # (A, hw, D)
        size = attributes.shape[0] * attributes.shape[1]
        # priors of other levels read any row and are then overwritten: no host has to wait for a
        # count of those of this level
        local = (index - start).clamp(0, size - 1)
        rows = attributes[
            local % num_base_priors, local.div(num_base_priors, rounding_mode='floor')
        ].float()
        found = rows if found is None else torch.where((index >= start)[:, None], rows, found)
        start += size
    assert found is not None, 'there is at least one level'
    return found
