"""What takes longer to see in a mask: outlines that cross themselves, run lengths that break."""

from collections.abc import Iterator

import numpy as np

from mmyolo_lite.datasets.coco_checks import (
    LARGEST_NUMBER,
    Defect,
    annotation_defect,
    defect_of_mask,
)
from mmyolo_lite.datasets.converters.coco_json import polygon_area
from mmyolo_lite.datasets.doctor.annotations import Sound
from mmyolo_lite.datasets.doctor.rings import disagree, disagreement
from mmyolo_lite.ops.run_lengths import MAX_PIXELS, checked_runs

CROSSING_AREA = 1.0
"""Square pixels by which crossings must change the area of a ring to be worth a word ..."""
CROSSING_AREA_SHARE = 0.01
"""... and this share of it. Outlines that merely touch themselves change nothing."""


def extent(lengths: list[int], height: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of the box around the foreground of a run-length mask.

    Args:
        lengths: pixels of background, foreground, background ... column by column.
        height: rows of the image.

    Returns:
        Least and greatest x and y in pixels, (2,) each.
    """
    ends = np.cumsum(np.array(lengths, dtype=np.int64))
    starts, ends = ends[0 : len(ends) - 1 : 2], ends[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    columns, last_columns = starts // height, (ends - 1) // height
    several = last_columns > columns  # such a run has pixels in the top and the bottom row
    tops = np.where(several, 0, starts % height)
    bottoms = np.where(several, height - 1, (ends - 1) % height)
    low = np.array([columns.min(), tops.min()], dtype=np.float64)
    return low, np.array([last_columns.max() + 1, bottoms.max() + 1], dtype=np.float64)


def mask_defects(sound: Sound) -> Iterator[Defect]:
    """Yield the defects of masks that :func:`annotations.examine` is too quick to see."""
    sizes = {image['id']: (image['height'], image['width']) for image in sound.images.values}
    for position, annotation in zip(*sound.annotations, strict=True):
        for code, ending in slow_defects(annotation, sizes[annotation['image_id']]):
            yield annotation_defect(code, ending, annotation, position)


def slow_defects(annotation: dict, size: tuple[float, float]) -> Iterator[tuple[str, str]]:
    """Yield the codes and the ends of sentences for one mask in an image of `size` (h, w)."""
    mask = annotation.get('segmentation')
    if isinstance(mask, list):
        yield from _crossings(mask)
    elif isinstance(mask, dict):
        defect, lengths = run_length_defect(mask, size)
        if annotation.get('iscrowd'):
            if defect:
                yield 'crowd-mask', defect[1]
        elif defect:
            yield defect
        else:
            low, high = extent(lengths, int(size[0]))
            if disagree(np.array([annotation['bbox']]), low[None], high[None])[0]:
                yield 'box-mask-disagree', disagreement(annotation, low, high)


def run_length_defect(
    mask: dict, size: tuple[float, float]
) -> tuple[tuple[str, str] | None, list[int]]:
    """Return the code and the end of a sentence, or None, and the run lengths."""
    defect = defect_of_mask(mask, size)  # that of a crowd has not been looked at
    if defect is not None:
        return defect, []
    total = size[0] * size[1]
    if total > MAX_PIXELS or size[0] < 1:
        return ('rle-size', f'has a run-length mask of {total:g} pixels'), []
    try:
        lengths = checked_runs(mask['counts'], *size)
    except ValueError:
        ending = f'has a run-length mask whose letters do not make {total} pixels'
        return ('rle-broken', ending), []
    if not sum(lengths[1::2]):
        return ('rle-empty', 'has a run-length mask without a pixel'), []
    return None, lengths


def _crossings(rings: list[list]) -> Iterator[tuple[str, str]]:
    for ring in rings:
        if len(ring) < 6 or len(ring) % 2:
            continue
        points = np.array(ring, dtype=np.float64).reshape(-1, 2)
        if (np.abs(points) <= LARGEST_NUMBER).all() and crosses_itself(points):
            ending = f'has a ring of {len(points)} points that crosses itself'
            yield 'polygon-self-crossing', ending


def crosses_itself(points: np.ndarray) -> bool:
    """Say whether an outline crosses itself so that its area is not what it seems.

    Args:
        points: (K, 2) finite xy vertices, K >= 3, in pixels.
    """
    import shapely

    polygon = shapely.Polygon(points)
    if polygon.is_valid:
        return False
    try:
        stated, covered = polygon_area(points), shapely.make_valid(polygon).area
    except shapely.GEOSException:  # numbers too large to tell
        return True
    allowed = max(CROSSING_AREA, CROSSING_AREA_SHARE * max(stated, covered))
    return bool(abs(stated - covered) > allowed)
