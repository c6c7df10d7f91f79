"""Categories come in the order of the names asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmyolo_lite.compat import coco_api

CATEGORIES = [{'id': 1, 'name': 'zebra'}, {'id': 5, 'name': 'apple'}, {'id': 9, 'name': 'moon'}]


@pytest.fixture
def coco(tmp_path: Path) -> Any:
    from mmdet.datasets.api_wrappers import COCO

    coco_api.patch_mmdet()
    path = tmp_path / 'set.json'
    path.write_text(json.dumps({'images': [], 'annotations': [], 'categories': CATEGORIES}))
    return COCO(str(path))


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (['moon', 'zebra', 'apple'], [9, 1, 5]),
        (('apple', 'zebra'), [5, 1]),
        (['zebra', 'apple', 'moon'], [1, 5, 9]),
        (['moon', 'unknown', 'zebra'], [9, 1]),
        (['unknown'], []),
    ],
)
def test_ids_follow_the_names(coco: Any, names: Any, expected: list[int]) -> None:
    assert coco.get_cat_ids(cat_names=names) == expected
    assert coco.get_cat_ids(names) == expected


def test_without_names_the_file_decides(coco: Any) -> None:
    assert coco.get_cat_ids() == [1, 5, 9]
    assert coco.get_cat_ids(cat_ids=[9, 5]) == [5, 9]


def test_one_name_as_a_string(coco: Any) -> None:
    assert coco.get_cat_ids(cat_names='moon') == [9]


def test_patching_again_changes_nothing() -> None:
    from mmdet.datasets.api_wrappers import COCO

    coco_api.patch_mmdet()
    before = COCO.get_cat_ids
    coco_api.patch_mmdet()
    assert COCO.get_cat_ids is before
