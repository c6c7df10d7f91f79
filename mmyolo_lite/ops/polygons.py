"""Polygons of objects: moving, resampling, bounding and rasterising their rings.

Legend: N objects, R rings of all objects, P vertices of all rings, S samples a ring. ``Polygons``
is what mmdet's ``PolygonMasks.masks`` holds: a list (objects) of lists (rings) of flat arrays
``x1,y1,x2,y2,...`` in pixels, where a coordinate addresses a point of the continuous axis (spec:
data.md section 0). No function changes its input: rings may be shared with a cache.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import mmcv
import numpy as np

from mmyolo_lite.errors import DataError

Polygons = list[list[np.ndarray]]

# Ratios at which a bilinear resize reads only the centre of each cell, see `downsample`.
_CENTRAL_RATIOS = (2, 4)


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
    """Undo :func:`pack`; the rings are views of `points` (P, 2)."""
    flat, bounds = points.reshape(-1), (np.asarray(starts) * 2).tolist()
    return group(
        [flat[start:stop] for start, stop in zip(bounds[:-1], bounds[1:], strict=True)], counts
    )


def group(rings: Sequence[np.ndarray], counts: Sequence[int]) -> Polygons:
    """Deal R rings out to N objects, ``counts[n]`` consecutive ones to object n."""
    remaining = iter(rings)
    return [[next(remaining) for _ in range(count)] for count in counts]


def clamp(points: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Move points (..., 2) outside the window ``[0, width] x [0, height]`` to its border."""
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
    return scale_shift(polygons, (-1.0, 1.0), (float(width), 0.0))


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
    starts, lengths = table.starts[:-1, None], np.diff(table.starts)[:, None]
    position = np.linspace(0.0, lengths[:, 0], num, axis=1)
    index = position.astype(np.int64)
    fraction = (position - index)[..., None]
    index[index == lengths] = 0  # only the last sample gets there: it closes the ring
    following = index + 1
    following[following == lengths] = 0
    begin = table.points.take(starts + index, axis=0)
    end = table.points.take(starts + following, axis=0)
    end -= begin
    end *= fraction
    end += begin
    return end


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
    x, y = xy = np.ascontiguousarray(np.moveaxis(samples, -1, 0))
    inside = (x >= 0) & (x <= size_wh[0]) & (y >= 0) & (y <= size_wh[1])
    inside &= (inside & (x != 0)).any(axis=1, keepdims=True)
    low = np.full((num_objects, 2), np.inf)
    high = np.full((num_objects, 2), -np.inf)
    np.minimum.at(low, owners, np.where(inside, xy, np.inf).min(axis=2).T)
    np.maximum.at(high, owners, np.where(inside, xy, -np.inf).max(axis=2).T)
    bounds = np.concatenate([low, high], axis=1)
    return np.where(np.isfinite(bounds), bounds, 0).astype(np.float32)


