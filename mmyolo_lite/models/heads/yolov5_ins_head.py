"""The instance-segmentation head: the detection head plus masks (spec: loss.md 5, predict.md 3).

Letters: B images, L levels, K mask channels, N objects of the batch, P positives of all levels, n
detections.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo_lite.errors import DataError
from mmyolo_lite.models.heads.head_modules import split_attributes
from mmyolo_lite.models.heads.predict_mixin import ImageOfBatch
from mmyolo_lite.models.heads.results import input_size, measured_letterbox, suppress
from mmyolo_lite.models.heads.yolov5_head import YOLOv5Head
from mmyolo_lite.ops.assign import Positives, merge_neighbours, split_neighbours
from mmyolo_lite.ops.boxes import clip_boxes
from mmyolo_lite.ops.mask_loss import (
    TargetMasks,
    mask_loss_per_candidate,
    mask_loss_per_positive,
    resize_target_masks,
)
from mmyolo_lite.ops.masks import MaskSettings, encode_masks, paste_masks
from mmyolo_lite.registry import MODELS


@MODELS.register_module()
class YOLOv5InsHead(YOLOv5Head):
    """Instance-segmentation head.

    Args:
        args: those of :class:`YOLOv5Head`.
        mask_overlap: training masks are index maps, one per image, in place of one mask per object;
            must agree with ``Polygon2Mask.mask_overlap`` of the pipeline.
        loss_mask: loss of a mask pixel, without reduction.
        loss_mask_weight: weight of the mask loss.
        kwargs: those of :class:`YOLOv5Head`; ``test_cfg`` also takes ``mask_thr_binary``,
            ``fast_test`` and ``masks_as_rle``, which gives run-length masks in place of an array.
    """

    def __init__(
        self,
        *args: Any,
        mask_overlap: bool = True,
        loss_mask: dict | None = None,
        loss_mask_weight: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.mask_overlap = mask_overlap
        self.loss_mask_weight = loss_mask_weight
        self.loss_mask = MODELS.build(
            loss_mask
            or {'type': 'mmdet.CrossEntropyLoss', 'use_sigmoid': True, 'reduction': 'none'}
        )

    def loss_terms(
        self, maps: Sequence[Any], batch: dict, targets: Tensor, positives: list[Positives]
    ) -> dict[str, Tensor]:
        """Return the scaled terms of the detection head, and ``loss_mask``, each of shape (1,).

        Args:
            maps: as in the detection head, with L levels of coefficients and the prototypes
                (B, K, Hm, Wm) behind.
            batch: the dict of the data preprocessor, with masks.
            targets: as in the detection head.
            positives: L.
        """
        losses = super().loss_terms(maps, batch, targets, positives)
        loss_mask = self.mask_terms(maps, batch, targets, positives).sum().reshape(1)
        losses['loss_mask'] = loss_mask * self.loss_mask_weight * get_world_size()
        return losses

    def mask_terms(
        self, maps: Sequence[Any], batch: dict, targets: Tensor, positives: list[Positives]
    ) -> Tensor:
        """Return (L, B): for each level and image the mean over its positives, before weighting.

        Arguments as in :meth:`loss_terms`.

        Raises:
            DataError: the batch has no masks, or of another form than the head.
        """
        prototypes = maps[4]
        num_images = prototypes.shape[0]
        if not any(map(len, positives)):
            # keeps the prototype branch in the graph, so that every parameter has a gradient for
            # every batch
            return (prototypes.float().sum() * 0).expand(len(positives), num_images)
        masks = resize_target_masks(
            self._target_masks(batch, targets, num_images), prototypes.shape[-2:]
        )
        wanted = TargetMasks(masks, targets, self.mask_overlap)
        coefficients = [
            found.gather(split_attributes(level_map, self.num_base_priors))
            for found, level_map in zip(positives, maps[3], strict=True)
        ]
        valid = [found.valid for found in positives if found.valid is not None]
        if not valid:
            target_index = torch.cat([found.target for found in positives])
            values = mask_loss_per_positive(
                torch.cat(coefficients), prototypes, target_index, wanted, self.loss_mask
            )
            weights = torch.ones_like(values)
        else:
            values = self._candidate_values(coefficients, valid, prototypes, wanted)
            weights = torch.cat(valid).to(values)
        # one slot for each (level, image)
        slot = torch.cat(
            [level * num_images + found.image for level, found in enumerate(positives)]
        )
        totals = values.new_zeros(len(positives) * num_images)
        counts = totals.index_add(0, slot, weights).clamp(min=1)
        means = totals.index_add(0, slot, values * weights) / counts
        return means.view(len(positives), num_images)

    def _candidate_values(
        self,
        coefficients: list[Tensor],
        valid: list[Tensor],
        prototypes: Tensor,
        wanted: TargetMasks,
    ) -> Tensor:
        """Return the mask loss of all candidates of all levels, level by level.

        Args:
            coefficients: for each level (P, K).
            valid: for each level (P,) bool.
            prototypes: (B, K, Hm, Wm).
            wanted: the masks to learn.
        """
        # what depends on the cell alone is computed once for a cell
        merges = self.near_neighbor_thr <= 0.5
        shape = (-1, self.num_base_priors, len(wanted.targets))  # codes, A, N
        valid = [flags.view(shape) for flags in valid]
        levels = [rows.view(*shape, rows.shape[-1]) for rows in coefficients]
        if merges:
            levels = list(map(merge_neighbours, levels, valid))
        slots = torch.stack(levels)  # (L, codes, A, N, K)
        values = mask_loss_per_candidate(
            slots.flatten(0, 2).transpose(0, 1), prototypes, wanted, self.loss_mask
        )
        split = values.T.reshape(slots.shape[:-1])
        if merges:
            split = torch.stack(list(map(split_neighbours, split, valid)))
        return split.flatten()

    def _target_masks(self, batch: dict, targets: Tensor, num_images: int) -> Tensor:
        masks = batch.get('masks')
        if masks is None:
            raise DataError(
                'The training batch has no masks. The training pipeline needs LoadAnnotations with '
                'with_mask=True and Polygon2Mask; the annotations need polygons.'
            )
        expected = num_images if self.mask_overlap else len(targets)
        if len(masks) != expected:
            raise DataError(
                f'The batch has {len(masks)} mask maps where {expected} are expected. '
                'Polygon2Mask.mask_overlap in the training pipeline and '
                f'model.bbox_head.mask_overlap ({self.mask_overlap}) must agree.'
            )
        return masks

    def _add_outputs(
        self, result: InstanceData, image: ImageOfBatch, index: Tensor, objectness: Tensor
    ) -> None:
        """Add the mask coefficients times objectness."""
        result.coeffs = self._rows(image, 3, index) * objectness[:, None]

    def _finish(self, result: InstanceData, image: ImageOfBatch) -> InstanceData:
        """Suppress in network pixels, build the masks, then map boxes to the original image.

        The result has ``masks``, (n, H0, W0) bool or run-length masks, and ``coeffs`` (n, K)
        already times objectness.
        """
        maps, number, meta, cfg, rescale, with_nms = image
        result = suppress(result, cfg, with_nms)
        batch_h, batch_w = meta['batch_input_shape'][:2]
        input_hw = input_size(meta) if rescale else (batch_h, batch_w)
        proto_h, proto_w = maps[4].shape[-2:]
        prototypes = maps[4][
            number, :, : input_hw[0] * proto_h // batch_h, : input_hw[1] * proto_w // batch_w
        ]
        letterbox = measured_letterbox(meta) if rescale else None
        settings = MaskSettings(
            input_hw, letterbox, cfg.get('mask_thr_binary', 0.5), cfg.get('fast_test', False)
        )
        build = encode_masks if cfg.get('masks_as_rle', False) else paste_masks
        result.masks = build(result.coeffs, prototypes, result.bboxes, settings)
        if letterbox is not None:
            result.bboxes = letterbox.to_original(result.bboxes)
        result.bboxes = clip_boxes(
            result.bboxes, letterbox.ori_hw if letterbox is not None else input_hw
        )
        return result
