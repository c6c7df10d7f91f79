"""Keep-ratio resize and letterbox."""

import json

import numpy as np
import pytest
import torch

from mmyolo_lite.datasets.transforms import LetterResize, YOLOv5KeepRatioResize
from mmyolo_lite.datasets.transforms.resize import keep_ratio_size, letterbox_geometry
from mmyolo_lite.errors import ConfigError
from tests.datasets.ragged import read_rings
from tests.shared_data import golden


def boxes_of(array):
    from mmdet.structures.bbox import HorizontalBoxes

    return HorizontalBoxes(torch.tensor(np.asarray(array, dtype=np.float32)))


def polygons_of(rings, height, width):
    from mmdet.structures.mask import PolygonMasks

    return PolygonMasks(rings, height, width)


def image(height, width, value=255):
    return np.full((height, width, 3), value, np.uint8)


def run_case(data, case):
    key, args = case['key'], dict(case['args'])
    args['scale'] = tuple(args['scale'])
    results = dict(img=data[f'{key}_in'].copy())
    if f'{key}_boxes_in' in data:
        results['gt_bboxes'] = boxes_of(data[f'{key}_boxes_in'])
    if f'{key}_poly_in_pts' in data:
        results['gt_masks'] = polygons_of(
            read_rings(data, f'{key}_poly_in'), *results['img'].shape[:2]
        )
    if case.get('batch_shape'):
        results['batch_shape'] = np.array(case['batch_shape'])
    if case['transform'] != 'LetterResize':
        results = YOLOv5KeepRatioResize(scale=args['scale']).transform(results)
    if case['transform'] != 'YOLOv5KeepRatioResize':
        results = LetterResize(**args).transform(results)
    return results


def test_recorded_images_boxes_and_polygons_are_reproduced():
    data = golden('data_resize.npz')
    for case in json.loads(str(data['cases_json'])):
        key, results = case['key'], run_case(data, case)
        assert results['img'].shape == data[f'{key}_out'].shape, key
        assert abs(results['img'].astype(int) - data[f'{key}_out']).max() <= 2, key
        assert results['img_shape'] == tuple(case['img_shape'][:2]), key
        np.testing.assert_array_equal(results['scale_factor'], data[f'{key}_scale_factor'], key)
        if f'{key}_boxes_out' in data:
            boxes = results['gt_bboxes'].tensor
            np.testing.assert_allclose(boxes, data[f'{key}_boxes_out'], atol=1e-3, err_msg=key)
        if f'{key}_pad_param' in data:
            np.testing.assert_array_equal(results['pad_param'], data[f'{key}_pad_param'], key)
        if f'{key}_poly_out_pts' in data:
            expected = read_rings(data, f'{key}_poly_out')
            for got, wanted in zip(results['gt_masks'].masks, expected, strict=True):
                got, wanted = np.concatenate(got), np.concatenate(wanted)
                np.testing.assert_allclose(got, wanted, atol=1e-3, err_msg=key)
            masks = results['gt_masks']
            assert (masks.height, masks.width) == results['img_shape'], key


def test_recorded_shape_arithmetic_is_reproduced():
    data = golden('data_resize_meta.npz')
    for (height, width, scale_w, scale_h, batch_h, batch_w, half), expected in zip(
        data['inputs'].tolist(), data['outputs'], strict=True
    ):
        scale = (int(scale_w), int(scale_h))
        results = dict(img=np.zeros((int(height), int(width), 3), np.uint8))
        if batch_h > 0:
            results['batch_shape'] = np.array([batch_h, batch_w], dtype=np.int64)
        results = YOLOv5KeepRatioResize(scale=scale).transform(results)
        first = [*results['img_shape'], *results['scale_factor']]
        letterbox = LetterResize(scale=scale, allow_scale_up=False, half_pad_param=bool(half))
        results = letterbox.transform(results)
        got = [*first, *results['img_shape'], *results['scale_factor'], *results['pad_param']]
        np.testing.assert_array_equal(got, expected)
        assert results['img'].shape[:2] == results['img_shape']


@pytest.mark.parametrize(
    'image_hw, scale, expected',
    [
        ((480, 640), (640, 640), (480, 640)),
        ((480, 640), (320, 640), (320, 426)),
        ((480, 640), (640, 320), (320, 426)),
        ((1, 5000), (640, 640), (1, 640)),
    ],
)
def test_keep_ratio_size(image_hw, scale, expected):
    assert keep_ratio_size(image_hw, scale)[1] == expected


