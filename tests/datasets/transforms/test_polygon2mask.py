"""Tests of Polygon2Mask."""

import json

import numpy as np
import pytest
import torch

from mmyolo_lite.datasets.transforms.polygon2mask import Polygon2Mask
from mmyolo_lite.errors import ConfigError, DataError
from tests.datasets.ragged import read_rings
from tests.datasets.transforms.samples import make_sample, rectangle, rectangle_sample, with_bitmaps
from tests.shared_data import golden


@pytest.mark.parametrize('number', range(6))
def test_masks_match_the_fixture(number):
    archive = golden('data_polygon2mask.npz')
    case = json.loads(str(archive['cases_json']))[number]
    key, ratio = case['key'], case['downsample_ratio']
    order = archive[f'{key}_sorted_idx']
    boxes = archive[f'{key}_boxes_sorted'][np.argsort(order)]

    def sample() -> dict:
        return make_sample(
            np.zeros((case['h'], case['w'], 3), np.uint8),
            boxes,
            polygons=read_rings(archive, f'{key}_poly'),
        )

    overlap = Polygon2Mask(ratio)(sample())
    assert np.mean(overlap['gt_panoptic_seg'].numpy() != archive[f'{key}_overlap']) <= 0.005
    assert overlap['gt_panoptic_seg'].dtype == torch.uint8 and 'gt_masks' not in overlap
    np.testing.assert_array_equal(overlap['gt_bboxes_labels'], order)
    np.testing.assert_array_equal(overlap['gt_bboxes'].numpy(), archive[f'{key}_boxes_sorted'])
    single = Polygon2Mask(ratio, mask_overlap=False)(sample())
    assert np.mean(single['gt_masks'].numpy() != archive[f'{key}_nonoverlap']) <= 0.005
    assert (
        single['gt_bboxes_labels'].tolist() == list(range(len(order)))
        and 'gt_panoptic_seg' not in single
    )


def test_value_minus_one_is_the_row_of_the_box():
    boxes = [[2, 2, 12, 12], [20, 20, 60, 60], [30, 30, 44, 44]]
    results = Polygon2Mask()(rectangle_sample(64, 64, boxes))
    ids = results['gt_panoptic_seg'][0]
    assert ids.shape == (16, 16) and ids.unique().tolist() == [0, 1, 2, 3]
    for value, (x1, y1, x2, y2) in enumerate(results['gt_bboxes'].tensor.tolist(), start=1):
        rows, columns = (axis.float() * 4 for axis in torch.nonzero(ids == value, as_tuple=True))
        assert (
            rows.min() >= y1 - 2
            and rows.max() <= y2
            and columns.min() >= x1 - 2
            and columns.max() <= x2
        )
    assert results['gt_bboxes_labels'].tolist() == [1, 2, 0]


@pytest.mark.parametrize('overlap', [True, False])
def test_no_objects(overlap):
    results = Polygon2Mask(mask_overlap=overlap)(rectangle_sample(64, 32, []))
    masks = results['gt_panoptic_seg' if overlap else 'gt_masks']
    assert masks.dtype == torch.uint8 and masks.shape == ((1, 16, 8) if overlap else (0, 16, 8))
    assert results['gt_bboxes'].tensor.shape == (0, 4) and results['gt_bboxes_labels'].shape == (0,)


@pytest.mark.parametrize(
    'count, dtype', [(255, torch.uint8), (256, torch.int32), (300, torch.int32)]
)
def test_many_overlapping_objects(count, dtype):
    boxes = [[0, 0, 319 - k, 319 - k] for k in range(count)]
    results = Polygon2Mask(downsample_ratio=1)(rectangle_sample(320, 320, boxes))
    assert results['gt_panoptic_seg'].dtype == dtype
    assert results['gt_panoptic_seg'].unique().tolist() == list(range(1, count + 1))
    assert results['gt_bboxes_labels'].tolist() == list(range(count))


@pytest.mark.parametrize('overlap', [True, False])
def test_rings_of_an_object_are_united(overlap):
    rings = [rectangle(0, 0, 7, 7), rectangle(16, 16, 31, 31), rectangle(4, 4, 7, 23)[:6]]
    sample = make_sample(np.zeros((32, 32, 3), np.uint8), [[0, 0, 31, 31]], polygons=[rings])
    results = Polygon2Mask(mask_overlap=overlap)(sample)
    mask = results['gt_panoptic_seg' if overlap else 'gt_masks'][0]
    assert mask[:2, :2].all() and mask[4:, 4:].all()
    assert not mask[2:, :1].any() and not mask[:4, 2:].any(), 'no lines connect the rings'


def test_a_ratio_that_does_not_divide_the_image():
    results = Polygon2Mask()(rectangle_sample(50, 61, [[8, 8, 40, 40]]))
    assert results['gt_panoptic_seg'].shape == (1, 12, 15) and results['gt_panoptic_seg'].any()


def test_boxes_as_arrays_are_ordered():
    boxes = np.array([[0, 0, 8, 8], [0, 0, 30, 30]], dtype=np.float32)
    results = Polygon2Mask()(dict(rectangle_sample(32, 32, boxes), gt_bboxes=boxes))
    np.testing.assert_array_equal(results['gt_bboxes'], boxes[::-1])


@pytest.mark.parametrize(
    'args', [dict(downsample_ratio=0), dict(downsample_ratio=1.5), dict(coco_style=True)]
)
def test_arguments_out_of_range(args):
    with pytest.raises(ConfigError, match=next(iter(args))):
        Polygon2Mask(**args)


def test_missing_polygons_are_named():
    sample = rectangle_sample(32, 32, [[0, 0, 8, 8]])
    with pytest.raises(DataError, match='poly2mask'):
        Polygon2Mask()(with_bitmaps(sample))
    del sample['gt_masks']
    with pytest.raises(ConfigError, match='with_mask'):
        Polygon2Mask()(sample)
