"""Tests of YOLOv5RandomAffine."""

import json

import numpy as np
import pytest

from mmyolo_lite.datasets.transforms.affine import YOLOv5RandomAffine
from mmyolo_lite.errors import ConfigError, DataError
from tests.datasets.ragged import read_rings
from tests.datasets.transforms.samples import (
    make_sample,
    rectangle,
    rectangle_sample,
    vertices,
    with_bitmaps,
)
from tests.shared_data import golden

STILL = dict(
    max_rotate_degree=0, max_shear_degree=0, max_translate_ratio=0, scaling_ratio_range=(1, 1)
)


@pytest.mark.parametrize('number', range(16))
def test_affine_matches_the_fixture(number):
    archive = golden('data_affine.npz')
    case = json.loads(str(archive['cases_json']))[number]
    key = case['key']
    sample = make_sample(
        archive[f'{key}_in'],
        archive[f'{key}_boxes_in'],
        polygons=read_rings(archive, f'{key}_poly_in') if case['masks'] else None,
    )
    np.random.seed(case['seed'])
    results = YOLOv5RandomAffine(**case['args'])(sample)
    assert np.abs(results['img'].astype(int) - archive[f'{key}_out']).max() <= 2
    assert np.abs(results['img'].astype(float) - archive[f'{key}_out']).mean() <= 0.05
    assert results['img_shape'] == archive[f'{key}_out'].shape[:2]
    np.testing.assert_array_equal(results['gt_bboxes_labels'], archive[f'{key}_keep'])
    np.testing.assert_allclose(results['gt_bboxes'].numpy(), archive[f'{key}_boxes_out'], atol=1e-3)
    if case['masks']:
        np.testing.assert_allclose(
            vertices(results['gt_masks']), archive[f'{key}_poly_out_pts'], atol=1e-3
        )
        assert (results['gt_masks'].height, results['gt_masks'].width) == results['img_shape']


def test_six_uniforms_are_drawn():
    np.random.seed(0)
    YOLOv5RandomAffine()(rectangle_sample(20, 30, []))
    after = np.random.uniform()
    np.random.seed(0)
    np.random.uniform(size=6)
    assert after == np.random.uniform()


def test_standing_still_keeps_the_image_and_the_objects():
    rng = np.random.default_rng(0)
    img = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
    box = [5, 6, 30, 35]
    results = YOLOv5RandomAffine(**STILL)(make_sample(img, [box], polygons=[[rectangle(*box)]]))
    np.testing.assert_array_equal(results['img'], img)
    np.testing.assert_allclose(results['gt_bboxes'].numpy(), [box], atol=0.5)
    assert len(results['gt_masks'].masks[0][0]) == 2000
    assert results['img_shape'] == (40, 60) and type(results['img_shape'][0]) is int


@pytest.mark.parametrize('with_masks, kept', [(True, 0), (False, 1)])
def test_an_object_covering_the_output_is_dropped_with_masks(with_masks, kept):
    sample = rectangle_sample(64, 64, [[2, 2, 62, 62]])
    if not with_masks:
        del sample['gt_masks']
    results = YOLOv5RandomAffine(border=(-16, -16), **STILL)(sample)
    assert len(results['gt_bboxes']) == len(results['gt_bboxes_labels']) == kept
    if with_masks:
        assert len(results['gt_masks']) == 0 and results['gt_masks'].masks == []


def test_objects_of_several_rings_are_kept_whole():
    polygons = [
        [rectangle(-50, 0, -40, 9)],
        [rectangle(2, 2, 10, 10), rectangle(20, 20, 30, 30)],
        [rectangle(5, 5, 25, 25)],
    ]
    sample = make_sample(
        np.zeros((40, 40, 3), np.uint8),
        [[-50, 0, -40, 9], [2, 2, 30, 30], [5, 5, 25, 25]],
        polygons=polygons,
    )
    results = YOLOv5RandomAffine(**STILL)(sample)
    assert results['gt_bboxes_labels'].tolist() == [1, 2]
    assert [len(rings) for rings in results['gt_masks'].masks] == [2, 1]
    np.testing.assert_allclose(
        results['gt_bboxes'].numpy(), [[2, 2, 30, 30], [5, 5, 25, 25]], atol=0.5
    )
    np.testing.assert_allclose(results['gt_masks'].masks[0][1][:2], [20, 20])


def test_polygons_that_are_not_finite_are_dropped():
    sample = make_sample(
        np.zeros((40, 40, 3), np.uint8),
        [[2, 2, 9, 9], [2, 2, 9, 9]],
        polygons=[[np.full(8, np.nan)], [rectangle(2, 2, 9, 9)]],
    )
    assert YOLOv5RandomAffine(**STILL)(sample)['gt_bboxes_labels'].tolist() == [1]


def test_no_objects():
    results = YOLOv5RandomAffine(border=(-4, -2))(rectangle_sample(20, 30, []))
    assert results['img'].shape == (16, 22, 3) and results['gt_bboxes'].tensor.shape == (0, 4)
    assert (results['gt_masks'].height, results['gt_masks'].width) == (16, 22)
    assert len(results['gt_bboxes_labels']) == len(results['gt_ignore_flags']) == 0


def test_without_clipping_the_container_has_the_output_size():
    sample = rectangle_sample(60, 90, [[10, 10, 80, 50]])
    results = YOLOv5RandomAffine(border=(-20, -5), bbox_clip_border=False, **STILL)(sample)
    assert (
        (results['gt_masks'].height, results['gt_masks'].width) == results['img_shape'] == (50, 50)
    )
    assert vertices(results['gt_masks'])[:, 0].min() == pytest.approx(-10)


def test_image_alone():
    results = YOLOv5RandomAffine()(dict(img=np.zeros((20, 30, 3), np.uint8)))
    assert results['img'].shape == (20, 30, 3)


def test_boxes_as_arrays():
    box = [5, 5, 30, 30]
    sample = dict(rectangle_sample(40, 40, [box]), gt_bboxes=np.array([box], np.float32))
    assert isinstance(YOLOv5RandomAffine(**STILL)(sample)['gt_bboxes'], np.ndarray)


@pytest.mark.parametrize('border', [(-20, 0), (0, -20), (-40, -40)])
def test_a_border_that_leaves_nothing_is_refused(border):
    with pytest.raises(ConfigError, match='border'):
        YOLOv5RandomAffine(border=border)(rectangle_sample(40, 40, []))


def test_bitmaps_are_refused():
    with pytest.raises(DataError, match='poly2mask'):
        YOLOv5RandomAffine()(with_bitmaps(rectangle_sample(40, 40, [[5, 5, 30, 30]])))


@pytest.mark.parametrize(
    'args',
    [
        dict(max_translate_ratio=1.5),
        dict(scaling_ratio_range=(1.5, 0.5)),
        dict(scaling_ratio_range=(0, 1)),
        dict(resample_num=1),
    ],
)
def test_arguments_out_of_range(args):
    with pytest.raises(ConfigError, match=next(iter(args))):
        YOLOv5RandomAffine(**args)
