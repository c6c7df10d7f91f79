"""Resize an image into a target size, with and without letterbox padding."""

from typing import Any, NamedTuple

import cv2
import mmcv
import numpy as np
from mmdet.datasets.transforms import Resize
from mmdet.structures.bbox import autocast_box_type

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import TRANSFORMS

MINI_PAD_DIVISOR = 32
"""Sides become a multiple of it with `use_mini_pad`, in pixels: the largest stride of the
models.
"""


class LetterboxGeometry(NamedTuple):
    """What a letterbox does: new size of the image and total padding, both ``(height, width)``."""

    size_hw: tuple[int, int]
    pad_hw: tuple[int, int]


def keep_ratio_size(
    image_hw: tuple[int, int], scale: tuple[int, int]
) -> tuple[float, tuple[int, int]]:
    """Return the ratio, and the size ``(height, width)``, at which an image fits into `scale`.

    Args:
        image_hw: height and width in pixels.
        scale: two sides in pixels, in any order: the long one is for the long side of the image.

    Returns:
        The ratio, above 1 if the image grows, and the size truncated to whole pixels, at least 1.
    """
    height, width = image_hw
    ratio = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return ratio, (max(int(height * ratio), 1), max(int(width * ratio), 1))


def letterbox_geometry(
    image_hw: tuple[int, int],
    target_hw: tuple[int, int],
    *,
    use_mini_pad: bool = False,
    stretch_only: bool = False,
    allow_scale_up: bool = True,
) -> LetterboxGeometry:
    """Work out the new size and the padding of a letterbox. Source: spec data.md 4.2, steps 1 to 3.

    Args:
        image_hw: height and width of the image in pixels.
        target_hw: height and width to fill.
        use_mini_pad: pad only to the next multiple of 32; wins over `stretch_only`.
        stretch_only: fill the target without padding, whatever the aspect ratio.
        allow_scale_up: the image may grow.
    """
    (height, width), (target_h, target_w) = image_hw, target_hw
    ratio = min(target_h / height, target_w / width)
    if not allow_scale_up:
        ratio = min(ratio, 1.0)
    new_h, new_w = max(round(height * ratio), 1), max(round(width * ratio), 1)
    pad_h, pad_w = target_h - new_h, target_w - new_w
    if use_mini_pad:
        return LetterboxGeometry(
            (new_h, new_w), (pad_h % MINI_PAD_DIVISOR, pad_w % MINI_PAD_DIVISOR)
        )
    if stretch_only:
        return LetterboxGeometry((target_h, target_w), (0, 0))
    return LetterboxGeometry((new_h, new_w), (pad_h, pad_w))


def _checked_scale(name: str, scale: int | tuple[int, int] | None, kwargs: dict) -> tuple[int, int]:
    """Return `scale` as ``(width, height)``, or explain what is wrong with the arguments."""
    if scale is None or 'scale_factor' in kwargs:
        raise ConfigError(
            f'{name} needs scale=(width, height) or scale=side in pixels; scale_factor is not '
            'supported'
        )
    pair = (scale, scale) if isinstance(scale, int) else tuple(scale)
    if len(pair) != 2 or any(int(side) != side or side < 1 for side in pair):
        raise ConfigError(
            f'{name}: scale must be one or two whole numbers >= 1 (width, height), got {scale!r}'
        )
    return int(pair[0]), int(pair[1])


