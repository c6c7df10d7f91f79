"""The network as it is exported: a module from images to decoded outputs, and to final detections.

Letters: B images, P priors, C classes, m mask channels, n selected (image, class, prior) triples, K
detections an image, H W input pixels, h w prototype pixels.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from mmcv.cnn import fuse_conv_bn
from torch import Tensor, nn
from torchvision.ops import nms

from mmyolo_lite.models.heads.head_modules import flatten_levels

NO_LABEL = -1
"""Label of the rows behind the last detection of an image."""
_NO_SCORE = -2.0
"""Below every threshold: a score is at least 0, and a threshold of -1 lets all pass."""


class Suppression(NamedTuple):
    """How detections are chosen; fields of a ``test_cfg`` (spec: predict.md 1).

    Attributes:
        score_thr: candidates have a score above it, strict.
        iou_thr: a box goes if its IoU with a kept one of its class is above it, strict.
        most: detections of an image, at most.
        min_box_size: sides of boxes are above it in input pixels, strict; -1 is off.
        multi_label: a prior may give several classes.
    """

    score_thr: float
    iou_thr: float
    most: int
    min_box_size: float = -1
    multi_label: bool = True


Select = Callable[[Tensor, Tensor, Suppression], Tensor]
"""boxes (B, P, 4), scores (B, C, P), settings -> (n, 3) int64 of image, class and prior, those of
one image and class by descending score."""


def switch_to_deploy(network: nn.Module) -> nn.Module:
    """Fold the batch norms of a network into its convolutions, in place.

    Outputs are the same but for rounding, about 1e-5 of a score.

    Args:
        network: in evaluation mode.

    Returns:
        `network`.
    """
    return fuse_conv_bn(network)


class DecodedNetwork(nn.Module):
    """A detector from images to decoded outputs of all priors.

    Args:
        network: a ``YOLODetector`` in evaluation mode.
        input_hw: (H, W) where it is fixed: priors become constants.
        half: run the network in float16; outputs are computed in float32.

    Shape:
        (B, 3, H, W) float32, channels and range as the preprocessor gives them -> boxes (B, P, 4)
        xyxy in input pixels, scores (B, P, C) in [0, 1], and with masks coefficients (B, P, m),
        times objectness, and prototypes (B, m, h, w).
    """

    def __init__(
        self, network: Any, input_hw: tuple[int, int] | None = None, half: bool = False
    ) -> None:
        super().__init__()
        self.backbone = network.backbone
        self.neck = network.neck
        self.head = network.bbox_head
        self.half_precision = half
        self.input_hw = input_hw
        if half:
            for part in (self.backbone, self.neck, self.head.head_module):
                part.half()
        bases = [level.float().cpu() for level in self.head.prior_generator.base_anchors]
        for number, base in enumerate(bases):
            self.register_buffer(f'base_{number}', base, persistent=False)

    @property
    def has_masks(self) -> bool:
        """The network has mask coefficients and prototypes."""
        return hasattr(self.head.head_module, 'mask_channels')

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the decoded outputs; for shapes see the class."""
        maps = self._maps(images)
        num = self.head.num_base_priors
        objectness = flatten_levels(maps[2], num).sigmoid()
        # a score is never above its objectness, so that the threshold of scores serves both
        scores = flatten_levels(maps[0], num).sigmoid() * objectness
        priors, strides = self._priors(maps[0])
        boxes = self.head.bbox_coder.decode(priors, flatten_levels(maps[1], num), strides)
        if not self.has_masks:
            return boxes, scores
        return boxes, scores, flatten_levels(maps[3], num) * objectness, maps[4]

    def _maps(self, images: Tensor) -> list[Any]:
        """Return the raw maps in float32: lists over the levels, and the prototypes."""
        feats = self.neck(self.backbone(images.half() if self.half_precision else images))
        return [
            [level.float() for level in output] if isinstance(output, list) else output.float()
            for output in self.head.head_module(feats)
        ]

    def _priors(self, level_maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return priors (P, 4) xyxy and strides (P,), in pixels."""
        strides = self.head.featmap_strides
        if self.input_hw is not None:
            sizes = [(self.input_hw[0] // stride, self.input_hw[1] // stride) for stride in strides]
        else:
            sizes = [(level.shape[-2], level.shape[-1]) for level in level_maps]
        priors, steps = [], []
        for number, ((height, width), stride) in enumerate(zip(sizes, strides, strict=True)):
            base = getattr(self, f'base_{number}')
            x = torch.arange(width, device=base.device).float() * stride
            y = torch.arange(height, device=base.device).float() * stride
            x, y = x[None, :].expand(height, width), y[:, None].expand(height, width)
            corners = torch.stack((x, y, x, y), dim=-1).reshape(-1, 1, 4)
            level = (corners + base).reshape(-1, 4)
            priors.append(level)
            steps.append(torch.full_like(level[:, 0], float(stride)))
        return torch.cat(priors), torch.cat(steps)


class FinalNetwork(nn.Module):
    """A detector from images to final detections.

    Args:
        decoded: the network up to the decoded outputs.
        settings: how detections are chosen.
        select: non-maximum suppression, in the operators of the format.

    Shape:
        (B, 3, H, W) -> boxes (B, K, 4) xyxy in input pixels, scores (B, K), labels (B, K) int64,
        num_dets (B,) int64, and with masks (B, K, h, w), probabilities. K is the largest of
        num_dets, but at least 1; rows of an image by descending score, those from its num_dets on
        are zero with label -1. Masks are zero outside of their box but for the pixels around that
        interpolation to input pixels takes.
    """

    def __init__(self, decoded: DecodedNetwork, settings: Suppression, select: Select) -> None:
        super().__init__()
        self.decoded = decoded
        self.settings = settings
        self.select = select

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the detections; for shapes see the class."""
        boxes, scores, *masks = self.decoded(images)
        candidates = self._candidates(boxes, scores)
        chosen = self.select(boxes, candidates.transpose(1, 2), self.settings)
        values, labels, priors = _best_of_each_image(candidates, chosen, self.settings.most)
        valid = values > _NO_SCORE
        num_dets = valid.long().sum(dim=1)
        index = priors[..., None]
        found = torch.gather(boxes, 1, index.expand(-1, -1, 4)) * valid[..., None]
        outputs = (
            found,
            torch.where(valid, values, torch.zeros_like(values)),
            torch.where(valid, labels, torch.full_like(labels, NO_LABEL)),
            num_dets,
        )
        if not masks:
            return outputs
        coefficients, prototypes = masks
        coefficients = torch.gather(coefficients, 1, index.expand(-1, -1, coefficients.shape[2]))
        image_hw = (images.shape[2], images.shape[3])
        return *outputs, cropped_masks(coefficients, prototypes, found, valid, image_hw)

    def _candidates(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """Return the scores (B, P, C) with those that no threshold may pass taken out."""
        out = torch.full_like(scores, _NO_SCORE)
        if not self.settings.multi_label and scores.shape[2] > 1:
            best = scores.argmax(dim=2, keepdim=True)
            classes = torch.arange(scores.shape[2], device=scores.device)
            scores = torch.where(classes == best, scores, out)
        if self.settings.min_box_size >= 0:
            sides = boxes[..., 2:] - boxes[..., :2]
            large = sides.amin(dim=2, keepdim=True) > self.settings.min_box_size
            scores = torch.where(large, scores, out)
        return scores


def _best_of_each_image(scores: Tensor, chosen: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sort the selected triples into rows of images.

    Args:
        scores: (B, P, C).
        chosen: (n, 3) of image, class and prior.
        most: detections of an image, at most.

    Returns:
        (B, K) scores descending, with :data:`_NO_SCORE` behind the last of an image, (B, K) labels,
        (B, K) priors.
    """
    image, label, prior = chosen[:, 0], chosen[:, 1], chosen[:, 2]
    place = (image * scores.shape[1] + prior) * scores.shape[2] + label
    values = scores.reshape(-1)[place]
    images = torch.arange(scores.shape[0], device=scores.device)
    table = torch.where(
        image[None] == images[:, None], values[None], torch.full_like(values[None], _NO_SCORE)
    )
    # a column of none: no axis has the length 0, which some runtimes cannot take
    none = torch.full_like(scores[:, 0, :1], _NO_SCORE)
    values, order = torch.cat((table, none), dim=1).sort(dim=1, descending=True)
    values, order = values[:, :most], order[:, :most]
    counts = (values > _NO_SCORE).long().sum(dim=1)
    longest = counts.max().clamp(min=1)
    values, order = values[:, :longest], order[:, :longest]
    nothing = torch.zeros_like(images[:1])
    label, prior = torch.cat((label, nothing)), torch.cat((prior, nothing))
    return values, label[order], prior[order]


def cropped_masks(
    coefficients: Tensor,
    prototypes: Tensor,
    boxes: Tensor,
    valid: Tensor,
    input_hw: tuple[Any, Any],
) -> Tensor:
    """Assemble masks at prototype size, and set what no pixel of the box takes to zero.

    Interpolated to input pixels and cut at the box there, they are exact: a box keeps the prototype
    pixels that bilinear interpolation of its pixels takes, up to one and a half around it.

    Args:
        coefficients: (B, K, m).
        prototypes: (B, m, h, w).
        boxes: (B, K, 4) xyxy input pixels.
        valid: (B, K) bool; others have no mask.
        input_hw: (H, W).

    Returns:
        (B, K, h, w) probabilities.
    """
    height, width = prototypes.shape[2], prototypes.shape[3]
    masks = torch.matmul(coefficients, prototypes.flatten(2)).sigmoid()
    masks = masks.reshape(prototypes.shape[0], -1, height, width)
    columns = _window(boxes[..., 0], boxes[..., 2], width, input_hw[1])
    rows = _window(boxes[..., 1], boxes[..., 3], height, input_hw[0])
    window = rows[..., :, None] * columns[..., None, :] * valid[..., None, None].float()
    return masks * window


def _window(start: Tensor, stop: Tensor, size: Any, input_size: Any) -> Tensor:
    """Return (B, K, size) of 1 and 0: the prototype pixels of one axis that input pixels from start
    to stop (B, K) take.
    """
    step = _as_float(input_size, start) / _as_float(size, start)
    pixels = torch.arange(size, device=start.device).float()
    first = ((start + 0.5) / step - 1.5)[..., None]
    last = ((stop + 0.5) / step + 0.5)[..., None]
    return ((pixels > first) & (pixels < last)).float()


def _as_float(size: Any, like: Tensor) -> Tensor | float:
    """Return a length, which tracing may have made a tensor, for a division in float."""
    return size.to(like.dtype) if isinstance(size, Tensor) else float(size)


def select_by_torchvision(boxes: Tensor, scores: Tensor, settings: Suppression) -> Tensor:
    """Select with PyTorch's operators and ``torchvision::nms``, all images and classes in one call;
    for arguments and shapes see :data:`Select`.
    """
    image, label, prior = (scores > settings.score_thr).nonzero().unbind(dim=1)
    values = scores[image, label, prior]
    order = values.argsort(descending=True)
    image, label, prior, values = image[order], label[order], prior[order], values[order]
    candidates = boxes[image, prior].double()
    # classes and images are moved apart; the zero keeps the reductions from an empty tensor
    ends = torch.cat((candidates.reshape(-1), torch.zeros_like(boxes[0, 0]).double()))
    step = ends.max() - ends.min() + 1
    shift = (image * scores.shape[1] + label).double() * step
    kept = nms(candidates + shift[:, None], values.double(), settings.iou_thr)
    return torch.stack((image[kept], label[kept], prior[kept]), dim=1)


class _OnnxNms(torch.autograd.Function):
    """Selection as one ONNX operator, ``NonMaxSuppression``."""

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, settings: Suppression) -> Tensor:
        """Select as PyTorch does, while the graph is traced."""
        return select_by_torchvision(boxes, scores, settings)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, settings: Suppression) -> Any:
        """Return the operator; its boxes may be any two opposite corners."""
        constants = (
            torch.tensor([settings.most], dtype=torch.long),
            torch.tensor([settings.iou_thr]),
            torch.tensor([settings.score_thr]),
        )
        values = [g.op('Constant', value_t=constant) for constant in constants]
        chosen = g.op('NonMaxSuppression', boxes, scores, *values)
        return chosen.setType(boxes.type().with_dtype(torch.long).with_sizes([None, 3]))


def select_by_onnx(boxes: Tensor, scores: Tensor, settings: Suppression) -> Tensor:
    """Select with ONNX's operator; for arguments and shapes see :data:`Select`. No class needs more
    than the detections that an image may have.
    """
    return _OnnxNms.apply(boxes, scores, settings)
