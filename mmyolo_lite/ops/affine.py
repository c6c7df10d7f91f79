"""The random affine: its matrix, what it does to images and boxes, and which boxes survive it.

Legend: N boxes, xyxy in pixels.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np


def fit_inside(image_wh: tuple[int, int], fit_wh: tuple[int, int]) -> tuple[float, tuple[int, int]]:
    """Scale a size to fit another, growing or shrinking, as tiles of a mosaic are.

    Args:
        image_wh: Width and height of the image.
        fit_wh: Width and height it has to fit.

    Returns:
        The ratio, and the scaled width and height cut to whole pixels, at least one.
    """
    width, height = image_wh
    ratio = min(fit_wh[1] / height, fit_wh[0] / width)
    return ratio, (max(int(width * ratio), 1), max(int(height * ratio), 1))


def affine_matrix(
    rotation_degree: float,
    scale: float,
    shear_degree_xy: tuple[float, float],
    translate_xy: tuple[float, float],
    input_wh: tuple[int, int],
) -> np.ndarray:
    """Build ``translate @ shear @ rotate @ scale @ centre`` in float32 (spec: data.md 6.1).

    `centre` moves the middle of the input image to the origin, so `translate_xy` is where that
    middle lands in the output.

    Args:
        rotation_degree: Rotation in degrees.
        scale: Zoom, > 0.
        shear_degree_xy: Shear of x along y and of y along x, in degrees.
        translate_xy: Place of the input's centre in the output, pixels.
        input_wh: Width and height of the input image.

    Returns:
        (3, 3) float32, last row ``0, 0, 1``; maps input pixels to output pixels.
    """
    angle = math.radians(rotation_degree)
    cos, sin = math.cos(angle), math.sin(angle)
    shear_x, shear_y = (math.tan(math.radians(degree)) for degree in shear_degree_xy)
    centre = _matrix([1, 0, -input_wh[0] / 2], [0, 1, -input_wh[1] / 2])
    zoom = _matrix([scale, 0, 0], [0, scale, 0])
    rotate = _matrix([cos, -sin, 0], [sin, cos, 0])
    shear = _matrix([1, shear_x, 0], [shear_y, 1, 0])
    translate = _matrix([1, 0, translate_xy[0]], [0, 1, translate_xy[1]])
    return translate @ shear @ rotate @ zoom @ centre


def _matrix(first: list[float], second: list[float]) -> np.ndarray:
    return np.array([first, second, [0, 0, 1]], dtype=np.float32)


def warp_image(
    img: np.ndarray,
    matrix: np.ndarray,
    output_wh: tuple[int, int],
    border_val: float | Sequence[float] = (114, 114, 114),
) -> np.ndarray:
    """Warp an image bilinearly, with the very pixels of ``cv2.warpPerspective``.

    Args:
        img: (H, W, 3) uint8. With a fourth channel, whose values do not matter, it takes less than
            half of the time: OpenCV 5 gathers four bytes at once (640 x 640: 0.8 ms, not 2.2).
        matrix: (3, 3) affine matrix from input to output pixels, last row ``0, 0, 1``.
        output_wh: Width and height of the output.
        border_val: Colour of what lies outside the input; one number is that of the first channel,
            as OpenCV takes it.

    Returns:
        (height, width, 3) uint8, contiguous.
    """
    if img.ndim != 3 or img.shape[2] not in (3, 4) or img.dtype != np.uint8:
        return cv2.warpPerspective(img, matrix, output_wh, borderValue=border_val)
    if img.shape[2] == 3:
        img = cv2.cvtColor(img, cv2.COLOR_BGR2BGRA)
    border = border_val if isinstance(border_val, Sequence) else (border_val,)
    warped = cv2.warpAffine(img, matrix[:2], output_wh, borderValue=border)
    return cv2.cvtColor(warped, cv2.COLOR_BGRA2BGR)


def seen_window(
    matrix: np.ndarray, output_wh: tuple[int, int], input_wh: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the part of the input that a bilinear warp reads.

    Args:
        matrix: (3, 3) affine matrix from input to output pixels, invertible.
        output_wh: Width and height of the output.
        input_wh: Width and height of the input.

    Returns:
        ``x1, y1, x2, y2`` in whole input pixels, at least one pixel large and inside the input.
    """
    (a, b, shift_x), (c, d, shift_y) = matrix[:2].tolist()
    scale = 1 / (a * d - b * c)
    width, height = output_wh
    corners = [
        (x - shift_x, y - shift_y) for x, y in ((0, 0), (width, 0), (0, height), (width, height))
    ]
    back_x = [scale * (d * x - b * y) for x, y in corners]
    back_y = [scale * (a * y - c * x) for x, y in corners]
    # one pixel for the second tap, one for rounding
    left, top = (
        min(max(math.floor(min(back)) - 2, 0), limit - 1)
        for back, limit in zip((back_x, back_y), input_wh, strict=True)
    )
    right, bottom = (
        min(max(math.ceil(max(back)) + 3, first + 1), limit)
        for back, first, limit in zip((back_x, back_y), (left, top), input_wh, strict=True)
    )
    return left, top, right, bottom


def transform_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Bound the four transformed corners of each box.

    Args:
        boxes: (N, 4) xyxy.
        matrix: (3, 3) affine matrix.

    Returns:
        (N, 4) float32 xyxy, not clipped.
    """
    matrix = np.asarray(matrix, dtype=np.float32)
    corners = np.asarray(boxes, dtype=np.float32)[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2)
    corners = corners @ matrix[:2, :2].T + matrix[:2, 2]
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def keep_boxes(
    before: np.ndarray,
    after: np.ndarray,
    min_size: float,
    min_area_ratio: float,
    max_aspect_ratio: float,
) -> np.ndarray:
    """Say which boxes are still worth learning from; every comparison is strict (spec: data.md
    6.1).

    Args:
        before: (N, 4) xyxy before the transform, already times the zoom, so that only what got lost
            counts.
        after: (N, 4) xyxy after the transform.
        min_size: Smallest width and height after it, pixels.
        min_area_ratio: Smallest share of the area that remains, in [0, 1].
        max_aspect_ratio: Largest ratio of the longer to the shorter side.

    Returns:
        (N,) bool.
    """
    epsilon = 1e-16
    width_before, height_before = (before[:, 2:] - before[:, :2]).T
    width, height = (after[:, 2:] - after[:, :2]).T
    area_ratio = width * height / (width_before * height_before + epsilon)
    aspect_ratio = np.maximum(width / (height + epsilon), height / (width + epsilon))
    return (
        (width > min_size)
        & (height > min_size)
        & (area_ratio > min_area_ratio)
        & (aspect_ratio < max_aspect_ratio)
    )
