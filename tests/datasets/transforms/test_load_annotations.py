"""Tests of loading annotations."""

import json

import cv2
import numpy as np
import pytest

from mmyolo_lite.datasets.transforms import LoadAnnotations
from mmyolo_lite.datasets.transforms.load_annotations import has_mask, rings_from_rle, valid_rings
from tests.datasets.ragged import read_rings
from tests.shared_data import golden

# pycocotools 2.0.x hands its masks to numpy 2 in the old way.
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')

SQUARE = [1.0, 1, 9, 1, 9, 9, 1, 9]


def load(instances, shape=(20, 30), **kwargs):
    kwargs.setdefault('with_mask', True)
    return LoadAnnotations(**kwargs).transform(dict(instances=instances, ori_shape=shape))


def instance(mask=None, **kwargs):
    entry = dict(ignore_flag=0, bbox=[0.0, 0, 10, 10], bbox_label=1, **kwargs)
    return entry if mask is None else {**entry, 'mask': mask}


def rle_of(mask):
    from pycocotools import mask as coco_mask

    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


@pytest.mark.parametrize('mask2bbox', [0, 1])
@pytest.mark.parametrize('merge', [0, 1])
def test_recorded_annotations_are_reproduced(mask2bbox, merge):
    data = golden('data_annotations.npz')
    key = f'load_m2b{mask2bbox}_merge{merge}'
    instances = json.loads(str(data['instances_json']))
    results = load(instances, (150, 200), mask2bbox=bool(mask2bbox), merge_polygons=bool(merge))
    np.testing.assert_allclose(results['gt_bboxes'].tensor, data[f'{key}_boxes'], atol=1e-3)
    np.testing.assert_array_equal(results['gt_bboxes_labels'], data[f'{key}_labels'])
    assert len(results['gt_masks']) == data[f'{key}_nmask']
    for got, wanted in zip(results['gt_masks'].masks, read_rings(data, f'{key}_poly'), strict=True):
        assert len(got) == len(wanted)
        for ring, expected in zip(got, wanted, strict=True):
            np.testing.assert_allclose(ring, expected, atol=1e-3)


def test_recorded_boxes_without_masks_are_reproduced():
    data = golden('data_annotations.npz')
    results = load(json.loads(str(data['instances_json'])), (150, 200), with_mask=False)
    np.testing.assert_allclose(results['gt_bboxes'].tensor, data['load_boxonly_boxes'], atol=1e-3)
    np.testing.assert_array_equal(results['gt_bboxes_labels'], data['load_boxonly_labels'])
    assert 'gt_masks' not in results


def test_an_image_without_objects_gives_empty_arrays_of_the_right_kind():
    results = load([], mask2bbox=True)
    assert results['gt_bboxes'].tensor.shape == (0, 4)
    assert (
        results['gt_bboxes_labels'].shape == (0,) and results['gt_bboxes_labels'].dtype == np.int64
    )
    assert results['gt_ignore_flags'].shape == (0,) and results['gt_ignore_flags'].dtype == bool
    assert len(results['gt_masks']) == 0 and results['gt_masks'].height == 20


@pytest.mark.parametrize(
    'mask',
    [
        None,
        [],
        [[1.0, 2, 3, 4]],
        [[1.0, 2, 3, 4, 5]],
        [[float('nan'), 1, 2, 2, 3, 1]],
        [[1.0, 2, 3, 4, 5, float('inf')]],
        [[1.0, 2, 1e308, 4, 5, 6]],
        [[1.0, float('nan'), 1e308, 4, 5, 6], [1, -1e16, 3, 4, 5, 6]],
    ],
)
def test_objects_without_a_valid_ring_are_dropped_with_box_and_label(mask):
    results = load([instance(mask), instance([SQUARE])], mask2bbox=True)
    np.testing.assert_array_equal(results['gt_bboxes'].tensor, [[1, 1, 9, 9]])
    assert len(results['gt_bboxes_labels']) == len(results['gt_masks']) == 1
    assert not has_mask(mask)


def test_integer_polygons_become_float64():
    results = load([instance([[1, 1, 9, 1, 9, 9]])], merge_polygons=False)
    assert results['gt_masks'].masks[0][0].dtype == np.float64


def test_run_length_masks_become_rings_that_fill_back_to_the_mask():
    mask = np.zeros((40, 50), np.uint8)
    cv2.circle(mask, (20, 15), 9, 1, -1)
    mask[30:36, 40:48] = 1
    rings = valid_rings(rle_of(mask), 40, 50)
    filled = np.zeros_like(mask)
    for ring in rings:
        cv2.fillPoly(filled, [ring.reshape(-1, 2).astype(np.int32)], 1)
    assert len(rings) == 2
    np.testing.assert_array_equal(filled, mask)


def test_uncompressed_run_length_masks_are_read():
    # Column-major runs: a 3 x 3 square at rows and columns 1 to 3 of a 5 x 6 mask.
    rle = dict(size=[5, 6], counts=[6, 3, 2, 3, 2, 3, 11])
    (ring,) = rings_from_rle(rle, 5, 6)
    assert (ring.min(), ring.max()) == (1.5, 3.5)


def test_an_empty_run_length_mask_drops_the_object():
    assert len(load([instance(rle_of(np.zeros((20, 30))))], mask2bbox=True)['gt_masks']) == 0


def test_wrong_arguments_are_refused():
    with pytest.raises(AssertionError, match='poly2mask'):
        LoadAnnotations(poly2mask=True)
    with pytest.raises(AssertionError, match='with_mask'):
        LoadAnnotations(mask2bbox=True)


def test_what_is_remembered_of_annotations_is_what_would_be_parsed():
    plain, remembering = (LoadAnnotations(with_mask=True, mask2bbox=True) for _ in range(2))
    remembering.remembers = True
    for image in (1, 2, 1, 2, 1):
        instances = [instance([[value * image for value in SQUARE]])]
        results = [
            loader.transform(dict(img_id=image, instances=instances, ori_shape=(20, 30)))
            for loader in (plain, remembering)
        ]
        assert results[0].keys() == results[1].keys()
        for one, other in zip(*(list(found.values()) for found in results), strict=True):
            if hasattr(one, 'tensor'):
                np.testing.assert_array_equal(one.tensor, other.tensor)
            elif hasattr(one, 'masks'):
                np.testing.assert_array_equal(one.masks[0][0], other.masks[0][0])
            else:
                np.testing.assert_array_equal(one, other)
    assert len(remembering._parsed) == 2 and not plain._parsed


def test_maps_of_whole_images_are_not_remembered(monkeypatch):
    loader = LoadAnnotations(with_bbox=False, with_label=False, with_seg=True)
    loader.remembers = True
    monkeypatch.setattr(loader, '_load_seg_map', lambda results: results.update(gt_seg_map=1))
    assert loader.transform(dict(img_id=1, instances=[]))['gt_seg_map'] == 1
    assert not loader._parsed
