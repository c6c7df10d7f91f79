"""Outlines of objects: their areas, and masks and round shapes as rings.

A ring is an array ``(N, 2)`` of x and y in pixels on the continuous axis, where pixel 0 covers
``[0, 1]``, not closed. An object is the union of its rings; a ring that crosses itself covers what
an even-odd fill covers, as COCO's rasteriser does.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import shapely
from pycocotools import mask as coco_mask
from scipy.spatial import cKDTree

from mmyolo_lite.datasets.converters.coco_json import polygon_area
from mmyolo_lite.ops.ring_join import join_rings

ROUND_SHAPE_POINTS = 36
MAX_COORDINATE = 1e9  # pixels
MAX_HOLES = 64  # of one part of a mask; a mask of noise has thousands
MAX_VERTEX_PAIRS = 2**22  # for which all distances are computed at once: about 130 MB
OVERLAP_TOLERANCE = 1e-3


def ring_points(value: Any) -> np.ndarray:
    """Return a list of ``[x, y]`` pairs from outside as points ``(N, 2)``.

    Raises:
        ValueError: It is something else, or a number is not finite.
    """
    try:
        points = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError('points that are not pairs of numbers') from error
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError('points that are not pairs of numbers')
    if not are_coordinates(points):
        raise ValueError('points that are no finite numbers, or beyond any image')
    return points


def are_coordinates(values: Any) -> bool:
    """Say whether numbers are finite and small enough to lie in or near an image."""
    return bool((np.abs(values) <= MAX_COORDINATE).all())


def ellipse_ring(
    centre_xy: Sequence[float], radii_xy: Sequence[float], turn: float = 0.0
) -> np.ndarray:
    """Return 36 points on an ellipse, whose x axis is turned by ``turn`` radians toward y.

    Raises:
        ValueError: A number is not finite or beyond any image.
    """
    if not are_coordinates([*centre_xy, *radii_xy, turn]):
        raise ValueError('ellipse with a value that is no finite number, or beyond any image')
    angle = np.arange(ROUND_SHAPE_POINTS) * (2 * math.pi / ROUND_SHAPE_POINTS)
    along, across = radii_xy[0] * np.cos(angle), radii_xy[1] * np.sin(angle)
    x = centre_xy[0] + along * math.cos(turn) - across * math.sin(turn)
    y = centre_xy[1] + along * math.sin(turn) + across * math.cos(turn)
    return np.stack([x, y], axis=1)


def rings_area(rings: Sequence[np.ndarray]) -> float:
    """Return the area in square pixels that an object covers.

    One ring: the shoelace formula. Several: the area of their union. Where a ring crosses or
    touches itself, neither holds, and the pixels of COCO's rasteriser are counted.
    """
    closed = [shapely.linearrings(ring) for ring in rings]
    if not all(map(shapely.is_valid, closed)):
        return float(coco_mask.area(rasterize_coco(rings)))
    if len(rings) == 1:
        return polygon_area(rings[0])
    return float(shapely.union_all(shapely.polygons(closed)).area)


def rasterize_coco(rings: Sequence[np.ndarray]) -> dict[str, Any]:
    """Return the COCO run-length mask of an object's rings, cropped to whole pixels around them."""
    points = np.concatenate(rings)
    corner = np.floor(points.min(axis=0))
    width, height = (np.ceil(points.max(axis=0)) - corner + 1).astype(int).tolist()
    flat = [(ring - corner).ravel().tolist() for ring in rings]
    return coco_mask.merge(coco_mask.frPyObjects(flat, height, width))


def mask_to_rings(mask: np.ndarray, corner_xy: tuple[int, int] = (0, 0)) -> list[np.ndarray]:
    """Trace a mask along the borders of its pixels.

    COCO's rasteriser turns the rings into the same mask again, pixel by pixel; only the smaller
    ones of more than 64 holes in one part are filled. A hole is joined to the ring around it by a
    doubled line.

    Args:
        mask: (H, W), an object where it is not zero.
        corner_xy: Place of the mask's first pixel in the image.

    Returns:
        A ring for every part of the mask.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return []
    left, top = int(columns[0]), int(rows[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(bool).astype(np.uint8)
    doubled = crop.repeat(2, axis=0).repeat(2, axis=1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    shift = np.array(corner_xy) + (left, top)
    # A contour runs through pixel centres. With every pixel doubled, its first half has an even
    # index and lies inside by the pixel's left border, the second an odd one by the right border.
    borders = [_without_repeats((contour[:, 0] + 1) // 2) + shift for contour in contours]
    parents = hierarchy.reshape(-1, 4)[:, 3].tolist()  # -1 for an outer contour
    holes: dict[int, list[np.ndarray]] = {}
    for border, parent in zip(borders, parents, strict=True):
        if parent >= 0:
            holes.setdefault(parent, []).append(border)
    return [
        _cut_out(border, holes.get(index, []))
        for index, border in enumerate(borders)
        if parents[index] < 0
    ]


def _without_repeats(points: np.ndarray) -> np.ndarray:
    """Drop points equal to the one before, cyclically, and go to float64."""
    return points[(points != np.roll(points, 1, axis=0)).any(axis=1)].astype(np.float64)


def _cut_out(outer: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """Join holes to the ring around them, each by a doubled line from its nearest vertex."""
    for hole in sorted(holes, key=polygon_area, reverse=True)[:MAX_HOLES]:
        distance, nearest = cKDTree(outer).query(hole)
        start = int(distance.argmin())
        leave = int(nearest[start])
        path = (outer[: leave + 1], hole[start:], hole[: start + 1], outer[leave:])
        outer = np.concatenate(path)
    return outer


def one_ring(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Join an object's rings into one that covers the same under an even-odd fill.

    Rings that overlap are united first: an even-odd fill would leave out what lies in two of them.

    Args:
        rings: At least one ring.

    Returns:
        (M, 2) points.
    """
    parts = _apart(rings)
    pairs = max((len(a) * len(b) for a, b in zip(parts[:-1], parts[1:], strict=True)), default=0)
    if pairs > MAX_VERTEX_PAIRS:
        return _cut_out(parts[0], parts[1:])  # a part is joined like a hole, with a search tree
    return join_rings([part.ravel() for part in parts]).reshape(-1, 2)


def _apart(rings: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return rings of the same union that do not overlap; rings that cross themselves stay."""
    if len(rings) == 1:
        return list(rings)
    polygons = [shapely.Polygon(ring) for ring in rings]
    if not all(shapely.is_valid(polygons)):
        return list(rings)
    union = shapely.union_all(polygons)
    if union.area > (1 - OVERLAP_TOLERANCE) * sum(polygon.area for polygon in polygons):
        return list(rings)
    return [
        _cut_out(_open(part.exterior), [_open(hole) for hole in part.interiors])
        for part in shapely.get_parts(union)
        if isinstance(part, shapely.Polygon)
    ]


def _open(ring: shapely.LinearRing) -> np.ndarray:
    return shapely.get_coordinates(ring)[:-1]
