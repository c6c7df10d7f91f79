"""Pack a sample into tensors, and drop what is no longer needed."""

from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import PackDetInputs as _MMDetPackDetInputs
from mmdet.structures.bbox import BaseBoxes
from mmengine.structures import PixelData
from torch import Tensor

from mmyolo_lite.registry import TRANSFORMS


def image_to_tensor(image: np.ndarray) -> Tensor:
    """Return the contiguous (C, H, W) tensor of an (H, W, C) or (H, W) image, same type and channel
    order.
    """
    if image.ndim == 2:
        image = image[..., None]
    height, width, channels = image.shape
    planes = np.empty((channels, height, width), dtype=image.dtype)
    # Splitting into a prepared buffer takes a tenth of the time of a transposed copy, and OpenCV's
    # flip a fortieth of that of copying a view which a horizontal flip left.
    if channels == 3 and image.dtype == np.uint8:
        if image.strides[1] < 0:
            image = cv2.flip(np.ascontiguousarray(image[:, ::-1]), 1)
        cv2.split(np.ascontiguousarray(image), list(planes))
    else:
        planes[:] = image.transpose(2, 0, 1)
    return torch.from_numpy(planes)


_NONE: dict[tuple, Any] = {}


def _none_of(values: Any) -> Any:
    """Return ``values[:0]``, made once for each kind of tensors and boxes."""
    if not isinstance(values, (Tensor, BaseBoxes)):
        return values[:0]
    kind = (type(values), values.dtype, values.shape[1:])
    if kind not in _NONE:
        _NONE[kind] = values[:0].clone()
    return _NONE[kind]


@TRANSFORMS.register_module()
class PackDetInputs(_MMDetPackDetInputs):
    """Pack image and annotations for the model. Source: spec data.md 7.1.

    Beside mmdet's fields, ``gt_panoptic_seg`` (1, h, w), object ids over each other, becomes
    ``data_samples.gt_panoptic_seg.pan_seg``; and a missing meta key is an error.

    Args:
        meta_keys: keys of the sample to carry on as meta information; one that is packed as data is
            skipped.
    """

    def transform(self, results: dict) -> dict:
        """Return ``inputs`` uint8 (C, H, W) BGR, and ``data_samples``, a `DetDataSample`.

        Raises:
            AssertionError: a name in `meta_keys` is not in `results`.
        """
        for key in self.meta_keys:
            assert key in results, (
                f'PackDetInputs: meta key {key!r} is not in the sample, which has '
                f'{sorted(results)}. Remove it from meta_keys, or add the transform that '
                'sets it.'
            )
        own = {'img', 'gt_panoptic_seg'}
        none_ignored = 'gt_ignore_flags' in results and not results['gt_ignore_flags'].any()
        if none_ignored:
            own.add('gt_ignore_flags')  # or all fields would be picked apart for nothing
        packed = super().transform({k: v for k, v in results.items() if k not in own})
        if none_ignored:
            sample = packed['data_samples']
            for name, values in sample.gt_instances.items():
                sample.ignored_instances.set_field(_none_of(values), name)
        if 'gt_panoptic_seg' in results:
            packed['data_samples'].gt_panoptic_seg = PixelData(pan_seg=results['gt_panoptic_seg'])
        if 'img' in results:
            packed['inputs'] = image_to_tensor(results['img'])
        return packed


@TRANSFORMS.register_module()
class RemoveDataElement(BaseTransform):
    """Drop keys from the sample, if they are there.

    Args:
        keys: one key or several.
    """

    def __init__(self, keys: str | list[str] | tuple[str, ...]) -> None:
        self.keys = [keys] if isinstance(keys, str) else list(keys)

    def transform(self, results: dict) -> dict:
        """Return `results` without the keys."""
        for key in self.keys:
            results.pop(key, None)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(keys={self.keys})'
