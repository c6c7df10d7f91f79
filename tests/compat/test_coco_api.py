"""Categories come in the order of the names asked for; objects without a mask are ignored."""

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


# ---- objects without a mask


def scores(tmp_path: Path, predictions: list[dict], iou_type: str, lacking: Any) -> list[float]:
    """Score predictions against two objects, the second without a mask."""
    from mmdet.datasets import api_wrappers

    coco_api.patch_mmdet()
    objects = [
        dict(id=n, image_id=1, category_id=1, bbox=[40 * n, 10, 20, 20], area=400, iscrowd=0)
        for n in (1, 2)
    ]
    objects[0]['segmentation'] = [square(40)]
    objects[1].update(lacking)
    image = dict(id=1, width=150, height=50, file_name='a')
    content = dict(images=[image], annotations=objects, categories=CATEGORIES)
    path = tmp_path / 'set.json'
    path.write_text(json.dumps(content))
    truth = api_wrappers.COCO(str(path))
    found = truth.loadRes([dict(image_id=1, category_id=1, **one) for one in predictions])
    results = []
    for kind in (iou_type, 'bbox'):  # boxes are not changed by scoring masks
        evaluation = api_wrappers.COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        results.append(float(evaluation.stats[0]))
    return results


def square(x: float) -> list[float]:
    return [x, 10, x + 20, 10, x + 20, 30, x, 30]


@pytest.mark.parametrize('lacking', [{}, {'segmentation': []}, {'segmentation': None}])
def test_objects_without_a_mask_do_not_count_in_mask_scores(tmp_path: Path, lacking: dict) -> None:
    first = dict(segmentation=[square(40)], bbox=[40, 10, 20, 20], score=0.5)
    second = dict(segmentation=[square(80)], bbox=[80, 10, 20, 20], score=0.9)
    assert scores(tmp_path, [first], 'segm', lacking) == pytest.approx([1.0, 0.504], abs=0.01)
    assert scores(tmp_path, [first, second], 'segm', lacking) == pytest.approx([1.0, 1.0])


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    'counts', [[5, 5], [-1, 7501], '04', 'é', None, [7500.0]], ids=['short', 'negative', *'abcd']
)
def test_damaged_masks_of_crowds_end_and_are_ignored(tmp_path: Path, counts: Any) -> None:
    """pycocotools compares runs that do not fill the image for ever."""
    crowd = {'segmentation': {'size': [50, 150], 'counts': counts}, 'iscrowd': 1}
    first = dict(segmentation=[square(40)], bbox=[40, 10, 20, 20], score=0.5)
    second = dict(segmentation=[square(80)], bbox=[80, 10, 20, 20], score=0.9)
    found = scores(tmp_path, [first, second], 'segm', crowd)
    assert found == pytest.approx([1.0, 1.0])


def test_the_metric_uses_it() -> None:
    from mmdet.datasets import api_wrappers
    from mmdet.evaluation.metrics import coco_metric

    assert coco_metric.COCOeval is api_wrappers.COCOeval
    assert coco_metric.COCOeval._of_mmyolo_lite
