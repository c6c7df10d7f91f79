"""Tests of rasterising polygons."""

import json

import cv2
import mmcv
import numpy as np
import pytest

from mmyolo_lite.ops import polygons as poly
from mmyolo_lite.ops import rasterize as raster
from tests.ops.test_polygons import SQUARE, random_rings
from tests.shared_data import golden


def shoelace(ring: np.ndarray) -> float:
    x, y = ring.reshape(-1, 2).T
    return abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2


@pytest.mark.parametrize('size', [5, 20, 73])
def test_mask_keeps_the_area(size):
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    ring = (100 + size * np.stack([np.cos(angles), np.sin(angles)], axis=1)).reshape(-1)
    area = int(raster.rasterize([ring], (200, 200)).sum())
    # fillPoly paints the contour as well, about half a pixel beyond the outline; truncation takes
    # up to one.
    assert abs(area - shoelace(ring)) <= 2 * np.pi * size
    assert raster.rasterize([SQUARE], (20, 20)).sum() == 11 * 11


def test_rings_are_united():
    mask = raster.rasterize([SQUARE, SQUARE + 4], (20, 20))
    assert mask.sum() == 11 * 11 * 2 - 7 * 7
    separate = raster.rasterize([SQUARE], (20, 20)) | raster.rasterize([SQUARE + 4], (20, 20))
    np.testing.assert_array_equal(mask, separate)


def test_unusable_rings_leave_no_pixels():
    rings = [np.full(6, np.nan), np.zeros(0), np.array([np.inf, 0, 1, 1, 2, 2])]
    assert not raster.rasterize(rings, (8, 8)).any()
    assert raster.rasterize_regions([rings], (8, 8), 4)[0][0].size == 0


@pytest.mark.parametrize('ratio', [2, 4])
def test_downsample_equals_bilinear_resize(ratio):
    mask = (np.random.default_rng(ratio).random((64, 48)) < 0.5).astype(np.uint8)
    expected = mmcv.imresize(mask, (48 // ratio, 64 // ratio))
    np.testing.assert_array_equal(raster.downsample(mask, ratio), expected)


@pytest.mark.parametrize(
    'ratio, size_hw',
    [(1, (64, 48)), (2, (64, 48)), (4, (64, 48)), (4, (61, 50)), (3, (60, 60)), (4, (8, 40))],
)
def test_region_equals_full_canvas(ratio, size_hw):
    rng = np.random.default_rng(0)
    for _ in range(100):
        rings = random_rings(rng, 2, -20, 80)
        expected = raster.downsample(raster.rasterize(rings, size_hw), ratio)
        canvas = np.zeros_like(expected)
        region, corner = raster.rasterize_regions([rings], size_hw, ratio)[0]
        raster._window(canvas, region, corner)[...] = region
        np.testing.assert_array_equal(canvas, expected)


def test_objects_are_rasterised_alike_alone_and_together():
    rng = np.random.default_rng(1)
    polygons = [random_rings(rng, count, -10, 70) for count in (1, 3, 0, 2)]
    polygons[1].append(np.full(6, np.nan))
    together = raster.rasterize_regions(polygons, (64, 64), 4)
    for rings, (region, corner) in zip(polygons, together, strict=True):
        alone, place = raster.rasterize_regions([rings], (64, 64), 4)[0]
        np.testing.assert_array_equal(region, alone)
        assert corner == place


@pytest.mark.parametrize('shift', [(-100, 0), (0, -100), (100, 0), (0, 100), (-13, -13), (20, 20)])
def test_object_off_the_canvas_has_an_empty_mask(shift):
    polygons = poly.scale_shift([[SQUARE]], shift_xy=shift)
    assert not raster.stack_masks(polygons, (16, 16), 4).any()


def test_paint_order_is_stable_with_zero_areas_first():
    assert raster.paint_order(np.array([5, 0, 9, 5, 0])).tolist() == [1, 4, 2, 0, 3]
    assert raster.paint_order(np.zeros(0)).tolist() == []


@pytest.mark.parametrize(
    'count, dtype',
    [
        (0, np.uint8),
        (1, np.uint8),
        (200, np.uint8),
        (255, np.uint8),
        (256, np.int32),
        (400, np.int32),
    ],
)
def test_overlap_map_holds_many_objects(count, dtype):
    polygons = [
        [np.array([x, y, x + 4, y, x + 4, y + 4, x, y + 4], dtype=float)]
        for x, y in ((8 * (k % 20), 8 * (k // 20)) for k in range(count))
    ]
    ids, order = raster.overlap_map(polygons, (160, 160))
    assert ids.dtype == dtype
    assert order.tolist() == list(range(count)), 'equal areas keep their order'
    values, counts = np.unique(ids[ids > 0], return_counts=True)
    assert values.tolist() == list(range(1, count + 1))
    assert (counts == 25).all()


def test_small_objects_lie_on_top():
    ids, order = raster.overlap_map([[SQUARE[:8] * 0.5 + 2], [SQUARE]], (16, 16))
    assert order.tolist() == [1, 0]
    assert ids[4, 4] == 2 and ids[11, 11] == 1 and ids[15, 15] == 0


def fixture_cases() -> list[dict]:
    return json.loads(str(golden('data_polygon2mask.npz')['cases_json']))


def assert_alike(masks, expected):
    """Require equal pixels; OpenCV before 4.11 fills some at the rims otherwise."""
    version = tuple(int(part) for part in cv2.__version__.split('.')[:2])
    assert masks.shape == expected.shape
    assert (masks != expected).sum() <= (32 if version < (4, 11) else 0)


def test_masks_match_the_fixture():
    archive, cases = golden('data_polygon2mask.npz'), fixture_cases()
    for case in (case for case in cases if case['key'] != 'two'):
        key, size_hw, ratio = case['key'], (case['h'], case['w']), case['downsample_ratio']
        polygons = poly.unpack(*(archive[f'{key}_poly_{part}'] for part in ('pts', 'off', 'nring')))
        stack = raster.stack_masks(polygons, size_hw, ratio)
        assert_alike(stack, archive[f'{key}_nonoverlap'])
        ids, order = raster.overlap_map(polygons, size_hw, ratio)
        assert_alike(ids[None], archive[f'{key}_overlap'])
        np.testing.assert_array_equal(order, archive[f'{key}_sorted_idx'])


@pytest.mark.parametrize('size_hw', [(2, 40), (40, 3), (1, 1)])
def test_image_smaller_than_one_cell(size_hw):
    expected = (size_hw[0] // 4, size_hw[1] // 4)
    assert raster.stack_masks([[SQUARE]], size_hw, 4).shape == (1, *expected)
    assert raster.overlap_map([[SQUARE]], size_hw, 4)[0].shape == expected
