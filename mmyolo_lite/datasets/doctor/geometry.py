"""Mend outlines: cut them at the border, part what crosses itself, turn them with their image."""

from collections.abc import Iterator

import numpy as np

from mmyolo_lite.datasets.converters.coco_json import rounded

MIN_PART_AREA = 1.0
"""Square pixels: smaller parts of a cut outline are slivers of rounding."""


def simple_rings(points: np.ndarray, size_wh: tuple[float, float]) -> list[list[float]]:
    """Return rings that cover what an outline encloses inside its image, none crossing itself.

    What the outline winds around twice is outside, as filling by the even-odd rule has it; an area
    with a hole is cut at the hole, as rings have none.

    Args:
        points: (K, 2) finite xy vertices, K >= 3, in pixels.
        size_wh: width and height of the image.

    Returns:
        Flat rings ``x1, y1, ...`` with two decimals; empty if nothing is left.
    """
    import shapely

    try:
        frame = shapely.box(0, 0, *size_wh)
        inside = shapely.make_valid(shapely.Polygon(points)).intersection(frame)
        parts = [part for polygon in _polygons(inside) for part in _without_holes(polygon)]
    except shapely.GEOSException:  # coordinates too far apart to compute with
        return []
    return [
        rounded(np.asarray(part.exterior.coords)[:-1].ravel())
        for part in parts
        if part.area >= MIN_PART_AREA
    ]


def _polygons(shape) -> Iterator:  # type: ignore[no-untyped-def]
    """Yield the polygons of a geometry, which may also hold points and lines."""
    if shape.geom_type == 'Polygon' and not shape.is_empty:
        yield shape
    for part in getattr(shape, 'geoms', ()):
        yield from _polygons(part)


def _without_holes(polygon) -> Iterator:  # type: ignore[no-untyped-def]
    """Yield parts without holes: cut in two through the middle of the first hole, and so on."""
    import shapely

    pending = [polygon]
    while pending:
        shape = pending.pop()
        if not shape.interiors:
            yield shape
            continue
        middle = shapely.Polygon(shape.interiors[0]).centroid.x
        left, bottom, right, top = shape.bounds
        for half in (
            shapely.box(left, bottom, middle, top),
            shapely.box(middle, bottom, right, top),
        ):
            pending.extend(_polygons(shape.intersection(half)))


def turned(points: np.ndarray, orientation: int, size_wh: tuple[float, float]) -> np.ndarray:
    """Move points with an image that is turned by its EXIF orientation.

    Args:
        points: (K, 2) xy in the picture as stored, in pixels.
        orientation: 5 to 8, those that exchange width and height.
        size_wh: width and height of the picture as stored.

    Returns:
        (K, 2) xy in the picture as it is shown, which is ``size_wh[1]`` wide.

    >>> turned(np.array([[0.0, 0.0]]), 6, (40, 30))  # stored top left is shown top right
    array([[30.,  0.]])
    """
    width, height = size_wh
    x, y = points[:, 0], points[:, 1]
    shown_x = height - y if orientation in (6, 7) else y
    shown_y = width - x if orientation in (7, 8) else x
    return np.stack([shown_x, shown_y], axis=1)
