"""Class-wise non-maximum suppression (spec: predict.md 4)."""

import torch
from torch import Tensor
from torchvision.ops import nms

BY_CLASS_FROM = 1500
"""From so many boxes on, a CPU takes one class after another: there the time of a call grows with
the square of its boxes, those of other classes included."""


def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    iou_threshold: float,
    class_agnostic: bool = False,
) -> Tensor:
    """Greedy suppression inside each class.

    Boxes of different classes are moved apart in float64, where the shift costs no precision, so
    one call serves all classes, and negative coordinates do no harm. Many boxes on a CPU go class
    by class, with the same result.

    Args:
        boxes: (n, 4) xyxy.
        scores: (n,); equal scores keep their order.
        labels: (n,) int64 >= 0.
        iou_threshold: a box goes if its IoU with a kept one is above this, strict; boxes without
            area always stay.
        class_agnostic: let all classes compete.

    Returns:
        (m,) int64 indices of the kept boxes, by descending score.
    """
    if not len(boxes):
        return labels.new_zeros(0)
    if boxes.device.type == 'mps':  # which knows no float64
        kept = batched_nms(boxes.cpu(), scores.cpu(), labels.cpu(), iou_threshold, class_agnostic)
        return kept.to(boxes.device)
    # sorted here, because torchvision does not promise the order of equal scores
    order = scores.argsort(descending=True, stable=True)
    rank = torch.arange(len(order), 0, -1, dtype=torch.float64, device=boxes.device)
    sorted_boxes, labels = boxes.double()[order], labels[order]
    if class_agnostic:
        return order[nms(sorted_boxes, rank, iou_threshold)]
    if boxes.device.type == 'cpu' and len(order) >= BY_CLASS_FROM:
        members = labels.argsort(stable=True).split(labels.bincount().tolist())
        kept = torch.cat(
            [m[nms(sorted_boxes[m], rank[m], iou_threshold)] for m in members if len(m)]
        )
        return order[kept.sort().values]
    low = sorted_boxes.min()
    shifted = sorted_boxes - low + labels[:, None] * (sorted_boxes.max() - low + 1)
    return order[nms(shifted, rank, iou_threshold)]
