"""Polygons of objects: moving, resampling and bounding their rings.

Legend: N objects, R rings of all objects, P vertices of all rings, S samples a ring. ``Polygons``
is what mmdet's ``PolygonMasks.masks`` holds: a list (objects) of lists (rings) of flat arrays
``x1,y1,x2,y2,...`` in pixels, where a coordinate addresses a point of the continuous axis (spec:
data.md section 0). No function changes its input: rings may be shared with a cache.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from mmyolo_lite.errors import DataError

Polygons = list[list[np.ndarray]]


class RingTable(NamedTuple):
    """All rings of a sample in flat arrays, so that one numpy call moves every vertex."""

    points: np.ndarray
    """(P, 2) float64, x and y in pixels."""
    starts: np.ndarray
    """(R + 1,) int64: ring r owns ``points[starts[r]:starts[r + 1]]``."""
    counts: list[int]
    """Number of rings of each of the N objects."""

    @property
    def owners(self) -> np.ndarray:
        """(R,) int64: the object each ring belongs to."""
        return np.repeat(np.arange(len(self.counts)), self.counts)


def require_polygons(masks: object) -> None:
    """Raise a DataError if `masks` are bitmaps, not polygons."""
    if not isinstance(masks, list):
        raise DataError(
            f'masks are of type {type(masks).__name__}, not polygons (a list of objects, each a '
            'list of rings): load the annotations with poly2mask=False'
        )


def pack(polygons: Polygons) -> RingTable:
    """Put the rings of all objects into one table.

    Raises:
        DataError: If the masks are bitmaps, not polygons.
    """
    require_polygons(polygons)
    rings = [np.asarray(ring) for rings_of_object in polygons for ring in rings_of_object]
    starts = np.zeros(len(rings) + 1, dtype=np.int64)
    np.cumsum([ring.size // 2 for ring in rings], out=starts[1:])
    flat = np.concatenate(rings).astype(np.float64, copy=False) if rings else np.zeros(0)
    return RingTable(flat.reshape(-1, 2), starts, [len(rings) for rings in polygons])


def unpack(points: np.ndarray, starts: np.ndarray, counts: Sequence[int]) -> Polygons:
    """Undo :func:`pack`; the rings are views of `points` (P, 2), x and y, and begin at `starts`."""
    flat, bounds = points.reshape(-1), (np.asarray(starts) * 2).tolist()
    return group(
        [flat[start:stop] for start, stop in zip(bounds[:-1], bounds[1:], strict=True)], counts
    )


def group(rings: Sequence[np.ndarray], counts: Sequence[int]) -> Polygons:
    """Deal R rings (K, 2) out to N objects, ``counts[n]`` consecutive ones to object n."""
    remaining = iter(rings)
    return [[next(remaining) for _ in range(count)] for count in counts]


def clamp(points: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Return points (..., 2), x and y; those outside the window ``[0, width] x [0, height]`` are
    moved to its border.
    """
    if size_wh[0] == size_wh[1]:  # one limit for both axes takes a third of the time
        return np.clip(points, 0, float(size_wh[0]))
    return np.clip(points, 0, np.asarray(size_wh, dtype=np.float64))


def scale_shift(
    polygons: Polygons,
    scale_xy: tuple[float, float] = (1.0, 1.0),
    shift_xy: tuple[float, float] = (0.0, 0.0),
    clamp_wh: tuple[int, int] | None = None,
) -> Polygons:
    """Return the polygons times `scale_xy` plus `shift_xy` (pixels), clamped to a window if one is
    given.
    """
    table = pack(polygons)
    points = table.points * np.asarray(scale_xy, dtype=np.float64) + np.asarray(
        shift_xy, dtype=np.float64
    )
    if clamp_wh is not None:
        points = clamp(points, clamp_wh)
    return unpack(points, table.starts, table.counts)


def mirror(polygons: Polygons, width: int) -> Polygons:
    """Mirror the polygons horizontally in an image of `width` pixels: ``x -> width - x``."""
    table = pack(polygons)
    table.points[:, 0] = width - table.points[:, 0]
    return unpack(table.points, table.starts, table.counts)


