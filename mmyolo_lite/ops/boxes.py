"""Box formats and box geometry. Boxes are float, corners continuous: a width is x2 - x1."""

import torch
from torch import Tensor


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """Turn corners x1, y1, x2, y2 (..., 4) into centre and size cx, cy, w, h (..., 4), in the same
    unit; undone by :func:`cxcywh_to_xyxy`.
    """
    top_left, bottom_right = boxes[..., :2], boxes[..., 2:]
    return torch.cat(((top_left + bottom_right) / 2, bottom_right - top_left), dim=-1)


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Turn centre and size cx, cy, w, h (..., 4) into corners x1, y1, x2, y2 (..., 4), in the same
    unit; undone by :func:`xyxy_to_cxcywh`.
    """
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def clip_boxes(boxes: Tensor, shape_hw: tuple[int, int]) -> Tensor:
    """Clip xyxy boxes (..., 4) to an image of `shape_hw` pixels; returns a new tensor."""
    height, width = shape_hw
    limit = boxes.new_tensor((width, height, width, height))
    return torch.minimum(boxes.clamp(min=0), limit)


def pairwise_iof(boxes: Tensor, regions: Tensor) -> Tensor:
    """Return intersection over the area of the first box.

    Args:
        boxes: (P, 4) xyxy, of positive area.
        regions: (M, 4) xyxy in the same unit.

    Returns:
        (P, M) in [0, 1].
    """
    top_left = torch.maximum(boxes[:, None, :2], regions[None, :, :2])
    bottom_right = torch.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    overlap = (bottom_right - top_left).clamp(min=0).prod(dim=-1)
    return overlap / (boxes[:, 2:] - boxes[:, :2]).prod(dim=-1)[:, None].clamp(min=1e-6)
