"""Random hue, saturation and brightness."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmyolo_lite.registry import TRANSFORMS

_HUES = 180
"""OpenCV stores the hue of a uint8 image in steps of two degrees."""

_LEVELS = np.arange(256, dtype=np.float64)
_MARGIN = 1e-4
"""A product is cut to whole levels by rounding it less a half less this; float32 errs by less."""


def scale_hsv(img: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Multiply hue (cyclic), saturation and value (both clipped) of an image by three gains.

    Products are cut to whole levels, as a conversion to uint8 does.

    Args:
        img: (H, W, 3) uint8, BGR.
        gains: (3,) factors of hue, saturation and value, at least 0.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    channels = cv2.split(cv2.cvtColor(img, cv2.COLOR_BGR2HSV))
    for channel, gain, count in zip(channels, gains, (_HUES, 256, 256), strict=True):
        _scale_levels(channel, float(gain), count)
    return cv2.cvtColor(cv2.merge(channels), cv2.COLOR_HSV2BGR)


def _scale_levels(channel: np.ndarray, gain: float, count: int) -> None:
    """Multiply a channel (H, W) uint8 of `count` levels in place; hues, of which there are fewer
    than bytes, begin anew above the last.
    """
    products = _LEVELS[:count] * gain
    wraps = count == _HUES and products[-1] >= _HUES
    if not wraps and np.array_equal(np.floor(products), np.floor(products + 2 * _MARGIN)):
        # in half of the time of a table, with the same levels
        cv2.convertScaleAbs(channel, dst=channel, alpha=gain, beta=_MARGIN - 0.5)
        return
    products = _LEVELS * gain
    table = products % _HUES if count == _HUES else np.clip(products, 0, 255)
    cv2.LUT(channel, table.astype(np.uint8), dst=channel)


@TRANSFORMS.register_module()
class YOLOv5HSVRandomAug(BaseTransform):
    """Multiply hue, saturation and value by random gains around 1, always (spec: data.md 6.3).

    Draws ``np.random.uniform(-1, 1, 3)``.

    Args:
        hue_delta: The hue's gain is drawn from ``1 - hue_delta`` to ``1 + hue_delta``.
        saturation_delta: The same for the saturation.
        value_delta: The same for the value.
    """

    def __init__(
        self, hue_delta: float = 0.015, saturation_delta: float = 0.7, value_delta: float = 0.4
    ) -> None:
        self.hue_delta = hue_delta
        self.saturation_delta = saturation_delta
        self.value_delta = value_delta

    def transform(self, results: dict) -> dict:
        """Replace ``results['img']``, (H, W, 3) uint8 BGR."""
        deltas = (self.hue_delta, self.saturation_delta, self.value_delta)
        gains = np.random.uniform(-1, 1, 3) * deltas + 1
        results['img'] = scale_hsv(results['img'], gains)
        return results
