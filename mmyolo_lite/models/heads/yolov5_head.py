"""The detection head of YOLOv5: wiring of targets, losses and post-processing (spec: model.md 9,
loss.md, predict.md).

Letters: B images, L levels, A priors per cell, C classes, N objects of the batch, P positives of
    one level.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.models.heads.head_modules import flatten_levels, split_attributes
from mmyolo_lite.models.heads.results import recorded_letterbox, suppress
from mmyolo_lite.models.priors import PriorCache
from mmyolo_lite.models.targets import pack_samples
from mmyolo_lite.ops.assign import (
    Positives,
    assign_level,
    cells_outside,
    normalize_targets,
    scatter_last,
)
from mmyolo_lite.ops.boxes import clip_boxes
from mmyolo_lite.ops.postprocess import filter_candidates
from mmyolo_lite.registry import MODELS, TASK_UTILS

COCO_ANCHORS = [
    [(10, 13), (16, 30), (33, 23)],
    [(30, 61), (62, 45), (59, 119)],
    [(116, 90), (156, 198), (373, 326)],
]
BCE = {'type': 'mmdet.CrossEntropyLoss', 'use_sigmoid': True, 'reduction': 'mean'}


@MODELS.register_module()
class YOLOv5Head(BaseModule):
    """Detection head.

    Args:
        head_module: config of the prediction layers.
        prior_generator: config of the priors; base sizes are (width, height) in input pixels.
        bbox_coder: config of the box code.
        loss_cls: classification loss.
        loss_bbox: box loss; must return the IoU beside the loss.
        loss_obj: objectness loss.
        prior_match_thr: an object fits a prior if no side differs by this factor or more.
        near_neighbor_thr: how near to a border, in cells, a centre takes in the cell behind it.
        ignore_iof_thr: objectness of priors covered more than this by an ignored region is not
            trained; -1 is off.
        obj_level_weights: weight of the objectness of each level.
        train_cfg: unused.
        test_cfg: ``multi_label, score_thr, nms_pre, min_bbox_size, nms, max_per_img``.
        init_cfg: mmengine's.

    Raises:
        ConfigError: numbers of levels disagree.
    """

    def __init__(
        self,
        head_module: dict,
        prior_generator: dict | None = None,
        bbox_coder: dict | None = None,
        loss_cls: dict | None = None,
        loss_bbox: dict | None = None,
        loss_obj: dict | None = None,
        prior_match_thr: float = 4.0,
        near_neighbor_thr: float = 0.5,
        ignore_iof_thr: float = -1.0,
        obj_level_weights: Sequence[float] = (4.0, 1.0, 0.4),
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        self.head_module = MODELS.build(head_module)
        self.prior_generator = TASK_UTILS.build(
            prior_generator
            or {
                'type': 'mmdet.YOLOAnchorGenerator',
                'base_sizes': COCO_ANCHORS,
                'strides': [8, 16, 32],
            }
        )
        self.bbox_coder = TASK_UTILS.build(bbox_coder or {'type': 'YOLOv5BBoxCoder'})
        self.loss_cls = MODELS.build(loss_cls or {**BCE, 'loss_weight': 0.5})
        self.loss_obj = MODELS.build(loss_obj or {**BCE, 'loss_weight': 1.0})
        self.loss_bbox = MODELS.build(
            loss_bbox
            or {
                'type': 'IoULoss',
                'iou_mode': 'ciou',
                'bbox_format': 'xywh',
                'reduction': 'mean',
                'loss_weight': 0.05,
                'return_iou': True,
            }
        )
        self.prior_match_thr = prior_match_thr
        self.near_neighbor_thr = near_neighbor_thr
        self.ignore_iof_thr = ignore_iof_thr
        self.obj_level_weights = tuple(obj_level_weights)
        self.priors = PriorCache(self.prior_generator)
        self._check()
        strides = torch.tensor(self.featmap_strides, dtype=torch.float)[:, None, None]
        sizes = torch.tensor(self.prior_generator.base_sizes, dtype=torch.float)
        self.register_buffer('anchors', sizes / strides, persistent=False)  # (L, A, 2) in cells

    @property
    def num_classes(self) -> int:
        """C."""
        return self.head_module.num_classes

    @property
    def num_base_priors(self) -> int:
        """A."""
        return self.head_module.num_base_priors

    @property
    def featmap_strides(self) -> tuple[int, ...]:
        """Input pixels per cell of each level."""
        return self.head_module.featmap_strides

    def _check(self) -> None:
        levels = len(self.featmap_strides)
        if len(self.obj_level_weights) != levels:
            raise ConfigError(
                f'bbox_head.obj_level_weights has {len(self.obj_level_weights)} numbers, but '
                f'head_module.featmap_strides has {levels}; give one weight for each level.'
            )
        sizes = self.prior_generator.base_sizes
        if len(sizes) != levels or any(len(level) != self.num_base_priors for level in sizes):
            raise ConfigError(
                f'bbox_head.prior_generator.base_sizes must hold {levels} lists (one for each '
                'stride) of '
                f'{self.num_base_priors} (width, height) pairs (head_module.num_base_priors).'
            )
        if self.prior_match_thr != 4.0:
            print_log(
                f'prior_match_thr is {self.prior_match_thr}, but the box code reaches sizes up to '
                '4 times the '
                "prior's: 4.0 fits it.",
                logger='current',
                level=30,
            )
        if self.num_classes == 1:
            print_log(
                'You are using `YOLOv5Head` with num_classes == 1. The loss_cls will be 0. '
                'This is a normal phenomenon.',
                logger='current',
                level=30,
            )

    def forward(self, feats: Sequence[Tensor]) -> tuple[Any, ...]:
        """Return the raw maps of :attr:`head_module`."""
        return self.head_module(feats)

    # ---- training

    def loss(
        self, feats: Sequence[Tensor], batch: dict | Sequence[DetDataSample]
    ) -> dict[str, Tensor]:
        """Return the losses of a batch, each of shape (1,); the batch is not changed.

        Args:
            feats: L maps of the neck.
            batch: the dict of the data preprocessor, or a list of data samples.
        """
        maps = self(feats)
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
        with torch.autocast(targets.device.type, enabled=False):
            positives = [
                assign_level(
                    targets,
                    anchors,
                    level_map.shape[-2:],
                    self.prior_match_thr,
                    self.near_neighbor_thr,
                )
                for anchors, level_map in zip(self.anchors, maps[2], strict=True)
            ]
            return self.loss_terms(maps, batch, targets, positives)

    def loss_terms(
        self, maps: Sequence[Any], batch: dict, targets: Tensor, positives: list[Positives]
    ) -> dict[str, Tensor]:
        """Return the scaled terms for given positives (spec: loss.md 3.5)."""
        flags = self._kept_cells(maps[2], batch)
        levels = [
            self._level_terms(level, maps[0][level], maps[1][level], maps[2][level], found, flag)
            for level, (found, flag) in enumerate(zip(positives, flags, strict=True))
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
        kept: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return class, objectness and box loss of one level, each a scalar."""
        objectness = obj_map.float()
        target = torch.zeros_like(objectness)
        # zeros that keep the maps in the graph; float32, since sums of half-precision maps overflow
        loss_cls, loss_bbox = cls_map.float().sum() * 0, bbox_map.float().sum() * 0
        if len(positives):
            weight = None if kept is None else positives.gather(kept[..., None])[:, 0]
            loss_bbox, iou = self._box_term(level, bbox_map, positives, weight)
            target = scatter_last(iou.detach().clamp(min=0), positives, objectness.shape)
            if self.num_classes > 1:
                loss_cls = self._class_term(cls_map, positives, weight)
        weighting = {} if kept is None else {'weight': kept, 'avg_factor': kept.sum().clamp(min=1)}
        loss_obj = self.loss_obj(objectness, target, **weighting) * self.obj_level_weights[level]
        return loss_cls, loss_obj, loss_bbox

    def _box_term(
        self, level: int, bbox_map: Tensor, positives: Positives, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the box loss and the (P,) IoU of the positives."""
        logits = positives.gather(split_attributes(bbox_map, self.num_base_priors)).float()
        activated = 2 * logits.sigmoid()
        size = activated[:, 2:] ** 2 * self.anchors[level][positives.prior]
        pred = torch.cat((activated[:, :2] - 0.5, size), dim=1)
        weighting = (
            {} if weight is None else {'weight': weight, 'avg_factor': weight.sum().clamp(min=1)}
        )
        return self.loss_bbox(pred, positives.box, **weighting)

    def _class_term(self, cls_map: Tensor, positives: Positives, weight: Tensor | None) -> Tensor:
        """Return the class loss.

        With `weight` it is divided by the number of positives, not of positives times classes, as
        MMYOLO does in this case (spec: loss.md 6).
        """
        logits = positives.gather(split_attributes(cls_map, self.num_base_priors)).float()
        target = torch.nn.functional.one_hot(positives.label, self.num_classes).to(logits)
        if weight is None:
            return self.loss_cls(logits, target)
        return self.loss_cls(
            logits,
            target,
            weight=weight[:, None].expand_as(logits),
            avg_factor=weight.sum().clamp(min=1),
        )

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

    # ---- inference

    def predict(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[DetDataSample],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Return the detections of each image.

        Args:
            feats: L maps of the neck.
            batch_data_samples: B samples whose metainfo says how the image lies in the input.
            rescale: give results in the original image.
        """
        return self.predict_by_feat(
            self(feats), [sample.metainfo for sample in batch_data_samples], rescale=rescale
        )

    def predict_by_feat(
        self,
        maps: Sequence[Any],
        img_metas: Sequence[dict],
        cfg: dict | None = None,
        rescale: bool = True,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Return the detections of raw head maps (spec: predict.md).

        Args:
            maps: class, box and objectness maps, each a list over the levels, and what the head
                adds to them.
            img_metas: B dicts with ``ori_shape`` and, where known, ``scale_factor, pad_param,
                batch_input_shape``.
            cfg: replaces ``test_cfg``.
            rescale: give results in the original image.
            with_nms: suppress duplicates and cut to ``max_per_img``.

        Returns:
            B results by descending score: ``bboxes`` (n, 4) xyxy pixels, ``scores`` (n,),
            ``labels`` (n,) int64.
        """
        settings = (self.test_cfg if cfg is None else cfg) or {}
        flat = {
            name: flatten_levels([m.float() for m in level_maps], self.num_base_priors)
            for name, level_maps in self._maps_by_name(maps).items()
        }
        sizes = [level_map.shape[-2:] for level_map in maps[0]]
        priors = torch.cat(self.priors.levels(sizes, torch.float32, maps[0][0].device))
        strides = torch.cat(
            [
                priors.new_full((h * w * self.num_base_priors,), stride)
                for (h, w), stride in zip(sizes, self.featmap_strides, strict=True)
            ]
        )
        results = []
        for image, meta in enumerate(img_metas):
            rows = {name: values[image] for name, values in flat.items()}
            candidates = self._candidates(rows, priors, strides, settings)
            results.append(self._finish(candidates, maps, image, meta, settings, rescale, with_nms))
        return results

    def _maps_by_name(self, maps: Sequence[Any]) -> dict[str, list[Tensor]]:
        return dict(zip(('cls', 'bbox', 'obj'), maps, strict=False))

    def _candidates(
        self, rows: dict[str, Tensor], priors: Tensor, strides: Tensor, cfg: dict
    ) -> InstanceData:
        """Filter the priors of one image and decode those that pass; boxes in network pixels."""
        score_thr = cfg.get('score_thr', -1)
        objectness = rows['obj'][:, 0].sigmoid()
        # strict, and on objectness alone, before the classes are looked at
        passed = (
            objectness > score_thr
            if score_thr > 0
            else torch.ones_like(objectness, dtype=torch.bool)
        ).nonzero()
        passed = passed[:, 0]
        scores = rows['cls'][passed].sigmoid() * objectness[passed, None]
        values, labels, chosen = filter_candidates(
            scores, score_thr, cfg.get('nms_pre', 100000), cfg['multi_label']
        )
        index = passed[chosen]
        result = InstanceData(scores=values, labels=labels)
        result.bboxes = self.bbox_coder.decode(priors[index], rows['bbox'][index], strides[index])
        if 'coeff' in rows:
            result.coeffs = rows['coeff'][index] * objectness[index, None]
        return result

    def _finish(
        self,
        result: InstanceData,
        maps: Sequence[Any],
        image: int,
        meta: dict,
        cfg: dict,
        rescale: bool,
        with_nms: bool,
    ) -> InstanceData:
        """Bring the candidates of one image to their final form (spec: predict.md 2, steps 6 to
        9).
        """
        if rescale:
            result.bboxes = recorded_letterbox(meta).to_original(result.bboxes)
        result = suppress(result, cfg, with_nms)
        result.bboxes = clip_boxes(result.bboxes, meta['ori_shape'][:2])
        return result
