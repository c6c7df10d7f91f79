"""The training half of the heads: targets to positives, positives to loss terms (spec: loss.md).

Letters: B images, L levels, A priors per cell, C classes, N objects of the batch, P positives of a
level.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.dist import get_world_size
from torch import Tensor

from mmyolo_lite.errors import DataError
from mmyolo_lite.models.heads.divisors import Divisors, batch_divisors
from mmyolo_lite.models.heads.head_modules import split_attributes
from mmyolo_lite.models.targets import pack_samples
from mmyolo_lite.ops.assign import (
    Positives,
    assign_levels,
    cells_outside,
    normalize_targets,
    scatter_last,
)


class LossMixin:
    """Losses of a detection head; a head with more outputs adds its terms in :meth:`loss_terms`."""

    # what the head holds
    anchors: Tensor
    priors: Any
    loss_cls: Any
    loss_obj: Any
    loss_bbox: Any
    num_classes: int
    num_base_priors: int
    prior_match_thr: float
    near_neighbor_thr: float
    ignore_iof_thr: float
    obj_level_weights: tuple[float, ...]

    # whether positives come as a fixed number of candidates, which an accelerator need not count
    # for the host; None: everywhere but on a CPU, where counting is free and padding is not
    padded_positives: bool | None = None

    def loss(
        self, feats: Sequence[Tensor], batch: dict | Sequence[DetDataSample]
    ) -> dict[str, Tensor]:
        """Return the losses of a batch, each of shape (1,); the batch is not changed.

        Args:
            feats: L maps of the neck, (B, channels, h, w) each, the finest first.
            batch: the dict of the data preprocessor, or a list of data samples.

        Raises:
            DataError: a label or a mask does not fit the head.
        """
        maps = self.forward(feats)
        if not isinstance(batch, dict):
            batch = pack_samples(batch, feats[0].device)
        return self.loss_by_feat(maps, batch)

    def loss_by_feat(self, maps: Sequence[Any], batch: dict) -> dict[str, Tensor]:
        """Return the losses of raw head maps (spec: loss.md 3).

        Args:
            maps: class, box and objectness maps, each a list over the levels, and what the head
                adds to them.
            batch: ``bboxes_labels`` (N, 6) rows ``[image, class, x1, y1, x2, y2]`` in input pixels,
                ``img_metas``, and what the head needs beside them.
        """
        input_hw = tuple(batch['img_metas'][0]['batch_input_shape'])
        targets = normalize_targets(batch['bboxes_labels'], input_hw)
        # all arithmetic in float32: under autocast only the maps are of lower precision
        padded = self.padded_positives
        with torch.autocast(targets.device.type, enabled=False):
            positives = assign_levels(
                targets,
                self.anchors,
                [level_map.shape[-2:] for level_map in maps[2]],
                self.prior_match_thr,
                self.near_neighbor_thr,
                targets.device.type != 'cpu' if padded is None else padded,
            )
            return self.loss_terms(maps, batch, targets, positives)

    def loss_terms(
        self, maps: Sequence[Any], batch: dict, targets: Tensor, positives: list[Positives]
    ) -> dict[str, Tensor]:
        """Return the scaled terms for given positives (spec: loss.md 3.5), each of shape (1,).

        Args:
            maps: of :meth:`forward`: classes, boxes and objectness of L levels first.
            batch: the dict of the data preprocessor.
            targets: what the positives index, see :func:`mmyolo_lite.ops.assign.assign_levels`.
            positives: L.
        """
        flags = self._kept_cells(maps[2], batch)
        weights = [self._weights(found, flag) for found, flag in zip(positives, flags, strict=True)]
        divisors = batch_divisors(positives, weights, flags, maps[2], self.ignore_iof_thr != -1)
        levels = [
            self._level_terms(level, maps[0][level], maps[1][level], maps[2][level], *of_level)
            for level, of_level in enumerate(zip(positives, weights, flags, divisors, strict=True))
        ]
        scale = maps[2][0].shape[0] * get_world_size()
        cls, obj, bbox = (
            torch.stack(terms).sum().reshape(1) * scale for terms in zip(*levels, strict=True)
        )
        return {'loss_cls': cls, 'loss_obj': obj, 'loss_bbox': bbox}

    def _level_terms(
        self,
        level: int,
        cls_map: Tensor,
        bbox_map: Tensor,
        obj_map: Tensor,
        positives: Positives,
        weight: Tensor | None,
        kept: Tensor | None,
        divisors: Divisors,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return class, objectness and box loss of one level, each a scalar."""
        objectness = obj_map.float()
        if len(positives):
            loss_bbox, iou = self._box_term(level, bbox_map, positives, weight, divisors)
            target = scatter_last(iou.detach().clamp(min=0), positives, objectness.shape)
        else:
            loss_bbox, target = _connected_zero(bbox_map), torch.zeros_like(objectness)
        if len(positives) and self.num_classes > 1:
            loss_cls = self._class_term(cls_map, positives, weight, divisors)
        else:
            loss_cls = _connected_zero(cls_map)
        weighting = _weighting(kept, divisors.cells)
        loss_obj = self.loss_obj(objectness, target, **weighting) * self.obj_level_weights[level]
        return loss_cls, loss_obj, loss_bbox

    def _weights(self, positives: Positives, kept: Tensor | None) -> Tensor | None:
        """Return (P,) float weights of the positives, or None if all count alike."""
        weight = None if positives.valid is None else positives.valid.float()
        if kept is None:
            return weight
        in_kept_cell = positives.gather(kept[..., None])[:, 0]
        return in_kept_cell if weight is None else weight * in_kept_cell

    def _box_term(
        self,
        level: int,
        bbox_map: Tensor,
        positives: Positives,
        weight: Tensor | None,
        divisors: Divisors,
    ) -> tuple[Tensor, Tensor]:
        """Return the box loss and the (P,) IoU of the positives."""
        logits = positives.gather(split_attributes(bbox_map, self.num_base_priors)).float()
        activated = 2 * logits.sigmoid()
        size = activated[:, 2:] ** 2 * self.anchors[level][positives.prior]
        pred = torch.cat((activated[:, :2] - 0.5, size), dim=1)
        return self.loss_bbox(pred, positives.box, **_weighting(weight, divisors.positives))

    def _class_term(
        self, cls_map: Tensor, positives: Positives, weight: Tensor | None, divisors: Divisors
    ) -> Tensor:
        """Return the class loss.

        Where regions are ignored it is divided by the number of positives, not of positives times
        classes, as MMYOLO does in this case (spec: loss.md 6).
        """
        logits = positives.gather(split_attributes(cls_map, self.num_base_priors)).float()
        classes = torch.arange(self.num_classes, device=logits.device)
        # looking at the labels' range, as one_hot does, an accelerator's host would have to wait
        if positives.valid is None and int(positives.label.max()) >= self.num_classes:
            raise DataError(
                f'The batch has the label {int(positives.label.max())}, but the head has '
                f'{self.num_classes} classes: set num_classes of the head to the number of classes '
                'of the data set.'
            )
        target = (positives.label[:, None] == classes).to(logits)
        weights = None if weight is None else weight[:, None].expand_as(logits)
        divisor = divisors.positives
        if divisor is not None and not divisors.ignoring:
            divisor = divisor * self.num_classes
        return self.loss_cls(logits, target, **_weighting(weights, divisor))

    def _kept_cells(self, obj_maps: Sequence[Tensor], batch: dict) -> list[Tensor | None]:
        """Return for each level the cells that no ignored region covers, or None where nothing is
        ignored.
        """
        ignored = batch.get('ignored')
        if self.ignore_iof_thr == -1 or ignored is None or not len(ignored):
            return [None] * len(obj_maps)
        priors = self.priors.levels([m.shape[-2:] for m in obj_maps], torch.float32, ignored.device)
        return [
            cells_outside(ignored, boxes, obj_map.shape, self.ignore_iof_thr)
            for obj_map, boxes in zip(obj_maps, priors, strict=True)
        ]

    def forward(self, feats: Sequence[Tensor]) -> tuple[Any, ...]:
        """Return the raw maps; the head's."""
        raise NotImplementedError


def _weighting(weight: Tensor | None, divisor: Tensor | None) -> dict[str, Tensor]:
    """Return the arguments of a loss that weight its values and divide their sum, if not None."""
    given = {'weight': weight, 'avg_factor': divisor}
    return {name: value for name, value in given.items() if value is not None}


def _connected_zero(level_map: Tensor) -> Tensor:
    """Return a scalar zero that keeps a map in the graph, so that every parameter has a gradient;
    float32, since sums of half-precision maps overflow.
    """
    return level_map.float().sum() * 0
