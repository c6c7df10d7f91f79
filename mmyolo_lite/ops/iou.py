"""IoU of box pairs and its variants for losses (spec: loss.md 4)."""

import math

import torch
from torch import Tensor

from mmyolo_lite.ops.boxes import cxcywh_to_xyxy

IOU_MODES = ('iou', 'giou', 'ciou', 'siou')


def bbox_overlaps(
    pred: Tensor, target: Tensor, mode: str = 'ciou', bbox_format: str = 'xywh', eps: float = 1e-7
) -> Tensor:
    """Return the IoU variant of each pair of boxes.

    Args:
        pred: (..., 4) boxes; gradients flow through it.
        target: (..., 4) boxes in the same unit.
        mode: 'iou', 'giou' (https://arxiv.org/abs/1902.09630), 'ciou'
            (https://arxiv.org/abs/1911.08287) or 'siou' (https://arxiv.org/abs/2205.12740).
        bbox_format: 'xywh' (centre and size) or 'xyxy' (corners).
        eps: keeps divisions finite.

    Returns:
        (...,) values, at most 1; 'iou' in [0, 1], the others in [-1, 1].
    """
    if bbox_format == 'xywh':
        pred, target = cxcywh_to_xyxy(pred), cxcywh_to_xyxy(target)
    wh1, wh2 = pred[..., 2:] - pred[..., :2], target[..., 2:] - target[..., :2]
    overlap_wh = torch.minimum(pred[..., 2:], target[..., 2:]) - torch.maximum(
        pred[..., :2], target[..., :2]
    )
    intersection = overlap_wh.clamp(min=0).prod(dim=-1)
    union = wh1.prod(dim=-1) + wh2.prod(dim=-1) - intersection + eps
    iou = intersection / union
    if mode == 'iou':
        return iou.clamp(0, 1)

    enclosing_wh = torch.maximum(pred[..., 2:], target[..., 2:]) - torch.minimum(
        pred[..., :2], target[..., :2]
    )
    enclosing_wh = enclosing_wh.clamp(min=0)
    if mode == 'giou':
        enclosing = enclosing_wh.prod(dim=-1) + eps
        return (iou - (enclosing - union) / enclosing).clamp(-1, 1)
    offset = (target[..., :2] + target[..., 2:] - pred[..., :2] - pred[..., 2:]) / 2
    if mode == 'ciou':
        return (iou - _ciou_penalty(iou, wh1, wh2, enclosing_wh, offset, eps)).clamp(-1, 1)
    return (iou - _siou_penalty(wh1, wh2, enclosing_wh, offset, eps)).clamp(-1, 1)


def _ciou_penalty(
    iou: Tensor, wh1: Tensor, wh2: Tensor, enclosing_wh: Tensor, offset: Tensor, eps: float
) -> Tensor:
    """Distance of the centres plus difference of the aspect ratios; no gradient through the
    trade-off.
    """
    distance = offset.square().sum(dim=-1) / (enclosing_wh.square().sum(dim=-1) + eps)
    angle1 = torch.atan(wh1[..., 0] / (wh1[..., 1] + eps))
    angle2 = torch.atan(wh2[..., 0] / (wh2[..., 1] + eps))
    aspect = 4 / math.pi**2 * (angle2 - angle1) ** 2
    with torch.no_grad():
        trade_off = aspect / (aspect - iou + 1 + eps)
    return distance + trade_off * aspect


def _siou_penalty(
    wh1: Tensor, wh2: Tensor, enclosing_wh: Tensor, offset: Tensor, eps: float
) -> Tensor:
    """Angle-aware distance plus shape cost."""
    length = offset.norm(dim=-1) + eps
    sine = (offset.abs() / length[..., None]).clamp(max=1)
    sine = torch.where(sine[..., 1] > math.sqrt(0.5), sine[..., 0], sine[..., 1])
    angle = torch.cos(2 * torch.asin(sine) - math.pi / 2)
    ratio = (offset / (enclosing_wh + eps)) ** 2
    distance = (1 - torch.exp((angle - 2)[..., None] * ratio)).sum(dim=-1)
    change = (wh1 - wh2).abs() / (torch.maximum(wh1, wh2) + eps)
    shape = (1 - torch.exp(-change)).pow(4).sum(dim=-1)
    return (distance + shape) / 2
