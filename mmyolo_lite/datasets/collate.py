"""Turn packed samples into one training batch: an image tensor, a target tensor and a mask tensor.

Letters: B images, N_i objects of image i, C channels, H W image pixels, h w mask pixels.
"""

from collections.abc import Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.registry import FUNCTIONS as ROOT_FUNCTIONS
from mmengine.structures import InstanceData
from torch import Tensor
from torch.utils.data import get_worker_info

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import FUNCTIONS


# The Runner looks an unscoped name up in mmengine's own registry, not in that of the default scope.
@ROOT_FUNCTIONS.register_module(force=True)
@FUNCTIONS.register_module()
def yolov5_collate(data_batch: Sequence[dict], use_ms_training: bool = False) -> dict:
    """Collate samples packed by `PackDetInputs`. Source: spec data.md 7.2.

    Args:
        data_batch: B dicts of ``inputs`` uint8 (C, H, W) and ``data_samples`` with ``gt_instances``
            (``bboxes`` xyxy in pixels, ``labels``) and either ``gt_panoptic_seg.pan_seg`` (1, h,
            w), object ids over each other, or ``gt_instances.masks`` (N_i, h, w), one mask an
            object, or no masks.
        use_ms_training: leave ``inputs`` a list; the data preprocessor stacks it.

    Returns:
        ``inputs``: (B, C, H, W) uint8, or a list of B tensors.
        ``data_samples``: dict of ``bboxes_labels`` float32 (sum N_i, 6), rows
        ``[image index, label, x1, y1, x2, y2]`` in image order, and, only if there are masks,
        ``masks``: (B, h, w) or (sum N_i, h, w).

    Raises:
        ConfigError: masks are still polygons, or only some images have masks.
    """
    inputs = [item['inputs'] for item in data_batch]
    samples = [item['data_samples'] for item in data_batch]
    targets: dict[str, Tensor] = {
        'bboxes_labels': torch.cat(
            [_target_rows(i, sample.gt_instances) for i, sample in enumerate(samples)]
        )
    }
    masks = [mask for mask in map(_mask_tensor, samples) if mask is not None]
    if masks:
        if len(masks) < len(samples):
            raise ConfigError(
                f'yolov5_collate: {len(masks)} of {len(samples)} images of a batch have masks. '
                'Images of one batch must come from one kind of pipeline.'
            )
        targets['masks'] = torch.cat(masks)
    return {'inputs': inputs if use_ms_training else _stack(inputs), 'data_samples': targets}


def _stack(images: list[Tensor]) -> Tensor:
    """Stack images; in a worker right into memory that the main process shares, which saves a copy
    of the batch, as PyTorch's own collate function does.
    """
    if get_worker_info() is None:
        return torch.stack(images)
    first = images[0]
    storage = torch.UntypedStorage._new_shared(len(images) * first.nbytes, device=first.device)
    out = first.new_empty(0).set_(storage).view(len(images), *first.shape)
    return torch.stack(images, out=out)


def _target_rows(index: int, instances: InstanceData) -> Tensor:
    """Return the float32 (N, 6) rows of one image: its index in the batch, label, box."""
    boxes = instances.bboxes.tensor
    labels = instances.labels
    rows = boxes.new_empty((len(boxes), 6), dtype=torch.float32)
    rows[:, 0] = index
    rows[:, 1] = labels
    rows[:, 2:] = boxes
    return rows


def _mask_tensor(sample: DetDataSample) -> Tensor | None:
    if 'gt_panoptic_seg' in sample:
        return sample.gt_panoptic_seg.pan_seg
    if 'masks' not in sample.gt_instances:
        return None
    masks = sample.gt_instances.masks
    if not isinstance(masks, Tensor):
        raise ConfigError(
            f'yolov5_collate got masks of type {type(masks).__name__}. Put '
            "dict(type='Polygon2Mask') before PackDetInputs in the training pipeline."
        )
    return masks
