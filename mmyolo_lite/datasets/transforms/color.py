"""Random hue, saturation and brightness."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmyolo_lite.registry import TRANSFORMS

_HUES = 180
"""OpenCV stores the hue of a uint8 image in steps of two degrees."""

_ROWS = 64
"""So many rows at a time stay in the processor's cache from the first step to the last."""


def scale_hsv(img: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Multiply hue (cyclic), saturation and value (both clipped) of an image by three gains.

    Args:
        img: (H, W, 3) uint8, BGR.
        gains: (3,) factors of hue, saturation and value.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    levels = np.arange(256, dtype=np.float64)
    tables = (levels * gains[0] % _HUES, *(np.clip(levels * gain, 0, 255) for gain in gains[1:]))
    tables_of_bytes = [table.astype(np.uint8) for table in tables]
    result, hsv, channels = np.empty_like(img, order='C'), None, None
    for start in range(0, len(img), _ROWS):
        rows = slice(start, start + _ROWS)
        hsv = cv2.cvtColor(img[rows], cv2.COLOR_BGR2HSV, dst=hsv)
        channels = cv2.split(hsv, mv=channels)
        for channel, table in zip(channels, tables_of_bytes, strict=True):
            cv2.LUT(channel, table, dst=channel)
        cv2.cvtColor(cv2.merge(channels, dst=hsv), cv2.COLOR_HSV2BGR, dst=result[rows])
    return result


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
