"""Class order in mmdet's COCO wrapper, and objects without a mask in COCO's evaluation.

``get_cat_ids(cat_names=...)`` answers in the order of the annotation file, while mmdet's dataset
and metric take the answer to follow the names they asked with. Where the two orders differ, boxes
get another class's name and a perfect model scores near zero. The fence orders the answer by the
names. Can go when mmdet does.

pycocotools fails with an ``IndexError`` or ``KeyError`` when masks are scored and a true object has
none, and never ends when the runs of a crowd's mask do not fill its image. The fence has such
objects ignored, and predictions on their boxes with them, as those on a crowd are. Can go when
pycocotools takes them.
"""

import copy
import math
import sys
from collections.abc import Sequence
from typing import Any

from mmyolo_lite.ops.run_lengths import checked_runs

FARTHEST = 1e5
"""No coordinate of a ring that is scored is farther from 0, in pixels; nor is an image wider."""


def patch_mmdet() -> None:
    """Make mmdet's COCO wrapper answer in the order of the names asked for, and its evaluation take
    objects without a mask; idempotent.
    """
    _order_categories()
    _ignore_objects_without_mask()


def _ignore_objects_without_mask() -> None:
    from mmdet.datasets import api_wrappers

    if getattr(api_wrappers.COCOeval, '_of_mmyolo_lite', False):
        return

    class COCOeval(api_wrappers.COCOeval):
        _of_mmyolo_lite = True
        cocoGt: Any

        def _prepare(self) -> None:
            if self.params.iouType == 'segm':
                self.cocoGt = _with_all_masks(self.cocoGt)
            super()._prepare()

    modules = ('mmdet.datasets.api_wrappers', 'mmdet.evaluation.metrics.coco_metric')
    for module in filter(None, map(sys.modules.get, modules)):
        module.COCOeval = COCOeval  # type: ignore[attr-defined]


def _with_all_masks(coco: Any) -> Any:
    """Return a COCO set in which objects without a usable mask are crowds of the form of their box;
    the given one, whose boxes are scored too, stays as it is.
    """
    replaced = {}
    for key, one in coco.anns.items():
        image, given = coco.imgs.get(one['image_id']), one.get('segmentation')
        if image is None:
            continue  # not scored
        size_hw = (int(image['height']), int(image['width']))
        mask = usable_segmentation(given, size_hw)
        if mask is None:
            box = [corners_of_box(one['bbox'], size_hw)]
            replaced[key] = {**one, 'segmentation': box, 'iscrowd': 1}
        elif mask is not given:
            replaced[key] = {**one, 'segmentation': mask}
    if not replaced:
        return coco
    changed = copy.copy(coco)
    changed.anns = {**coco.anns, **replaced}
    return changed


def usable_segmentation(mask: Any, size_hw: tuple[int, int]) -> Any:
    """Return what pycocotools can score of a ``segmentation``: rings of three points and more, or
    a run-length mask that fills its image of `size_hw` (height, width); None if nothing.
    """
    if isinstance(mask, dict):
        return mask if _fills(mask, size_hw) else None
    if not isinstance(mask, list):
        return None
    rings = [ring for ring in mask if len(ring) >= 6 and _can_be_drawn(ring)]
    return (mask if len(rings) == len(mask) else rings) or None


def _fills(mask: dict, size_hw: tuple[int, int]) -> bool:
    """Say whether the runs of a mask fill an image; pycocotools compares others for ever."""
    if mask.get('size') not in (list(size_hw), size_hw):
        return False
    try:
        checked_runs(mask.get('counts'), *size_hw)
    except ValueError:
        return False
    return True


def _can_be_drawn(ring: list) -> bool:
    """Say whether all coordinates are numbers of a size that pycocotools, which walks along the
    ring in fifths of a pixel, comes to the end of.
    """
    low, high = min(ring), max(ring)
    # comparisons are False for nan, which `min` and `max` may pass over
    return low >= -FARTHEST and high <= FARTHEST and not math.isnan(sum(ring))


def corners_of_box(box: Sequence[float], size_hw: tuple[int, int]) -> list[float]:
    """Return the ring around the part of a box (x, y, width, height) inside its image."""
    height, width = size_hw
    left, right = (min(max(x, 0), width) for x in (box[0], box[0] + box[2]))
    top, bottom = (min(max(y, 0), height) for y in (box[1], box[1] + box[3]))
    return [left, top, right, top, right, bottom, left, bottom]


def _order_categories() -> None:
    from mmdet.datasets.api_wrappers import COCO

    if getattr(COCO, '_ordered_by_mmyolo_lite', False):
        return
    original = COCO.get_cat_ids

    def get_cat_ids(
        self: Any,
        cat_names: Sequence[str] = (),
        sup_names: Sequence[str] = (),
        cat_ids: Sequence[int] = (),
    ) -> list[int]:
        found = original(self, cat_names, sup_names, cat_ids)
        if isinstance(cat_names, str) or not cat_names:
            return found
        rank = {name: position for position, name in enumerate(cat_names)}
        return sorted(found, key=lambda cat_id: rank[self.cats[cat_id]['name']])

    COCO.get_cat_ids = get_cat_ids
    COCO._ordered_by_mmyolo_lite = True
