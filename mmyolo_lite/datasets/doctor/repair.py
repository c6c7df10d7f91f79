"""Mend single entries of an annotation file: values, rings, boxes.

Each function takes entries of any content and never raises for it; what cannot be mended is left
as it is, for the rules of the doctor to find.
"""

import math
from collections import Counter
from typing import Any

import numpy as np

from mmyolo_lite.datasets.coco_checks import is_number
from mmyolo_lite.datasets.converters.coco_json import points_to_bbox, polygon_area, rounded
from mmyolo_lite.datasets.doctor.annotations import BORDER_TOLERANCE
from mmyolo_lite.datasets.doctor.geometry import simple_rings, turned
from mmyolo_lite.datasets.doctor.images import ImageFacts
from mmyolo_lite.datasets.doctor.masks import (
    crosses_itself,
    extent,
    run_length_defect,
    slow_defects,
)
from mmyolo_lite.datasets.doctor.rings import OUTSIDE_TOLERANCE, ring_defects, ring_fault

ASPECT_TOLERANCE = 0.01
"""Aspect ratios that differ by less are those of one picture at two sizes."""


def number(value: Any) -> Any:
    """Return the number that a text spells, any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        spelt = float(value)
    except ValueError:
        return value
    if not math.isfinite(spelt):
        return value
    return int(spelt) if spelt.is_integer() and abs(spelt) < 2**53 else spelt


def entry_id(value: Any) -> int | str | None:
    """Return an id as a whole number where it is one in disguise; None for what is no id."""
    value = number(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value if isinstance(value, (int, str)) and value != '' else None


class AnnotationMender:
    """Mends the annotations of one image.

    Args:
        size_wh: width and height of the image, in pixels.
        fact: what its file is; None where images are not looked at.
        stated_wh: the size that the annotations were made for, where the file has another.
        actions: gets a count of what was done.
    """

    def __init__(
        self,
        size_wh: tuple[float, float],
        fact: ImageFacts | None,
        stated_wh: tuple[float, float] | None,
        actions: Counter[str],
    ) -> None:
        self.size_wh, self.fact, self.actions = size_wh, fact, actions
        self.stated_wh = stated_wh if stated_wh != size_wh else None

    def mend(self, annotation: dict) -> str:
        """Mend an annotation in place.

        Returns:
            The kind of finding for which it has to be dropped; empty if it can stay.
        """
        self._mend_values(annotation)
        rings = annotation.get('segmentation')
        if isinstance(rings, list):
            reason = self._mend_rings(annotation)
            if reason:
                return reason
        self._mend_box(annotation)
        return ''

    def _note(self, action: str) -> None:
        self.actions[f'annotations changed, {action}'] += 1

    def _mend_values(self, annotation: dict) -> None:
        before = annotation.get('bbox'), annotation.get('area')
        if isinstance(before[0], list):
            annotation['bbox'] = [number(value) for value in before[0]]
        if 'area' in annotation:
            annotation['area'] = number(before[1])
        if (annotation.get('bbox'), annotation.get('area')) != before:
            self._note('texts turned into numbers')
        crowd = annotation.get('iscrowd')
        if crowd is None or isinstance(crowd, bool) or crowd not in (0, 1):
            annotation['iscrowd'] = int(number(crowd) == 1)
            self._note('iscrowd set')

    def _mend_rings(self, annotation: dict) -> str:
        """Mend the polygons of an object; return the reason if none of them is left."""
        original = annotation['segmentation']
        rings = _as_rings(original)
        if rings is None:
            return 'bad-segmentation'
        if rings != original:
            self._note('segmentation brought into the form of a list of rings')
        kept, reason = [], ''
        for ring in rings:
            fault = _fault_of(ring)
            if fault:
                reason = fault
                self._note(f'ring removed, {fault}')
                continue
            points = self._moved(np.array(ring, dtype=np.float64).reshape(-1, 2))
            over = max(-points.min(), (points - self.size_wh).max())
            crossing = crosses_itself(points)
            if crossing or over > OUTSIDE_TOLERANCE:
                ring = simple_rings(points, self.size_wh)
                action = 'polygon parted where it crosses itself' if crossing else 'polygon clipped'
                self._note(action)
                reason = reason if ring else 'polygon-outside'
                kept += ring
            else:
                kept.append(rounded(points.ravel()) if self.stated_wh else ring)
        annotation['segmentation'] = kept
        return '' if kept or not rings else reason

    def _moved(self, points: np.ndarray) -> np.ndarray:
        """Return points (K, 2) where they are in the image as its file has it."""
        if self.stated_wh is None or self.fact is None:
            return points
        stated, (width, height) = self.stated_wh, self.fact.loaded_wh
        if stated == self.fact.size_wh and self.fact.loaded_wh != self.fact.size_wh:
            return turned(points, self.fact.orientation, stated)
        if abs(stated[0] * height / (stated[1] * width) - 1) < ASPECT_TOLERANCE:
            return points * (width / stated[0], height / stated[1])
        return points  # the size was wrong, not the annotation

    def _mend_box(self, annotation: dict) -> None:
        """Take box and area from the mask where they do not fit it; clip boxes without a mask."""
        box: Any = annotation.get('bbox')
        area: Any = annotation.get('area')
        box_is_sound = isinstance(box, list) and len(box) == 4 and all(map(is_number, box))
        if self.stated_wh and box_is_sound:
            x, y, width, height = annotation['bbox']
            annotation['bbox'] = points_to_bbox(
                self._moved(np.array([[x, y], [x + width, y + height]], dtype=np.float64))
            )
            self._note('moved to where the file has it')
        spanned = _mask_extent(annotation.get('segmentation'), self.size_wh)
        if spanned is not None:
            low, high, enclosed = spanned
            annotation['bbox'] = (
                annotation['bbox'] if box_is_sound else points_to_bbox(np.stack([low, high]))
            )
            annotation['area'] = area if is_number(area) and area > 0 else enclosed
            codes = self._disagreements(annotation)
            if not box_is_sound or codes & {'box-mask-disagree'}:
                annotation['bbox'] = points_to_bbox(np.stack([low, high]))
                self._note('box taken from the mask')
            if annotation['area'] != area or codes or self.stated_wh:
                annotation['area'] = rounded([enclosed])[0]
                self._note('area taken from the mask')
        elif box_is_sound:
            self._mend_lone_box(annotation)

    def _disagreements(self, annotation: dict) -> set[str]:
        size = np.array([self.size_wh], dtype=np.float64)
        found = {code for code, _, _ in ring_defects([annotation], size)}
        found |= {code for code, _ in slow_defects(annotation, self.size_wh[::-1])}
        return found & {'box-mask-disagree', 'area-mismatch'}

    def _mend_lone_box(self, annotation: dict) -> None:
        low = np.array(annotation['bbox'][:2], dtype=np.float64)
        high = low + annotation['bbox'][2:]
        over = max(-low.min(), (high - self.size_wh).max())
        inside_low, inside_high = np.maximum(low, 0), np.minimum(high, self.size_wh)
        if over > BORDER_TOLERANCE and (inside_high > inside_low).all():
            annotation['bbox'] = points_to_bbox(np.stack([inside_low, inside_high]))
            self._note('box clipped')
            annotation['area'] = None
        area: Any = annotation.get('area')
        if not is_number(area) or area <= 0 or self.stated_wh:
            annotation['area'] = rounded([annotation['bbox'][2] * annotation['bbox'][3]])[0]
            self._note('area taken from the box')


def _as_rings(mask: list) -> list[list] | None:
    """Return a list of flat rings for the forms that tools write; None for any other."""
    spelt = [number(value) for value in mask]
    if spelt and all(_is_float(value) for value in spelt):
        return [spelt]
    rings = []
    for ring in mask:
        if isinstance(ring, list) and ring and all(isinstance(point, list) for point in ring):
            ring = [value for point in ring for value in point]  # [[x, y], [x, y], ...]
        if not isinstance(ring, list):
            return None
        rings.append([number(value) for value in ring])
        if not all(_is_float(value) for value in rings[-1]):
            return None
    return rings


def _is_float(value: Any) -> bool:
    """Say whether a value is a number or one of the floats that are not finite."""
    return is_number(value) or isinstance(value, float)


def _fault_of(ring: list) -> str:
    """Return the kind of finding for which a ring is removed; '' for one that stays."""
    if not all(map(is_number, ring)):
        return 'polygon-not-finite'  # also where numbers fit no float
    fault = ring_fault(ring)
    # the halves of a ring that crosses itself can cancel out: it is parted, not removed
    crosses = fault == 'polygon-flat' and crosses_itself(np.array(ring, float).reshape(-1, 2))
    return '' if crosses else fault


def _mask_extent(
    mask: Any, size_wh: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Return the corners of the box around a sound mask, xy, and its area; None without one."""
    if isinstance(mask, list) and mask:
        rings = [np.array(ring, dtype=np.float64).reshape(-1, 2) for ring in mask]
        points = np.concatenate(rings)
        enclosed = sum(polygon_area(ring) for ring in rings)
        return points.min(0), points.max(0), enclosed
    if isinstance(mask, dict):
        defect, lengths = run_length_defect(mask, size_wh[::-1])
        if defect is not None:
            return None
        low, high = extent(lengths, int(size_wh[1]))
        return low, high, float(sum(lengths[1::2]))
    return None
