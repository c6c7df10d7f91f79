"""Give every batch of a validation set the smallest letterbox shape that fits its images."""

import numpy as np
from mmengine.dist import get_world_size

from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.registry import TASK_UTILS


def unit_shape(ratios: np.ndarray) -> tuple[float, float]:
    """Return the smallest ``(height, width)``, long side 1, that holds images of these aspect
    ratios.

    Args:
        ratios: (N,) height / width of the images of one batch, N >= 1.

    Returns:
        ``(max ratio, 1)`` if all are landscape, ``(1, 1 / min ratio)`` if all are portrait, else
        ``(1, 1)``.
    """
    low, high = float(ratios.min()), float(ratios.max())
    if high < 1:
        return high, 1.0
    if low > 1:
        return 1.0, 1 / low
    return 1.0, 1.0


@TASK_UTILS.register_module()
class BatchShapePolicy:
    """Sort images by aspect ratio, and note for each image the input shape of its batch.

    Source: spec data.md 2. The sort is stable: images of equal ratio keep the order of the
        annotation file.

    Args:
        batch_size: images of one batch on one process, >= 1.
        img_size: long side of the input before padding, in pixels.
        size_divisor: both sides become a multiple of it, in pixels; the largest stride of the
            model.
        extra_pad_ratio: part of a `size_divisor` added before rounding up; 0.5 pads a side of 640
            to 672.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        batch_size: int = 32,
        img_size: int = 640,
        size_divisor: int = 32,
        extra_pad_ratio: float = 0.5,
    ) -> None:
        sizes = {'batch_size': batch_size, 'img_size': img_size, 'size_divisor': size_divisor}
        for name, value in sizes.items():
            if int(value) != value or value < 1:
                raise ConfigError(
                    f'BatchShapePolicy: {name} must be a whole number >= 1, got {value!r}'
                )
        if extra_pad_ratio < 0:
            raise ConfigError(
                f'BatchShapePolicy: extra_pad_ratio must be >= 0, got {extra_pad_ratio!r}'
            )
        self.batch_size = batch_size
        self.img_size = img_size
        self.size_divisor = size_divisor
        self.extra_pad_ratio = extra_pad_ratio

    def __call__(self, data_list: list[dict]) -> list[dict]:
        """Return the images in order of height / width, each with ``batch_shape``, int64 ``(height,
        width)``.

        Args:
            data_list: one dict an image, with ``height`` and ``width`` in pixels; changed in place.

        Raises:
            DataError: an image has no positive ``height`` and ``width``.
        """
        if not data_list:
            return []
        ratios = np.array([_aspect_ratio(info) for info in data_list], dtype=np.float64)
        order = np.argsort(ratios, kind='stable')
        # A DefaultSampler without shuffling deals the images to the processes one by one, so that
        # one batch of all processes together is a run of consecutive images.
        step = self.batch_size * get_world_size()
        ordered = []
        for start in range(0, len(order), step):
            members = order[start : start + step]
            unit = np.array(unit_shape(ratios[members]))
            cells = np.ceil(unit * self.img_size / self.size_divisor + self.extra_pad_ratio)
            shape = cells.astype(np.int64) * self.size_divisor
            for index in members:
                data_list[index]['batch_shape'] = shape
                ordered.append(data_list[index])
        return ordered


def _aspect_ratio(info: dict) -> float:
    height, width = info.get('height'), info.get('width')
    if not height or not width or height < 0 or width < 0:
        name = info.get('img_path', info.get('img_id', 'unknown'))
        raise DataError(
            f'BatchShapePolicy needs the size of every image, but image {name} has '
            f'height={height!r}, width={width!r}. Add both to its entry under "images" in the '
            'annotation file.'
        )
    return height / width