@TRANSFORMS.register_module()
class YOLOv5KeepRatioResize(Resize):
    """Resize to the largest size that fits into `scale`, keeping the aspect ratio. Source: spec
    data.md 4.1.

    Shrinks with area interpolation, grows with bilinear. Sets ``scale`` and ``scale_factor`` ``(w,
    h)``.

    Args:
        scale: ``(width, height)`` or one side, in pixels; the longer one limits the long side of
            the image.
        keep_ratio: must be True.
        kwargs: ``clip_object_border`` and ``backend`` as in mmdet; ``interpolation`` is accepted
            and has no effect.

    Raises:
        ConfigError: `scale` is missing or no pair of sizes, or `keep_ratio` is not True.
    """

    def __init__(
        self, scale: int | tuple[int, int] | None = None, keep_ratio: bool = True, **kwargs: Any
    ) -> None:
        name = type(self).__name__
        if keep_ratio is not True:
            raise ConfigError(
                f'{name}: keep_ratio must be True, got {keep_ratio!r}; use mmdet.Resize to stretch'
            )
        super().__init__(scale=_checked_scale(name, scale, kwargs), keep_ratio=True, **kwargs)

    def _resize_img(self, results: dict) -> None:
        image = results.get('img')
        if image is None:
            return
        height, width = image.shape[:2]
        ratio, (new_h, new_w) = keep_ratio_size((height, width), self.scale)
        if ratio != 1:
            image = mmcv.imresize(
                image,
                (new_w, new_h),
                interpolation='area' if ratio < 1 else 'bilinear',
                backend=self.backend,
            )
        results['img'] = image
        results['img_shape'] = (new_h, new_w)
        results['scale_factor'] = (new_w / width, new_h / height)
        results['keep_ratio'] = True

    def _resize_masks(self, results: dict) -> None:
        if results.get('gt_masks') is not None:
            results['gt_masks'] = results['gt_masks'].resize(results['img_shape'])

    def _resize_seg(self, results: dict) -> None:
        _resize_seg_map(results, results['img_shape'], self.backend)


def _resize_seg_map(results: dict, size_hw: tuple[int, int], backend: str) -> None:
    if results.get('gt_seg_map') is not None:
        results['gt_seg_map'] = mmcv.imresize(
            results['gt_seg_map'], size_hw[::-1], interpolation='nearest', backend=backend
        )


