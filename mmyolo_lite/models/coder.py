"""Between boxes and the four numbers that the network predicts for a prior (spec: model.md 8)."""

import torch
from mmdet.models.task_modules.coders import BaseBBoxCoder
from torch import Tensor

from mmyolo_lite.ops.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from mmyolo_lite.registry import TASK_UTILS


@TASK_UTILS.register_module()
class YOLOv5BBoxCoder(BaseBBoxCoder):
    """YOLOv5's box code: centres within one stride of the prior's, sizes from 0 to 4 times the
    prior's.

    Law: ``decode(priors, encode(priors, boxes, stride), stride) == boxes`` on the open range.
    """

    def encode(self, priors: Tensor, bboxes: Tensor, stride: Tensor | float) -> Tensor:
        """Return the logits (..., 4) tx, ty, tw, th that decode to `bboxes`.

        Args:
            priors: (..., 4) xyxy pixels.
            bboxes: (..., 4) xyxy pixels, inside the range that the code can reach.
            stride: scalar or (...,) pixels per cell.
        """
        prior, box = xyxy_to_cxcywh(priors), xyxy_to_cxcywh(bboxes)
        step = torch.as_tensor(stride, dtype=box.dtype, device=box.device)[..., None]
        centre = torch.logit(((box[..., :2] - prior[..., :2]) / step + 1) / 2)
        size = torch.logit((box[..., 2:] / prior[..., 2:]).sqrt() / 2)
        return torch.cat((centre, size), dim=-1)

    def decode(self, priors: Tensor, pred_bboxes: Tensor, stride: Tensor | float) -> Tensor:
        """Return the boxes of logits, not clamped.

        Args:
            priors: (..., 4) xyxy pixels.
            pred_bboxes: (..., 4) logits tx, ty, tw, th.
            stride: scalar or (...,) pixels per cell.

        Returns:
            (..., 4) xyxy pixels.
        """
        prior = xyxy_to_cxcywh(priors)
        step = torch.as_tensor(stride, dtype=prior.dtype, device=prior.device)[..., None]
        activated = 2 * pred_bboxes.sigmoid()
        centre = prior[..., :2] + (activated[..., :2] - 1) * step
        size = prior[..., 2:] * activated[..., 2:] ** 2
        return cxcywh_to_xyxy(torch.cat((centre, size), dim=-1))
