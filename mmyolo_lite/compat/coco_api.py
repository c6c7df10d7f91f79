"""Class order in mmdet's COCO wrapper.

``get_cat_ids(cat_names=...)`` answers in the order of the annotation file, while mmdet's dataset
and metric take the answer to follow the names they asked with. Where the two orders differ, boxes
get another class's name and a perfect model scores near zero. The fence orders the answer by the
names. Can go when mmdet does.
"""

from collections.abc import Sequence
from typing import Any


def patch_mmdet() -> None:
    """Make mmdet's COCO wrapper answer in the order of the names asked for; idempotent."""
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
