"""The inference half of the heads: raw maps to detections (spec: predict.md).

Letters: B images, L levels, A priors per cell, C classes, P priors, n detections.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo_lite.models.heads.head_modules import flatten_levels, gather_priors
from mmyolo_lite.models.heads.results import recorded_letterbox, suppress
from mmyolo_lite.ops.boxes import clip_boxes
from mmyolo_lite.ops.postprocess import filter_candidates


class ImageOfBatch(NamedTuple):
    """One image whose detections are asked for.

    `maps` are those of the batch: class, box and objectness maps, each a list over the levels, and
    what the head adds to them; `number` is the image's place in them and `meta` its metainfo;
    `cfg`, `rescale` and `with_nms` are those of :meth:`PredictMixin.predict_by_feat`.
    """

    maps: Sequence[Any]
    number: int
    meta: dict
    cfg: dict
    rescale: bool
    with_nms: bool


class PredictMixin:
    """Detections of a head; a head with more outputs names them and finishes its results."""

    # what the head holds
    priors: Any
    bbox_coder: Any
    test_cfg: dict | None
    num_base_priors: int
    featmap_strides: tuple[int, ...]

    def predict(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[DetDataSample],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Return the detections of each image.

        Args:
            feats: L maps of the neck, (B, channels, h, w) each, the finest first.
            batch_data_samples: B samples whose metainfo says how the image lies in the input.
            rescale: give results in the original image.
        """
        return self.predict_by_feat(
            self.forward(feats), [sample.metainfo for sample in batch_data_samples], rescale=rescale
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
            cfg: replaces ``test_cfg``. ``keep_thr`` drops candidates of no higher score before any
                is suppressed or gets a mask, which leaves the same objects as dropping them from
                the results, bit for bit, in less time. ``with_priors`` adds ``priors`` (n,) int64,
                the number of the prior behind each detection.
            rescale: give results in the original image.
            with_nms: suppress duplicates and cut to ``max_per_img``.

        Returns:
            B results by descending score: ``bboxes`` (n, 4) xyxy pixels, ``scores`` (n,),
            ``labels`` (n,) int64.
        """
        settings = (self.test_cfg if cfg is None else cfg) or {}
        objectness = flatten_levels(maps[2], self.num_base_priors)[..., 0].float().sigmoid()
        sizes = [level_map.shape[-2:] for level_map in maps[0]]
        priors = torch.cat(self.priors.levels(sizes, torch.float32, maps[0][0].device))
        strides = torch.cat(
            [
                priors.new_full((h * w * self.num_base_priors,), stride)
                for (h, w), stride in zip(sizes, self.featmap_strides, strict=True)
            ]
        )
        results = []
        for index, meta in enumerate(img_metas):
            image = ImageOfBatch(maps, index, meta, settings, rescale, with_nms)
            candidates = self._candidates(image, objectness[index], priors, strides)
            if 'keep_thr' in settings:
                candidates = candidates[candidates.scores > settings['keep_thr']]
            results.append(self._finish(candidates, image))
        return results

    def _candidates(
        self, image: ImageOfBatch, objectness: Tensor, priors: Tensor, strides: Tensor
    ) -> InstanceData:
        """Filter the priors of one image and decode those that pass; boxes in network pixels.

        Classes are read where the objectness passes, boxes and coefficients where a score does.
        """
        cfg = image.cfg
        score_thr = cfg.get('score_thr', -1)
        # strict, and on objectness alone, before the classes are looked at
        passed = (
            objectness > score_thr
            if score_thr > 0
            else torch.ones_like(objectness, dtype=torch.bool)
        ).nonzero()
        passed = passed[:, 0]
        classes = self._rows(image, 0, passed).sigmoid()
        values, labels, chosen = filter_candidates(
            classes * objectness[passed, None],
            score_thr,
            cfg.get('nms_pre', 100000),
            cfg.get('multi_label', True),
        )
        index = passed[chosen]
        result = InstanceData(scores=values, labels=labels)
        # several classes of one prior share its box
        shared = len(passed) < len(chosen)
        decoded = passed if shared else index
        boxes = self.bbox_coder.decode(
            priors[decoded], self._rows(image, 1, decoded), strides[decoded]
        )
        result.bboxes = boxes[chosen] if shared else boxes
        if cfg.get('with_priors', False):
            result.priors = index
        self._add_outputs(result, image, index, objectness[index])
        return result

    def _rows(self, image: ImageOfBatch, output: int, index: Tensor) -> Tensor:
        """Return (n, D): one of the outputs of the priors `index` (n,)."""
        return gather_priors(image.maps[output], self.num_base_priors, image.number, index)

    def _add_outputs(
        self, result: InstanceData, image: ImageOfBatch, index: Tensor, objectness: Tensor
    ) -> None:
        """Add what the head predicts besides for the priors `index` (n,) to the candidates."""

    def _finish(self, result: InstanceData, image: ImageOfBatch) -> InstanceData:
        """Bring the candidates of one image to their final form (spec: predict.md 2, steps 6 to
        9).
        """
        if image.rescale:
            result.bboxes = recorded_letterbox(image.meta).to_original(result.bboxes)
        result = suppress(result, image.cfg, image.with_nms)
        result.bboxes = clip_boxes(result.bboxes, image.meta['ori_shape'][:2])
        return result

    def forward(self, feats: Sequence[Tensor]) -> tuple[Any, ...]:
        """Return the raw maps; the head's."""
        raise NotImplementedError
