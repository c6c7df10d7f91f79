"""The inference half of the heads: raw maps to detections (spec: predict.md).

Letters: B images, L levels, A priors per cell, C classes, P priors, n detections.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo_lite.models.heads.head_modules import flatten_levels
from mmyolo_lite.models.heads.results import recorded_letterbox, suppress
from mmyolo_lite.ops.boxes import clip_boxes
from mmyolo_lite.ops.postprocess import filter_candidates


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
            feats: L maps of the neck.
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
            scores, score_thr, cfg.get('nms_pre', 100000), cfg.get('multi_label', True)
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

    def forward(self, feats: Sequence[Tensor]) -> tuple[Any, ...]:
        """Return the raw maps; the head's."""
        raise NotImplementedError