@TRANSFORMS.register_module()
class LetterResize(Resize):
    """Resize into a target keeping the aspect ratio, and pad both sides. Source: spec data.md 4.2.

    Sets ``pad_param`` float32 ``[top, bottom, left, right]`` and ``scale_factor`` ``(w, h)``, both
    composed with those of an earlier step: a box of the input maps back by subtracting (left, top),
    then dividing by ``scale_factor``.

    Args:
        scale: target ``(width, height)`` or one side, in pixels; ``results['batch_shape']``
            (height, width) wins.
        pad_val: value around the image: a number, or a dict of ``img`` (number, or one per
            channel), ``mask`` and ``seg``.
        use_mini_pad: pad only to the next multiple of 32.
        stretch_only: fill the target without padding, whatever the aspect ratio.
        allow_scale_up: the image may grow.
        half_pad_param: ``pad_param`` holds half of the padding for both sides, which may be x.5, as
            instance segmentation uses it; else whole pixels, the odd one at the bottom or right.
        kwargs: ``interpolation``, ``backend`` and ``clip_object_border`` as in mmdet.

    Raises:
        ConfigError: `scale` is missing or no pair of sizes, or `pad_val` is neither a number nor a
            dict.
    """

    def __init__(
        self,
        scale: int | tuple[int, int] | None = None,
        pad_val: float | dict | None = None,
        use_mini_pad: bool = False,
        stretch_only: bool = False,
        allow_scale_up: bool = True,
        half_pad_param: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.pop('keep_ratio', None)
        super().__init__(
            scale=_checked_scale('LetterResize', scale, kwargs), keep_ratio=True, **kwargs
        )
        if not isinstance(pad_val, (int, float, dict, type(None))):
            raise ConfigError(
                'LetterResize: pad_val must be a number or a dict(img=..., seg=...), got '
                f'{pad_val!r}'
            )
        given = (
            pad_val if isinstance(pad_val, dict) else {} if pad_val is None else {'img': pad_val}
        )
        self.pad_val = {'img': 0, 'mask': 0, 'seg': 255, **given}
        self.use_mini_pad = use_mini_pad
        self.stretch_only = stretch_only
        self.allow_scale_up = allow_scale_up
        self.half_pad_param = half_pad_param

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Letterbox ``img`` and move ``gt_bboxes``, ``gt_masks`` (polygons) and ``gt_seg_map`` with
        it.
        """
        image = results['img']
        height, width = (int(side) for side in image.shape[:2])
        target_h, target_w = (int(side) for side in results.get('batch_shape', self.scale[::-1]))
        size_hw, (pad_h, pad_w) = letterbox_geometry(
            (height, width),
            (target_h, target_w),
            use_mini_pad=self.use_mini_pad,
            stretch_only=self.stretch_only,
            allow_scale_up=self.allow_scale_up,
        )
        top, left = pad_h // 2, pad_w // 2
        borders = (top, pad_h - top, left, pad_w - left)
        earlier = {key: results.get(key) for key in ('scale_factor', 'pad_param')}
        halves = (pad_h / 2, pad_h / 2, pad_w / 2, pad_w / 2)

        if size_hw != (height, width):
            image = mmcv.imresize(
                image, size_hw[::-1], interpolation=self.interpolation, backend=self.backend
            )
        results['img'] = pad_image(image, borders, self.pad_val['img'])
        results['img_shape'] = (size_hw[0] + pad_h, size_hw[1] + pad_w)
        results['scale'] = (target_w, target_h)
        results['scale_factor'] = (size_hw[1] / width, size_hw[0] / height)
        results['pad_param'] = np.array(
            halves if self.half_pad_param else borders, dtype=np.float32
        )

        self._resize_bboxes(results)
        self._resize_masks(results)
        _resize_seg_map(results, size_hw, self.backend)
        if results.get('gt_seg_map') is not None:
            results['gt_seg_map'] = pad_image(results['gt_seg_map'], borders, self.pad_val['seg'])
        self._record_homography_matrix(results)
        _compose(results, **earlier)
        return results

    def _resize_bboxes(self, results: dict) -> None:
        boxes = results.get('gt_bboxes')
        if boxes is None:
            return
        boxes.rescale_(results['scale_factor'])
        boxes.translate_((float(results['pad_param'][2]), float(results['pad_param'][0])))
        if self.clip_object_border:
            boxes.clip_(results['img_shape'])

    def _resize_masks(self, results: dict) -> None:
        masks = results.get('gt_masks')
        if masks is None:
            return
        scale_w, scale_h = results['scale_factor']
        masks = masks.resize((round(masks.height * scale_h), round(masks.width * scale_w)))
        # Both shifts run even when they are 0: they give the container the padded size and clamp to
        # it.
        top, _, left, _ = results['pad_param']
        for offset, direction in ((left, 'horizontal'), (top, 'vertical')):
            masks = masks.translate(results['img_shape'], int(offset), direction)
        results['gt_masks'] = masks

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(scale={self.scale}, pad_val={self.pad_val}, '
            f'use_mini_pad={self.use_mini_pad}, stretch_only={self.stretch_only}, '
            f'allow_scale_up={self.allow_scale_up}, half_pad_param={self.half_pad_param})'
        )


def pad_image(
    image: np.ndarray, borders: tuple[int, int, int, int], value: float | tuple[float, ...]
) -> np.ndarray:
    """Pad an image with a constant.

    Args:
        image: (H, W) or (H, W, C).
        borders: pixels at top, bottom, left, right, >= 0.
        value: one number for all channels, or one for each channel.
    """
    if not any(borders):
        return image
    fill = (value,) * 4 if isinstance(value, (int, float)) else tuple(value)
    return cv2.copyMakeBorder(image, *borders, cv2.BORDER_CONSTANT, value=fill)


def _compose(
    results: dict, scale_factor: tuple[float, float] | None, pad_param: np.ndarray | None
) -> None:
    """Make ``scale_factor`` and ``pad_param`` of this step those from the original image on."""
    scale_w, scale_h = results['scale_factor']
    if pad_param is not None:
        ratios = np.array((scale_h, scale_h, scale_w, scale_w), dtype=np.float32)
        results['pad_param'] = (
            results['pad_param'] + np.asarray(pad_param, dtype=np.float32) * ratios
        )
    if scale_factor is not None:
        results['scale_factor'] = (scale_factor[0] * scale_w, scale_factor[1] * scale_h)
