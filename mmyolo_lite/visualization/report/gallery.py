"""Photos of a validation, small, with their true and predicted objects.

Letters: k scale from photo to thumbnail.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.datasets.file_io import read_file
from mmyolo_lite.datasets.transforms.load_annotations import rings_from_rle
from mmyolo_lite.visualization.drawing import fit

QUALITY = 78
"""Of thumbnails, as JPEG."""
SMOOTHING = 0.4
"""Pixels of the thumbnail that an outline may be off."""
MAX_COORDINATE = 1e6
"""Pixels; an outline beyond, or of nan, is damaged."""
_SIDES = ((600, 320), (2000, 240))
_SMALLEST_SIDE = 180


def thumbnail_side(count: int) -> int:
    """Return the longer side of a thumbnail in pixels: smaller, the more there are.

    >>> thumbnail_side(13), thumbnail_side(5000)
    (320, 180)
    """
    return next((side for most, side in _SIDES if count <= most), _SMALLEST_SIDE)


def thumbnail(path: str | None, side: int) -> str | None:
    """Return a photo as a small JPEG in base64, or None if it cannot be read.

    Args:
        path: of the photo; None if it is not known.
        side: at most, in pixels.
    """
    if path is None:
        return None
    try:
        content = np.frombuffer(read_file(Path(path)), dtype=np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    except (OSError, ValueError, cv2.error):  # ValueError: no path at all
        return None
    if image is None:
        return None
    small = fit(image, side)[0]  # type: ignore[arg-type]
    done, encoded = cv2.imencode('.jpg', small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return base64.b64encode(encoded.tobytes()).decode() if done else None


def item(
    entry: Mapping[str, Any], predictions: Sequence[Sequence[dict] | None], side: int
) -> dict[str, Any]:
    """Return what the page shows of an image.

    Args:
        entry: an image of a file of results.
        predictions: of each run, ``pred`` of its entry of this image; None of one without it.
        side: of the thumbnail in pixels.

    Returns:
        ``name``, ``w`` and ``h`` of the thumbnail, ``gt`` and for each run ``pred``, None for one
        that has not this image: objects with ``l`` label, ``b`` xyxy, ``p`` rings
        ``[x, y, x, y ...]``, all in pixels of the thumbnail; true ones with ``c``, whether a crowd,
        and found ones with ``s`` score and ``m``, the true object they match, -1 for none, -2 for
        one that does not count.
    """
    scale = min(side / max(entry['height'], entry['width']), 1.0)
    hw = (entry['height'], entry['width'])
    return {
        'name': Path(entry['path'] or f'image {entry.get("id", "")}').name,
        'w': max(round(hw[1] * scale), 1),
        'h': max(round(hw[0] * scale), 1),
        'gt': [_object(one, scale, hw) | {'c': int(bool(one.get('crowd')))} for one in entry['gt']],
        'pred': [
            None
            if found is None
            else [
                _object(one, scale, hw) | {'s': round(float(one['score']), 3), 'm': _match(one)}
                for one in found
            ]
            for found in predictions
        ],
    }


def _match(found: dict) -> int:
    """Return the true object that a detection matches by its mask, or by its box without one."""
    match = found.get('match') or {}
    return int(match.get('segm', match.get('bbox', -1)))


def _object(one: dict, scale: float, hw: tuple[int, int]) -> dict[str, Any]:
    rings = [_simplified(ring * scale) for ring in outlines(one.get('segmentation'), hw)]
    return {
        'l': int(one['label']),
        'b': [round(float(side) * scale, 1) for side in one['bbox']],
        'p': [ring for ring in rings if len(ring) >= 6],
    }


def outlines(segmentation: Any, hw: tuple[int, int]) -> list[NDArray[np.float64]]:
    """Return the rings (2K,) of polygons or of a run-length mask, in pixels of the image; none for
    what is damaged.
    """
    try:
        if isinstance(segmentation, dict):
            is_fitting = tuple(segmentation['size']) == hw
            return rings_from_rle(segmentation, *hw) if is_fitting else []
        rings = [np.asarray(ring, dtype=np.float64).reshape(-1) for ring in segmentation or ()]
    except (ValueError, TypeError, KeyError, OverflowError, cv2.error):
        return []
    return [
        ring
        for ring in rings
        if len(ring) >= 6 and len(ring) % 2 == 0 and np.abs(ring).max() < MAX_COORDINATE
    ]


def _simplified(ring: NDArray[np.float64]) -> list[float]:
    points = ring.reshape(-1, 1, 2).astype(np.float32)
    kept = cv2.approxPolyDP(points, SMOOTHING, closed=True)
    return [round(float(value), 1) for value in kept.reshape(-1)]