def _to_pixels(rings: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Truncate the vertices of flat rings toward zero, (n, 2) int32 each; drop empty and non-finite
    rings.
    """
    return [
        np.asarray(ring).reshape(-1, 2).astype(np.int32)
        for ring in rings
        if len(ring) and np.isfinite(ring).all()
    ]


def rasterize(rings: Sequence[np.ndarray], size_hw: tuple[int, int]) -> np.ndarray:
    """Fill the union of an object's rings, contours included.

    Args:
        rings: Flat rings ``x1,y1,...`` in pixels. Vertices are truncated to integers and may lie
            outside.
        size_hw: Height and width of the mask.

    Returns:
        (H, W) uint8 of 0 and 1.
    """
    mask = np.zeros(size_hw, dtype=np.uint8)
    for vertices in _to_pixels(
        rings
    ):  # one by one: fillPoly on several rings would cut their overlap out
        cv2.fillPoly(mask, [vertices], 1)
    return mask


def downsample(mask: np.ndarray, ratio: int) -> np.ndarray:
    """Shrink a 0/1 mask (H, W) to (H // ratio, W // ratio) as a bilinear resize does.

    For ratio 2 and 4 on divisible sizes a bilinear resize averages the four central pixels of each
    cell and rounds a half up, so a pixel is set if two of the four are; taken by slices here. Other
    cases are resized (spec: data.md 6.5).
    """
    height, width = mask.shape
    if ratio == 1:
        return mask
    if min(height, width) < ratio:
        return np.zeros((height // ratio, width // ratio), dtype=np.uint8)
    if ratio not in _CENTRAL_RATIOS or height % ratio or width % ratio:
        return mmcv.imresize(mask, (width // ratio, height // ratio))
    low, high = ratio // 2 - 1, ratio // 2
    upper, lower = mask[low::ratio], mask[high::ratio]
    votes = (
        upper[:, low::ratio] + upper[:, high::ratio] + lower[:, low::ratio] + lower[:, high::ratio]
    )
    return (votes >= 2).view(np.uint8)


def rasterize_region(
    rings: Sequence[np.ndarray], size_hw: tuple[int, int], ratio: int = 1
) -> tuple[np.ndarray, tuple[int, int]]:
    """Rasterise and downsample an object inside its own box only.

    Pasting the result at its place into zeros of shape (H // ratio, W // ratio) gives exactly
    ``downsample(rasterize(rings, size_hw), ratio)``, at the cost of the object's box instead of the
    image.

    Returns:
        The mask (h, w) uint8 of the region, possibly empty, and the region's (top, left) corner in
        the downsampled image.
    """
    height, width = size_hw
    if ratio != 1 and (ratio not in _CENTRAL_RATIOS or height % ratio or width % ratio):
        return downsample(rasterize(rings, size_hw), ratio), (0, 0)
    pixels = _to_pixels(rings)
    if not pixels:
        return np.zeros((0, 0), dtype=np.uint8), (0, 0)
    left, top = (
        max(int(min(ring[:, axis].min() for ring in pixels)), 0) // ratio * ratio for axis in (0, 1)
    )
    right, bottom = (
        min((int(max(ring[:, axis].max() for ring in pixels)) // ratio + 1) * ratio, limit)
        for axis, limit in ((0, width), (1, height))
    )
    region = np.zeros((max(bottom - top, 0), max(right - left, 0)), dtype=np.uint8)
    if region.size:
        for vertices in pixels:
            cv2.fillPoly(region, [vertices], 1, offset=(-left, -top))
    return downsample(region, ratio), (top // ratio, left // ratio)


def _window(canvas: np.ndarray, region: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """Return the view of `canvas` (H, W) that `region` (h, w) covers when its top left lies at
    `corner`.
    """
    return canvas[corner[0] : corner[0] + region.shape[0], corner[1] : corner[1] + region.shape[1]]


def stack_masks(polygons: Polygons, size_hw: tuple[int, int], ratio: int = 1) -> np.ndarray:
    """Rasterise every object into its own mask. Returns (N, H // ratio, W // ratio) uint8 of 0 and
    1.
    """
    masks = np.zeros((len(polygons), size_hw[0] // ratio, size_hw[1] // ratio), dtype=np.uint8)
    for mask, rings in zip(masks, polygons, strict=True):
        region, corner = rasterize_region(rings, size_hw, ratio)
        _window(mask, region, corner)[...] = region
    return masks


def paint_order(areas: np.ndarray) -> np.ndarray:
    """Order objects for painting: zero areas first, then from large to small; ties keep their
    order.

    Zero areas lead because ids must match MMYOLO's, which negates unsigned areas (spec: data.md
    6.5).

    Args:
        areas: (N,) pixel counts.

    Returns:
        (N,) int64 indices.
    """
    areas = np.asarray(areas, dtype=np.int64)
    return np.argsort(np.where(areas == 0, np.iinfo(np.int64).min, -areas), kind='stable')


def overlap_map(
    polygons: Polygons, size_hw: tuple[int, int], ratio: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Paint all objects into one id map, small ones over large ones.

    Returns:
        The map (H // ratio, W // ratio), uint8 for up to 255 objects and int32 above: 0 is
        background, ``k + 1`` the k-th object of the order; and the order (N,) int64, indices into
        `polygons`.
    """
    regions = [rasterize_region(rings, size_hw, ratio) for rings in polygons]
    order = paint_order(
        np.array([np.count_nonzero(region) for region, _ in regions], dtype=np.int64)
    )
    dtype = np.uint8 if len(polygons) <= np.iinfo(np.uint8).max else np.int32
    ids = np.zeros((size_hw[0] // ratio, size_hw[1] // ratio), dtype=dtype)
    for rank, index in enumerate(order.tolist()):
        region, corner = regions[index]
        np.putmask(_window(ids, region, corner), region, rank + 1)
    return ids, order