@pytest.mark.parametrize(
    'kwargs, size, pad',
    [
        ({}, (48, 64), (16, 0)),
        (dict(allow_scale_up=False), (30, 40), (34, 24)),
        (dict(use_mini_pad=True, stretch_only=True), (48, 64), (16, 0)),
        (dict(stretch_only=True), (64, 64), (0, 0)),
    ],
)
def test_letterbox_geometry(kwargs, size, pad):
    assert letterbox_geometry((30, 40), (64, 64), **kwargs) == (size, pad)


def test_letterboxed_boxes_map_back_to_the_image():
    box = np.array([[10, 20, 90, 47]], dtype=np.float32)
    results = dict(img=image(50, 100), gt_bboxes=boxes_of(box))
    results = YOLOv5KeepRatioResize(scale=61).transform(results)
    results = LetterResize(scale=(64, 96), allow_scale_up=False, half_pad_param=True).transform(
        results
    )
    top, _, left, _ = results['pad_param']
    moved = results['gt_bboxes'].tensor.numpy() - [left, top, left, top]
    back = moved / np.tile(results['scale_factor'], 2)
    np.testing.assert_allclose(back, box, atol=1e-3)


@pytest.mark.parametrize(
    'pad_val', [114, 114.0, dict(img=114), dict(img=114.0), dict(img=(114, 114, 114))]
)
def test_every_form_of_pad_value_fills_all_channels(pad_val):
    results = LetterResize(scale=(64, 64), pad_val=pad_val).transform(dict(img=image(32, 64, 7)))
    assert (results['img'][:16] == 114).all() and (results['img'][48:] == 114).all()
    assert (results['img'][16:48] == 7).all()


def test_the_polygon_container_has_the_padded_size_when_padding_is_only_at_the_bottom():
    ring = np.array([0.0, 0, 64, 0, 64, 63])
    results = dict(img=image(63, 64), gt_masks=polygons_of([[ring]], 63, 64))
    results = LetterResize(scale=(64, 64)).transform(results)
    assert results['pad_param'].tolist() == [0, 1, 0, 0]
    assert (results['gt_masks'].height, results['gt_masks'].width) == (64, 64)


def test_polygons_loaded_before_follow_the_truncated_size():
    ring = np.array([0.0, 0, 100, 0, 100, 71])
    results = dict(img=image(71, 100), gt_masks=polygons_of([[ring]], 71, 100))
    results = YOLOv5KeepRatioResize(scale=33).transform(results)
    assert results['img_shape'] == (23, 33)
    assert (results['gt_masks'].height, results['gt_masks'].width) == (23, 33)
    np.testing.assert_allclose(results['gt_masks'].masks[0][0], [0, 0, 33, 0, 33, 23])


def test_label_maps_follow_the_image():
    results = dict(img=image(40, 80), gt_seg_map=np.ones((40, 80), np.uint8))
    results = YOLOv5KeepRatioResize(scale=64).transform(results)
    results = LetterResize(scale=64, pad_val=0).transform(results)
    assert results['gt_seg_map'].shape == (64, 64)
    assert (results['gt_seg_map'][:16] == 255).all() and (results['gt_seg_map'][16:48] == 1).all()


def test_a_one_pixel_high_image_survives():
    results = YOLOv5KeepRatioResize(scale=64).transform(dict(img=image(1, 3000)))
    results = LetterResize(scale=(64, 64)).transform(results)
    assert results['img'].shape == (64, 64, 3)


def test_arrays_of_boxes_are_accepted():
    results = dict(img=image(10, 20), gt_bboxes=np.array([[0, 0, 20, 10]], np.float32))
    results = LetterResize(scale=(20, 20)).transform(results)
    np.testing.assert_array_equal(np.asarray(results['gt_bboxes']), [[0, 5, 20, 15]])


@pytest.mark.parametrize(
    'build',
    [
        lambda: YOLOv5KeepRatioResize(scale_factor=2.0),
        lambda: YOLOv5KeepRatioResize(),
        lambda: YOLOv5KeepRatioResize(scale=(64, 64), keep_ratio=False),
        lambda: LetterResize(scale_factor=0.5, scale=64),
        lambda: LetterResize(scale=(64, 0)),
        lambda: LetterResize(scale=(64, 64), pad_val='grey'),
    ],
)
def test_wrong_arguments_are_refused(build):
    with pytest.raises(ConfigError):
        build()
