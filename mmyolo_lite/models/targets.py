"""The one form of training targets inside the model, and how data samples turn into it (spec:
model.md 11.1).
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import BaseBoxes
from torch import Tensor

from mmyolo_lite.errors import DataError


def _table(instances: Any, image: int, device: torch.device) -> Tensor:
    """Return (n, 6) rows ``[image, class, x1, y1, x2, y2]`` of one image."""
    boxes = instances.bboxes.tensor if isinstance(instances.bboxes, BaseBoxes) else instances.bboxes
    labels = instances.labels.to(boxes)[:, None]
    return torch.cat((torch.full_like(labels, image), labels, boxes), dim=1).float().to(device)


def _stack_masks(samples: Sequence[DetDataSample], device: torch.device) -> Tensor | None:
    """Return index maps (B, h, w) or object masks (N, h, w) of a batch, or None where there are
    none.
    """
    if 'gt_panoptic_seg' in samples[0]:
        parts = [sample.gt_panoptic_seg.pan_seg for sample in samples]
    elif 'masks' in samples[0].gt_instances:
        parts = [sample.gt_instances.masks for sample in samples]
    else:
        return None
    if not all(isinstance(part, Tensor) for part in parts):
        raise DataError(
            f'The training masks are {type(parts[0]).__name__}, not tensors. Put Polygon2Mask '
            'before PackDetInputs in the training pipeline.'
        )
    return torch.cat(parts).to(device)


def pack_samples(samples: Sequence[DetDataSample], device: torch.device) -> dict:
    """Turn the data samples of a batch into the model's form.

    Args:
        samples: B samples with `gt_instances`, in input pixels; the masks, if any, are those of
            Polygon2Mask.
        device: where the tensors go.

    Returns:
        a dict with ``bboxes_labels`` (N, 6) float32 rows ``[image, class, x1, y1, x2, y2]``,
        ``ignored`` (M, 6) of the same form for regions to ignore, ``masks`` if there are any, and
        ``img_metas``, B dicts.
    """
    tables = [_table(sample.gt_instances, i, device) for i, sample in enumerate(samples)]
    ignored = [
        _table(sample.ignored_instances, i, device)
        for i, sample in enumerate(samples)
        if 'ignored_instances' in sample and 'bboxes' in sample.ignored_instances
    ]
    packed = {
        'bboxes_labels': torch.cat(tables),
        'ignored': torch.cat(ignored) if ignored else torch.zeros((0, 6), device=device),
        'img_metas': [sample.metainfo for sample in samples],
    }
    masks = _stack_masks(samples, device)
    if masks is not None:
        packed['masks'] = masks
    return packed
