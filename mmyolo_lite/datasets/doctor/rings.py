"""What is wrong with the rings of polygons: all rings of many objects in flat arrays at once.

Legend: N annotations, R rings of them, P vertices of all rings.
"""

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np

from mmyolo_lite.datasets.coco_checks import LARGEST_NUMBER

OUTSIDE_TOLERANCE = 1.0
"""Pixels by which a polygon may pass the border of its image."""
BOX_TOLERANCE = 2.0
"""Pixels by which an edge of a box may differ from the extent of its mask ..."""
BOX_TOLERANCE_SHARE = 0.05
"""... or this share of its longer side, whichever is more."""
AREA_TOLERANCE = 4.0
"""Square pixels by which an area may differ from the polygon's and the box's ..."""
AREA_TOLERANCE_SHARE = 0.1
"""... or this share, whichever is more."""
FLAT = 1e-3
"""Square pixels: a ring that encloses less is flat."""

_Found = Iterator[tuple[str, int, str]]


class _Rings(NamedTuple):
    """Rings with an even number of at least six coordinates, and what follows from them."""

    owners: np.ndarray
    """(R,) index of the annotation, ascending."""
    finite: np.ndarray
    """(R,) bool: no NaN, no infinity, no huge number."""
    areas: np.ndarray
    """(R,) enclosed by each, shoelace formula, in square pixels."""
    low: np.ndarray
    """(R, 2) least x and y."""
    high: np.ndarray
    """(R, 2) greatest x and y."""


def ring_defects(annotations: list[dict], size_wh: np.ndarray) -> _Found:
    """Yield the code, the index and the end of a sentence for everything wrong with polygons.

    Args:
        annotations: N entries with a sound structure.
        size_wh: (N, 2) width and height of the image of each, in pixels.
    """
    owners, rings = [], []
    for index, annotation in enumerate(annotations):
        mask = annotation.get('segmentation')
        for ring in mask if isinstance(mask, list) else ():
            defect = _length_defect(ring)
            if defect:
                yield defect[0], index, defect[1]
            else:
                owners.append(index)
                rings.append(ring)
    if rings:
        table = _table(owners, rings)
        yield from _single_defects(table)
        yield from _object_defects(table, annotations, size_wh)


def ring_fault(ring: list) -> str:
    """Return the kind of finding of one ring of numbers, by itself; '' for a sound one."""
    defect = _length_defect(ring)
    if defect:
        return defect[0]
    return next((code for code, _, _ in _single_defects(_table([0], [ring]))), '')


def _length_defect(ring: list) -> tuple[str, str] | None:
    if len(ring) < 6:
        return 'polygon-too-short', f'has a ring of {len(ring)} numbers: {ring}'
    if len(ring) % 2:
        return 'polygon-odd', f'has a ring of {len(ring)} numbers, not of pairs'
    return None


def _table(owners: list[int], rings: list[list]) -> _Rings:
    lengths = np.array([len(ring) for ring in rings]) // 2
    flat = np.fromiter(chain.from_iterable(rings), np.float64, count=2 * int(lengths.sum()))
    points = flat.reshape(-1, 2)  # (P, 2)
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    following = np.arange(1, len(points) + 1)
    following[starts + lengths - 1] = starts  # the last vertex leads to the first
    with np.errstate(invalid='ignore', over='ignore'):
        # relative to the first vertex: far from the origin products would lose digits
        x, y = (points - np.repeat(points[starts], lengths, axis=0)).T
        cross = x * y[following] - x[following] * y
        return _Rings(
            np.array(owners),
            np.logical_and.reduceat((np.abs(points) <= LARGEST_NUMBER).all(1), starts),
            np.abs(np.add.reduceat(cross, starts)) / 2,
            np.minimum.reduceat(points, starts),
            np.maximum.reduceat(points, starts),
        )


def _single_defects(table: _Rings) -> _Found:
    for ring in np.flatnonzero(~table.finite).tolist():
        ending = 'has a ring with NaN, infinity or a huge number'
        yield 'polygon-not-finite', int(table.owners[ring]), ending
    for ring in np.flatnonzero(table.finite & (table.areas < FLAT)).tolist():
        (x1, y1), (x2, y2) = table.low[ring], table.high[ring]
        ending = f'has a ring without area, from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})'
        yield 'polygon-flat', int(table.owners[ring]), ending


def _object_defects(table: _Rings, annotations: list[dict], size_wh: np.ndarray) -> _Found:
    """Compare objects, all of whose rings are finite, with their boxes, areas and images."""
    objects, starts = np.unique(table.owners, return_index=True)
    low, high = np.minimum.reduceat(table.low, starts), np.maximum.reduceat(table.high, starts)
    usable = np.logical_and.reduceat(table.finite, starts)
    areas = np.add.reduceat(table.areas, starts)
    objects, low, high, areas = objects[usable], low[usable], high[usable], areas[usable]
    if not len(objects):
        return
    over = np.maximum(-low, high - size_wh[objects]).max(1)
    for i in np.flatnonzero(over > OUTSIDE_TOLERANCE).tolist():
        index = int(objects[i])
        width, height = size_wh[index]
        yield (
            'polygon-outside',
            index,
            f'has a polygon that reaches {over[i]:.1f} px beyond its image of '
            f'{width:g} x {height:g}',
        )
    boxes = np.array([annotations[i]['bbox'] for i in objects], dtype=np.float64)
    for i in np.flatnonzero(disagree(boxes, low, high)).tolist():
        index = int(objects[i])
        yield 'box-mask-disagree', index, disagreement(annotations[index], low[i], high[i])
    stated = np.array([annotations[i]['area'] for i in objects], dtype=np.float64)
    fits = _close(stated, areas) | _close(stated, boxes[:, 2] * boxes[:, 3]) | (stated <= 0)
    for i in np.flatnonzero(~fits).tolist():
        ending = f'has area={stated[i]:g}, but its polygons enclose {areas[i]:.1f}'
        yield 'area-mismatch', int(objects[i]), ending


def disagree(boxes: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Say which boxes are not those around their masks.

    Args:
        boxes: (N, 4) x, y, width, height in pixels.
        low: (N, 2) least x and y of each mask.
        high: (N, 2) greatest x and y of each mask.

    Returns:
        (N,) bool.
    """
    apart = np.maximum(np.abs(boxes[:, :2] - low), np.abs(boxes[:, :2] + boxes[:, 2:] - high))
    allowed = np.maximum(BOX_TOLERANCE, BOX_TOLERANCE_SHARE * (high - low).max(1))
    return apart.max(1) > allowed


def disagreement(annotation: dict, low: np.ndarray, high: np.ndarray) -> str:
    """Return the end of a sentence about a box that is not around its mask."""
    spanned = ', '.join(f'{value:.1f}' for value in np.concatenate((low, high - low)))
    return f'has bbox={annotation["bbox"]}, but its mask spans [{spanned}]'


def _close(stated: np.ndarray, true: np.ndarray) -> np.ndarray:
    return np.abs(stated - true) <= np.maximum(AREA_TOLERANCE, AREA_TOLERANCE_SHARE * true)
