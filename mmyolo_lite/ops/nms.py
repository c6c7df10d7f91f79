"""Class-wise non-maximum suppression (spec: predict.md 4)."""

import torch
from torch import Tensor
from torchvision.ops import nms


def batched_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    iou_threshold: float,
    class_agnostic: bool = False,
) -> Tensor:
    """Greedy suppression inside each class.

    Boxes of different classes are moved apart in float64, where the shift costs no precision, so
    one call serves all classes, and negative coordinates do no harm.

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
    shifted = boxes.double()
    if not class_agnostic:
        low = shifted.min()
        shifted = shifted - low + labels[:, None] * (shifted.max() - low + 1)
    # sorted here, because torchvision does not promise the order of equal scores
    order = scores.argsort(descending=True, stable=True)
    rank = torch.arange(len(order), 0, -1, dtype=torch.float64, device=boxes.device)
    kept = nms(shifted[order], rank, iou_threshold)
    return order[kept]
