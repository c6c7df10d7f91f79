"""Merging the detections of augmented views of an image, masks included."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models import DetTTAModel
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo_lite.ops.nms import batched_nms
from mmyolo_lite.ops.run_length_masks import RunLengthMasks
from mmyolo_lite.ops.run_lengths import mirrored
from mmyolo_lite.registry import MODELS

_FLIPPED_AXES = {'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}


@MODELS.register_module()
class YOLOTTAModel(DetTTAModel):
    """mmdet's wrapper, which merges boxes alone, for models that predict masks too.

    Boxes and masks of mirrored views are mirrored back in the original image, all views are put
    together with their scores as they are, and one suppression, class by class, chooses. An object
    keeps the mask of the view that its box comes from (spec: predict.md 5).

    Args:
        module: config of the detector.
        tta_cfg: ``nms``, a dict with ``iou_threshold`` and perhaps ``class_agnostic``, and
            ``max_per_img``.
    """

    tta_cfg: Any

    def _merge_single_sample(self, data_samples: list[DetDataSample]) -> DetDataSample:
        found: list[Any] = [sample.pred_instances for sample in data_samples]
        if 'masks' not in found[0]:
            return super()._merge_single_sample(data_samples)
        metas = [sample.metainfo for sample in data_samples]
        boxes, scores = self.merge_aug_bboxes(
            [one.bboxes for one in found], [one.scores for one in found], metas
        )
        labels = torch.cat([one.labels for one in found])
        kept = batched_nms(
            boxes,
            scores,
            labels,
            self.tta_cfg['nms'].get('iou_threshold', 0.6),
            self.tta_cfg['nms'].get('class_agnostic', False),
        )[: self.tta_cfg.get('max_per_img', 300)]
        result = data_samples[0]
        result.pred_instances = InstanceData(
            bboxes=boxes[kept],
            scores=scores[kept],
            labels=labels[kept],
            masks=_chosen_masks([one.masks for one in found], metas, kept),
        )
        return result


def _chosen_masks(
    views: Sequence[Any], metas: Sequence[dict], chosen: Tensor
) -> RunLengthMasks | Tensor:
    """Return the masks of some objects in the original image.

    Args:
        views: of each view, n masks, all of them run-length masks or all tensors (n, H, W).
        metas: of each view, ``flip`` and ``flip_direction``.
        chosen: (m,) int64, places among the objects of all views.
    """
    directions = [meta['flip_direction'] if meta.get('flip') else None for meta in metas]
    if isinstance(views[0], Tensor):
        turned = [
            masks.flip(_FLIPPED_AXES[direction]) if direction else masks
            for masks, direction in zip(views, directions, strict=True)
        ]
        return torch.cat(turned)[chosen]
    every = [
        (mask, direction)
        for masks, direction in zip(views, directions, strict=True)
        for mask in masks
    ]
    picked = (every[place] for place in chosen.tolist())
    return RunLengthMasks(
        (mirrored(mask, direction) if direction else mask for mask, direction in picked),
        views[0].size_hw,
    )
