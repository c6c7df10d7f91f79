"""Loss modules that configs name; the arithmetic is in ops (spec: loss.md 4)."""

from typing import Any

from torch import Tensor, nn

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops.iou import IOU_MODES, bbox_overlaps
from mmyolo_lite.registry import MODELS

AVG_FACTOR_EPS = 1.1920928955078125e-07
"""Added to `avg_factor`, as mmdet's losses do (float32 machine epsilon)."""


@MODELS.register_module()
class IoULoss(nn.Module):
    """One minus an IoU variant.

    Args:
        iou_mode: 'ciou', 'giou', 'siou' or 'iou'.
        bbox_format: 'xywh' (centre and size) or 'xyxy'.
        eps: see :func:`mmyolo_lite.ops.iou.bbox_overlaps`.
        reduction: 'mean', 'sum' or 'none'.
        loss_weight: multiplies the loss.
        return_iou: return the values beside the loss.

    Raises:
        ConfigError: an unknown mode, format or reduction.
    """

    def __init__(
        self,
        iou_mode: str,
        bbox_format: str = 'xywh',
        eps: float = 1e-7,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        return_iou: bool = True,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ('iou_mode', iou_mode, IOU_MODES),
            ('bbox_format', bbox_format, ('xywh', 'xyxy')),
            ('reduction', reduction, ('mean', 'sum', 'none')),
        ):
            if value not in known:
                raise ConfigError(
                    f'IoULoss: {name} is {value!r}; choose one of {", ".join(known)}.'
                )
        self.iou_mode, self.bbox_format, self.eps = iou_mode, bbox_format, eps
        self.reduction, self.loss_weight, self.return_iou = reduction, loss_weight, return_iou

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Any:
        """Return the loss, and with `return_iou` the pair (loss, values).

        Args:
            pred: (P, 4) boxes.
            target: (P, 4) boxes, same unit.
            weight: (P,) or (P, 4), averaged over its last axis.
            avg_factor: divisor of 'mean' in place of P.
            reduction_override: replaces `reduction` for this call.

        Returns:
            scalar or (P,) loss; (P,) values.
        """
        iou = bbox_overlaps(pred, target, self.iou_mode, self.bbox_format, self.eps)
        loss = 1 - iou
        if weight is not None:
            loss = loss * (weight.mean(dim=-1) if weight.dim() == 2 else weight)
        reduction = reduction_override or self.reduction
        if reduction == 'sum':
            loss = loss.sum()
        elif reduction == 'mean':
            loss = loss.mean() if avg_factor is None else loss.sum() / (avg_factor + AVG_FACTOR_EPS)
        loss = self.loss_weight * loss
        return (loss, iou) if self.return_iou else loss
