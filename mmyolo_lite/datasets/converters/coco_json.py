"""What converters to COCO share: the report on skipped items, image sizes, boxes and areas."""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmyolo_lite.errors import DataError

DECIMALS = 2
LISTED_PROBLEMS = 20
EXIF_ORIENTATION = 0x0112
UPRIGHT = 1
TRANSPOSED_ORIENTATIONS = (5, 6, 7, 8)


@dataclass
class ConversionReport:
    """Counts what a conversion kept and collects what it left out (spec: tools_data.md 0).

    Attributes:
        strict: Problems of single items stop the conversion too.
        skip_errors: Structural errors are collected as well, nothing stops the conversion.
        images: Number of images written.
        per_class: Objects written by class name.
        skipped: Items left out, by reason.
        notes: Things changed or noticed without leaving anything out, by reason.
        problems: One line for each left-out item.
    """

    strict: bool = False
    skip_errors: bool = False
    images: int = 0
    per_class: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def annotations(self) -> int:
        """Number of objects written."""
        return sum(self.per_class.values())

    def skip(self, reason: str, where: str) -> None:
        """Count an item that is left out; with ``strict`` raise DataError instead."""
        if self.strict:
            raise DataError(f'{where}: {reason} (left out without --strict)')
        self._collect(reason, where)

    def structural(self, reason: str, where: str) -> None:
        """Raise DataError for input that breaks its format; with ``skip_errors`` count it
        instead.
        """
        if not self.skip_errors:
            raise DataError(f'{where}: {reason} (--skip-errors leaves it out and goes on)')
        self._collect(reason, where)

    def _collect(self, reason: str, where: str) -> None:
        self.skipped[reason.split(': ')[0]] += 1
        self.problems.append(f'{where}: {reason}')

    def require_images(self, hint: str) -> None:
        """Raise DataError with a hint if no image was converted: nothing is left to write."""
        if not self.images:
            count = len(self.problems)
            first = f'; the first of {count} problems: {self.problems[0]}' if count else ''
            raise DataError(f'no image could be converted; {hint}{first}')

    def lines(self) -> list[str]:
        """Return the summary as text: images, objects, objects by class, skipped items and
        notes.
        """
        text = [f'{self.images} images, {self.annotations} objects']
        text += [f'  class {name}: {count}' for name, count in sorted(self.per_class.items())]
        text += [f'  skipped, {reason}: {count}' for reason, count in sorted(self.skipped.items())]
        text += [f'  note, {reason}: {count}' for reason, count in sorted(self.notes.items())]
        text += [f'    {line}' for line in self.problems[:LISTED_PROBLEMS]]
        if len(self.problems) > LISTED_PROBLEMS:
            text.append(f'    and {len(self.problems) - LISTED_PROBLEMS} more')
        return text


def image_size_wh(path: Path) -> tuple[int, int]:
    """Return the ``(width, height)`` in pixels that a decoder delivers, from the file header alone.

    An EXIF orientation that turns the picture by 90 degrees exchanges the two, as decoding applies
    it.

    Raises:
        DataError: The file is missing or not a picture.
    """
    try:
        with warnings.catch_warnings():
            # large pictures and odd EXIF blocks are none of a converter's business
            warnings.simplefilter('ignore')
            with Image.open(path) as image:
                width, height = image.size
                orientation = exif_orientation(image)
    except Exception as error:  # on damaged headers Pillow raises whatever its parsers trip over
        raise DataError(f'{path}: not a readable image ({error})') from error
    return (height, width) if orientation in TRANSPOSED_ORIENTATIONS else (width, height)


def exif_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened image, 1 to 8; 1 for none or a damaged one."""
    if image.format == 'PNG' and 'exif' not in image.info:
        return UPRIGHT  # getexif would decode the pixels to look behind them
    try:
        orientation = image.getexif().get(EXIF_ORIENTATION, UPRIGHT)
    except Exception:  # a damaged block of EXIF says nothing, to decoders too
        return UPRIGHT
    return orientation if orientation in range(1, 9) else UPRIGHT


def polygon_area(points_xy: np.ndarray) -> float:
    """Return the area in square pixels that a ring of points ``(N, 2)`` encloses (shoelace
    formula).
    """
    points = np.asarray(points_xy, dtype=np.float64)
    # from the first point, whose products are then 0: far from the origin they would lose digits
    x, y = (points - points[0]).T
    return float(abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2)


def points_to_bbox(points_xy: np.ndarray) -> list[float]:
    """Return the COCO box ``[x, y, width, height]`` in pixels around points ``(N, 2)``."""
    low, high = points_xy.min(axis=0), points_xy.max(axis=0)
    return rounded([*low, *(high - low)])


def rounded(values: Iterable[float]) -> list[float]:
    """Return plain Python numbers with two decimals, for JSON."""
    return [round(float(value), DECIMALS) for value in values]


def coco_dict(
    images: Sequence[dict],
    annotations: Sequence[dict],
    class_names: Sequence[str] | Mapping[str, int],
    *,
    first_category_id: int = 0,
    description: str = '',
) -> dict[str, Any]:
    """Return the content of a COCO file with all its top-level keys.

    Args:
        images: COCO image entries, ids from 1.
        annotations: COCO annotation entries, ids from 1: pycocotools takes id 0 for "not matched".
        class_names: Category names, whose ids count on from ``first_category_id``; or the id of
            each name.
        first_category_id: Id of the first category.
        description: Goes into ``info``.
    """
    if not isinstance(class_names, Mapping):
        class_names = {name: first_category_id + i for i, name in enumerate(class_names)}
    categories = [{'id': number, 'name': name} for name, number in class_names.items()]
    return {
        'info': {'description': description},
        'licenses': [],
        'images': list(images),
        'annotations': list(annotations),
        'categories': categories,
    }
