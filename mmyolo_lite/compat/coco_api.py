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
import sys
from collections.abc import Sequence
from typing import Any

from mmyolo_lite.ops.run_lengths import decode_runs


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
        if not _is_usable(one.get('segmentation')):
            x, y, width, height = one['bbox']
            corners = [x, y, x + width, y, x + width, y + height, x, y + height]
            replaced[key] = {**one, 'segmentation': [corners], 'iscrowd': 1}
    if not replaced:
        return coco
    changed = copy.copy(coco)
    changed.anns = {**coco.anns, **replaced}
    return changed


def _is_usable(mask: Any) -> bool:
    """Say whether pycocotools can score a ``segmentation``: polygons, or runs that fill it."""
    if not isinstance(mask, dict):
        return bool(mask)
    try:
        height, width = mask['size']
        decode_runs(mask['counts'], height, width)
    except (KeyError, TypeError, ValueError):
        return False
    return True


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
