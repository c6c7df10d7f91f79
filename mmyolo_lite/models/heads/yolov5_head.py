"""The detection head of YOLOv5: what it holds and how its halves are wired (spec: model.md 9).

Letters: L levels, A priors per cell, C classes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.models.heads.loss_mixin import LossMixin
from mmyolo_lite.models.heads.predict_mixin import PredictMixin
from mmyolo_lite.models.priors import PriorCache
from mmyolo_lite.registry import MODELS, TASK_UTILS

COCO_ANCHORS = [
    [(10, 13), (16, 30), (33, 23)],
    [(30, 61), (62, 45), (59, 119)],
    [(116, 90), (156, 198), (373, 326)],
]
BCE = {'type': 'mmdet.CrossEntropyLoss', 'use_sigmoid': True, 'reduction': 'mean'}
CIOU = {
    'type': 'IoULoss',
    'iou_mode': 'ciou',
    'bbox_format': 'xywh',
    'reduction': 'mean',
    'loss_weight': 0.05,
    'return_iou': True,
}


@MODELS.register_module()
class YOLOv5Head(BaseModule, LossMixin, PredictMixin):
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
        self.num_classes = self.head_module.num_classes
        self.num_base_priors = self.head_module.num_base_priors
        self.featmap_strides = self.head_module.featmap_strides
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
        self.loss_bbox = MODELS.build(loss_bbox or CIOU)
        self.prior_match_thr = prior_match_thr
        self.near_neighbor_thr = near_neighbor_thr
        self.ignore_iof_thr = ignore_iof_thr
        self.obj_level_weights = tuple(obj_level_weights)
        self.priors = PriorCache(self.prior_generator)
        self._check()
        strides = torch.tensor(self.featmap_strides, dtype=torch.float)[:, None, None]
        sizes = torch.tensor(self.prior_generator.base_sizes, dtype=torch.float)
        self.register_buffer('anchors', sizes / strides, persistent=False)  # (L, A, 2) in cells

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
                f'stride) of {self.num_base_priors} (width, height) pairs '
                '(head_module.num_base_priors).'
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