@lru_cache(maxsize=256)
def _sampling_plan(length: int, num: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (num,) each: the vertices before and after each sample of a ring of `length` vertices,
    and how far it lies between them. Kept, as rings share their lengths.
    """
    position = np.linspace(0.0, length, num)
    index = position.astype(np.int64)
    fraction = position - index
    index[index == length] = 0  # only the last sample gets there: it closes the ring
    following = index + 1
    following[following == length] = 0
    return index, following, fraction


def resample(table: RingTable, num: int) -> np.ndarray:
    """Sample every ring at `num` places spread evenly over its vertex index.

    The ring is closed first: n vertices make n edges, and sample positions run from 0 to n
    inclusive, so the first and the last sample coincide. Sampling by index, not by length, may pass
    by a vertex (spec: data.md 6.1, step 1).

    Args:
        table: R rings of at least one vertex.
        num: Samples S per ring, at least 2.

    Returns:
        (R, S, 2) float64.
    """
    lengths = np.diff(table.starts).tolist()
    if not lengths:
        return np.zeros((0, num, 2))
    plans = [_sampling_plan(length, num) for length in lengths]
    first = np.repeat(table.starts[:-1], num)
    index, following, fraction = (np.concatenate(parts) for parts in zip(*plans, strict=True))
    begin = table.points.take(index + first, axis=0)
    end = table.points.take(following + first, axis=0)
    end -= begin
    end[:, 0] *= fraction
    end[:, 1] *= fraction
    end += begin
    return end.reshape(len(lengths), num, 2)


def objects_in_sight(table: RingTable, size_wh: tuple[int, int]) -> np.ndarray:
    """Say which objects have a ring whose hull meets the window ``[0, width] x [0, height]``; no
    point of the others lies inside.

    Returns:
        (N,) bool.
    """
    visible = np.zeros(len(table.counts), dtype=bool)
    if len(table.points):
        firsts = table.starts[:-1]
        low = np.minimum.reduceat(table.points, firsts, axis=0)
        high = np.maximum.reduceat(table.points, firsts, axis=0)
        meets = ((high >= 0) & (low <= np.asarray(size_wh))).all(axis=1)
        visible[table.owners[meets]] = True
    return visible


def select_objects(table: RingTable, keep: np.ndarray) -> RingTable:
    """Return the table of the objects that `keep` (N,) bool marks."""
    if keep.all():
        return table
    ring_kept = keep[table.owners]
    lengths = np.diff(table.starts)
    starts = np.concatenate([[0], np.cumsum(lengths[ring_kept])])
    counts = [count for count, kept in zip(table.counts, keep.tolist(), strict=True) if kept]
    return RingTable(table.points[np.repeat(ring_kept, lengths)], starts, counts)


def transform(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Map points (..., 2) by an affine matrix (3, 3), whose last row is ``0, 0, 1``, in float64."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return points @ matrix[:2, :2].T + matrix[:2, 2]


def visible_bounds(
    samples: np.ndarray, owners: np.ndarray, num_objects: int, size_wh: tuple[int, int]
) -> np.ndarray:
    """Bound the samples inside the window, object by object.

    A ring counts only if one of its samples lies inside the window (borders included) and off the
    line x = 0. An object none of whose rings count gets ``0, 0, 0, 0``, even if it covers the
    window: its contour is out of sight (spec: data.md 6.1, step 3).

    Args:
        samples: (R, S, 2) points in pixels. Samples that are not finite are never inside.
        owners: (R,) object of each ring, in ``[0, N)``.
        num_objects: N.
        size_wh: Width and height of the window.

    Returns:
        (N, 4) float32 xyxy boxes in pixels.
    """
    xy = np.ascontiguousarray(np.moveaxis(samples, -1, 0))
    ring_low, ring_high = xy.min(axis=2).T, xy.max(axis=2).T  # (R, 2)
    # most rings lie inside with all of their samples
    whole = ((ring_low >= 0) & (ring_high <= size_wh)).all(axis=1) & (ring_high[:, 0] > 0)
    if not whole.all():
        x, y = cut = xy[:, ~whole]
        inside = (x >= 0) & (x <= size_wh[0]) & (y >= 0) & (y <= size_wh[1])
        inside &= (inside & (x != 0)).any(axis=1, keepdims=True)
        ring_low[~whole] = np.where(inside, cut, np.inf).min(axis=2).T
        ring_high[~whole] = np.where(inside, cut, -np.inf).max(axis=2).T
    low = np.full((num_objects, 2), np.inf)
    high = np.full((num_objects, 2), -np.inf)
    np.minimum.at(low, owners, ring_low)
    np.maximum.at(high, owners, ring_high)
    bounds = np.concatenate([low, high], axis=1)
    return np.where(np.isfinite(bounds), bounds, 0).astype(np.float32)
