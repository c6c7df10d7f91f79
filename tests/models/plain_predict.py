"""Prediction as spec: predict.md 2 and 4 describe it: every prior is decoded, then filtered;
classes are suppressed one after another. What "times faster" refers to. And head maps to try it on.

Letters: L levels, A priors per cell, C classes, P priors, n detections.
"""

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import torch
from mmengine.structures import InstanceData
from torch import Tensor
from torchvision.ops import nms

from mmyolo_lite.models.heads.head_modules import flatten_levels

CFG = {
    'multi_label': True,
    'score_thr': 0.001,
    'nms_pre': 30000,
    'max_per_img': 300,
    'nms': {'type': 'nms', 'iou_threshold': 0.65},
}
"""Settings of prediction, those of the shipped configs for COCO."""


def plain_candidates(head: Any, maps: Sequence[Any], cfg: dict) -> InstanceData:
    """Decode all priors of the first image and take the sigmoid of all its logits, then filter.

    Args:
        head: gives priors and box code.
        maps: class, box and objectness maps, and mask coefficients if there are any.
        cfg: ``score_thr``, above 0, and ``nms_pre``; several classes of a prior count.

    Returns:
        By descending score ``scores, labels, bboxes`` in network pixels, and ``coeffs`` times
        objectness.
    """
    sizes, device = [level.shape[-2:] for level in maps[0]], maps[0][0].device
    flat = [flatten_levels(levels, head.num_base_priors)[0].float() for levels in maps[:4]]
    classes, objectness = flat[0].sigmoid(), flat[2][:, 0].sigmoid()
    priors = head.prior_generator.grid_priors(sizes, dtype=torch.float32, device=device)
    strides = [
        level.new_full((len(level),), stride)
        for level, stride in zip(priors, head.featmap_strides, strict=True)
    ]
    boxes = head.bbox_coder.decode(torch.cat(priors), flat[1], torch.cat(strides))
    rows = objectness > cfg['score_thr']
    scores = classes[rows] * objectness[rows, None]
    row, label = (scores > cfg['score_thr']).nonzero(as_tuple=True)
    order = scores[row, label].argsort(descending=True, stable=True)[: cfg['nms_pre']]
    row, label = row[order], label[order]
    found = InstanceData(scores=scores[row, label], labels=label, bboxes=boxes[rows][row])
    if len(flat) > 3:
        found.coeffs = (flat[3] * objectness[:, None])[rows][row]
    return found


def plain_nms(boxes: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Suppress class by class.

    Args:
        boxes: (n, 4) xyxy, by descending score.
        labels: (n,).
        iou_threshold: strict.

    Returns:
        (m,) int64 indices of the kept boxes, by descending score.
    """
    kept = [labels.new_zeros(0)]
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        # the place stands for the score, so that equal scores keep their order
        kept.append(members[nms(boxes[members].double(), -members.double(), iou_threshold)])
    return torch.cat(kept).sort().values


def plain_predict(head: Any, maps: Sequence[Any], cfg: dict) -> InstanceData:
    """Return the candidates of :func:`plain_candidates` that stay, at most ``max_per_img``."""
    found = plain_candidates(head, maps, cfg)
    kept = plain_nms(found.bboxes, found.labels, cfg['nms']['iou_threshold'])
    return found[kept[: cfg['max_per_img']]]


def difference(found: InstanceData, plain: InstanceData) -> float:
    """Return the largest difference of scores and boxes of two results; infinite if they do not
    hold the same labels in the same order.

    It is not always 0: vector units of a CPU round the last elements of an array otherwise.
    """
    if not torch.equal(found.labels, plain.labels):
        return float('inf')
    parts = [(found[name] - plain[name]).abs().flatten() for name in ('scores', 'bboxes')]
    return float(torch.cat(parts).max()) if len(plain.labels) else 0.0


def count_work(head: Any, run: Callable[[], Any]) -> dict[str, int]:
    """Return how many sigmoids `run` takes and how many boxes it has the head's code decode."""
    counts = {'sigmoids': 0, 'boxes': 0}
    sigmoid, decode = torch.Tensor.sigmoid, head.bbox_coder.decode

    def counted_sigmoid(logits: Tensor) -> Tensor:
        counts['sigmoids'] += logits.numel()
        return sigmoid(logits)

    def counted_decode(priors: Tensor, logits: Tensor, stride: Tensor) -> Tensor:
        counts['boxes'] += len(logits)
        return decode(priors, logits, stride)

    with (
        mock.patch.object(torch.Tensor, 'sigmoid', counted_sigmoid),
        mock.patch.object(head.bbox_coder, 'decode', counted_decode),
    ):
        run()
    return counts


def crowded_maps(objects: int, num_classes: int, side: int, device: str = 'cpu') -> list[Any]:
    """Return class, box and objectness maps of an image like those of a trained network: nothing
    in most cells, and about ten confident priors around each object.

    Args:
        objects: in the image.
        num_classes: C.
        side: of the square network input, in pixels.
        device: of the maps.

    Returns:
        For strides 8, 16 and 32 (1, 3 * C, h, w), (1, 3 * 4, h, w), (1, 3, h, w).
    """
    generator = torch.Generator().manual_seed(objects)
    maps: list[list[Tensor]] = [[], [], []]
    large, middle = objects // 10, objects * 3 // 10
    counts = (objects - middle - large, middle, large)
    for stride, count in zip((8, 16, 32), counts, strict=True):
        cells = side // stride
        classes, boxes, objectness = (
            torch.randn((3, size, cells, cells), generator=generator)
            for size in (num_classes, 4, 1)
        )
        near, likely = torch.zeros_like(objectness), torch.zeros_like(classes)
        centres = torch.randint(0, cells, (count, 2), generator=generator).tolist()
        labels = torch.randint(0, num_classes, (count,), generator=generator).tolist()
        for (row, column), label in zip(centres, labels, strict=True):
            around = (slice(None), slice(row, row + 2), slice(column, column + 2))
            near[:, 0][around] = 1
            likely[:, label][around] = 1
        logits = (classes - 7 + 8 * likely, boxes / 4, objectness - 12 + 10 * near)
        for kind, level_map in zip(maps, logits, strict=True):
            kind.append(level_map.flatten(0, 1)[None].to(device))
    return maps
