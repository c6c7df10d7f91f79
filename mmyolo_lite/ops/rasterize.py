"""Polygons to masks, at full size or downsampled, each object inside its own box.

Legend: N objects, H W pixels of the image. Polygons as in :mod:`mmyolo_lite.ops.polygons`.
"""

from itertools import accumulate, pairwise

import cv2
import numpy as np

from mmyolo_lite.ops.polygons import Polygons

# Ratios at which a bilinear resize reads only the centre of each cell, see `downsample`.
_CENTRAL_RATIOS = (2, 4)

Region = tuple[np.ndarray, tuple[int, int]]
"""A mask (h, w) uint8, and the (top, left) corner where it belongs."""


def _pixel_rings(polygons: Polygons) -> tuple[list[list[np.ndarray]], np.ndarray]:
    """Truncate all vertices toward zero at once; empty and non-finite rings are dropped.

    Returns:
        The rings of each object, (n, 2) int32 each, and the boxes (N, 4) int xyxy, inclusive, of
        their vertices; empty boxes (0, 0, -1, -1) for objects without a ring.
    """
    kept = [[ring for ring in rings if len(ring)] for rings in polygons]
    points = np.concatenate([ring for rings in kept for ring in rings] or [np.zeros(0)])
    if not np.isfinite(points).all():
        kept = [[ring for ring in rings if np.isfinite(ring).all()] for rings in kept]
        points = np.concatenate([ring for rings in kept for ring in rings] or [np.zeros(0)])
    pixels = points.reshape(-1, 2).astype(np.int32)
    sizes = (len(ring) // 2 for rings in kept for ring in rings)
    bounds = np.array(list(accumulate(sizes, initial=0)))
    pixels, bounds = _without_repeats(pixels, bounds)
    pieces = iter([pixels[start:stop] for start, stop in pairwise(bounds.tolist())])
    grouped = [[next(pieces) for _ in rings] for rings in kept]
    boxes = np.empty((len(polygons), 4), dtype=np.int64)
    boxes[:] = (0, 0, -1, -1)
    filled = np.array([index for index, rings in enumerate(kept) if rings], dtype=np.int64)
    if len(filled):
        rings_before = accumulate((len(kept[index]) for index in filled[:-1].tolist()), initial=0)
        firsts = bounds[list(rings_before)]
        boxes[filled, :2] = np.minimum.reduceat(pixels, firsts, axis=0)
        boxes[filled, 2:] = np.maximum.reduceat(pixels, firsts, axis=0)
    return grouped, boxes


def _without_repeats(pixels: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop vertices on the pixel of the one before: filling costs by the vertex, and resampled
    rings have many on each pixel. `bounds` (R + 1,) says where each of the R rings starts.
    """
    if not len(pixels):
        return pixels, bounds
    points = pixels.view(np.int64)[:, 0]  # both coordinates at once
    differs = np.empty(len(points), dtype=bool)
    np.not_equal(points[1:], points[:-1], out=differs[1:])
    differs[bounds[:-1]] = True
    kept = np.flatnonzero(differs)
    return points[kept].view(np.int32).reshape(-1, 2), np.searchsorted(kept, bounds)


def rasterize(rings: list[np.ndarray], size_hw: tuple[int, int]) -> np.ndarray:
    """Fill the union of an object's rings, contours included.

    Args:
        rings: Flat rings ``x1,y1,...`` in pixels. Vertices are truncated to integers and may lie
            outside.
        size_hw: Height and width of the mask.

    Returns:
        (H, W) uint8 of 0 and 1.
    """
    mask = np.zeros(size_hw, dtype=np.uint8)
    # one by one: fillPoly on several rings would cut their overlap out
    for vertices in _pixel_rings([rings])[0][0]:
        cv2.fillPoly(mask, [vertices], 1)
    return mask


def downsample(mask: np.ndarray, ratio: int) -> np.ndarray:
    """Shrink a 0/1 mask (H, W) to (H // ratio, W // ratio) by a bilinear resize.

    For ratio 2 and 4 on divisible sizes that averages the four central pixels of each cell and
    rounds a half up, so a pixel is set if two of the four are (spec: data.md 6.5).
    """
    height, width = mask.shape
    if ratio == 1:
        return mask
    if min(height, width) < ratio:
        return np.zeros((height // ratio, width // ratio), dtype=np.uint8)
    return cv2.resize(mask, (width // ratio, height // ratio), interpolation=cv2.INTER_LINEAR)


def rasterize_regions(polygons: Polygons, size_hw: tuple[int, int], ratio: int = 1) -> list[Region]:
    """Rasterise and downsample each object inside its own box only.

    Pasting a result at its place into zeros of shape (H // ratio, W // ratio) gives exactly
    ``downsample(rasterize(rings, size_hw), ratio)``, at the cost of the object's box instead of the
    image.

    Returns:
        For each object the mask (h, w) uint8 of its region, possibly empty, and the region's (top,
        left) corner in the downsampled image.
    """
    height, width = size_hw
    if ratio != 1 and (ratio not in _CENTRAL_RATIOS or height % ratio or width % ratio):
        return [(downsample(rasterize(rings, size_hw), ratio), (0, 0)) for rings in polygons]
    grouped, boxes = _pixel_rings(polygons)
    # to the grid of the ratio, and inside the image
    corners = np.maximum(boxes[:, :2], 0) // ratio * ratio
    ends = np.minimum((boxes[:, 2:] // ratio + 1) * ratio, (width, height))
    regions = []
    for rings, (left, top), (right, bottom) in zip(
        grouped, corners.tolist(), ends.tolist(), strict=True
    ):
        region = np.zeros((max(bottom - top, 0), max(right - left, 0)), dtype=np.uint8)
        if region.size:
            for vertices in rings:
                cv2.fillPoly(region, [vertices], 1, offset=(-left, -top))
        regions.append((downsample(region, ratio), (top // ratio, left // ratio)))
    return regions


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
    for mask, (region, corner) in zip(
        masks, rasterize_regions(polygons, size_hw, ratio), strict=True
    ):
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
    regions = rasterize_regions(polygons, size_hw, ratio)
    order = paint_order(
        np.array([np.count_nonzero(region) for region, _ in regions], dtype=np.int64)
    )
    dtype = np.uint8 if len(polygons) <= np.iinfo(np.uint8).max else np.int32
    ids = np.zeros((size_hw[0] // ratio, size_hw[1] // ratio), dtype=dtype)
    for rank, index in enumerate(order.tolist()):
        region, corner = regions[index]
        np.putmask(_window(ids, region, corner), region, rank + 1)
    return ids, order
