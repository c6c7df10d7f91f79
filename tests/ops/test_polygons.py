"""Tests of the polygon functions."""

import json

import mmcv
import numpy as np
import pytest

from mmyolo_lite.errors import DataError
from mmyolo_lite.ops import polygons as poly
from tests.shared_data import golden

SQUARE = np.array([2.0, 2, 12, 2, 12, 12, 2, 12])


def random_rings(rng: np.random.Generator, count: int, low: float, high: float) -> list[np.ndarray]:
    """Return self-crossing rings of 3 to 12 vertices anywhere between two bounds."""
    return [rng.uniform(low, high, 2 * rng.integers(3, 13)) for _ in range(count)]


def shoelace(ring: np.ndarray) -> float:
    x, y = ring.reshape(-1, 2).T
    return abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2


def test_unpack_undoes_pack():
    polygons = [[SQUARE, SQUARE[:6]], [SQUARE + 1]]
    table = poly.pack(polygons)
    again = poly.unpack(*table)
    assert [[ring.tolist() for ring in rings] for rings in again] == [
        [ring.tolist() for ring in rings] for rings in polygons
    ]
    assert table.owners.tolist() == [0, 0, 1]
    assert table.points.dtype == np.float64


def test_pack_without_objects():
    table = poly.pack([])
    assert table.points.shape == (0, 2) and table.owners.shape == (0,)
    assert poly.unpack(*table) == []
    assert poly.scale_shift([], (2, 2), (1, 1), (10, 10)) == []


def test_bitmaps_are_refused():
    with pytest.raises(DataError, match='poly2mask'):
        poly.pack(np.zeros((1, 4, 4), dtype=np.uint8))


def test_scale_shift_is_undone_and_leaves_its_input():
    before = SQUARE.copy()
    moved = poly.scale_shift([[SQUARE]], (2.0, 0.5), (3.0, -1.0))
    assert moved[0][0][:2].tolist() == [7, 0]
    back = poly.scale_shift(poly.scale_shift(moved, shift_xy=(-3.0, 1.0)), (0.5, 2.0))
    np.testing.assert_allclose(back[0][0], SQUARE)
    np.testing.assert_array_equal(SQUARE, before)


def test_integer_rings_are_scaled_without_truncation():
    assert poly.scale_shift([[SQUARE.astype(int)]], (0.25, 0.25))[0][0][0] == 0.5


def test_clamp_uses_width_for_x_and_height_for_y():
    assert poly.clamp(np.array([[50.0, 50.0], [-1, -1]]), (30, 20)).tolist() == [[30, 20], [0, 0]]


def test_mirror_twice_is_identity():
    once = poly.mirror([[SQUARE]], 20)
    assert once[0][0][0] == 18
    np.testing.assert_array_equal(poly.mirror(once, 20)[0][0], SQUARE)


@pytest.mark.parametrize('num', [2, 7, 100])
def test_resample_matches_numpy_interp(num):
    rng = np.random.default_rng(num)
    rings = random_rings(rng, 5, -20, 100)
    samples = poly.resample(poly.pack([rings]), num)
    for ring, sampled in zip(rings, samples, strict=True):
        closed = np.concatenate([ring, ring[:2]]).reshape(-1, 2)
        at = np.linspace(0, len(closed) - 1, num)
        expected = [np.interp(at, np.arange(len(closed)), closed[:, axis]) for axis in (0, 1)]
        np.testing.assert_array_equal(sampled, np.stack(expected, axis=1))


def test_resample_hits_every_vertex_when_the_count_fits():
    samples = poly.resample(poly.pack([[SQUARE]]), 9)[0]
    np.testing.assert_array_equal(samples[:-1:2], SQUARE.reshape(-1, 2))
    np.testing.assert_array_equal(samples[0], samples[-1])
    assert poly.resample(poly.pack([[SQUARE]]), 8)[0].max() < 12.0 + 1e-9
    assert (
        not (poly.resample(poly.pack([[SQUARE]]), 8)[0] == [12, 12]).all(axis=1).any()
    )  # a vertex may be passed by


def test_transform_commutes_with_resampling():
    matrix = np.array([[1.5, 0.2, -3], [-0.1, 0.7, 4], [0, 0, 1]])
    table = poly.pack([[SQUARE]])
    moved = table._replace(points=poly.transform(table.points, matrix))
    np.testing.assert_allclose(
        poly.resample(moved, 50), poly.transform(poly.resample(table, 50), matrix)
    )


def bounds_of(ring: np.ndarray, size_wh: tuple[int, int] = (20, 20)) -> list[float]:
    samples = poly.resample(poly.pack([[ring]]), 1000)
    return poly.visible_bounds(samples, np.array([0]), 1, size_wh)[0].tolist()


def test_visible_bounds():
    np.testing.assert_allclose(bounds_of(SQUARE), [2, 2, 12, 12], atol=0.05)
    np.testing.assert_allclose(bounds_of(SQUARE, (8, 20)), [2, 2, 8, 12], atol=0.05)
    assert bounds_of(SQUARE + 100) == [0, 0, 0, 0]
    assert bounds_of(np.array([-5.0, -5, 30, -5, 30, 30, -5, 30])) == [0, 0, 0, 0], (
        'contour out of sight'
    )
    assert bounds_of(np.array([0.0, 2, 0, 8, 0, 5])) == [0, 0, 0, 0], (
        'a ring on x = 0 does not count'
    )
    assert bounds_of(np.full(8, np.nan)) == [0, 0, 0, 0]


def test_visible_bounds_joins_rings_of_an_object():
    samples = poly.resample(poly.pack([[SQUARE], [SQUARE[:6] + 1, SQUARE + 5]]), 400)
    bounds = poly.visible_bounds(samples, np.array([0, 1, 1]), 3, (30, 30))
    np.testing.assert_allclose(bounds, [[2, 2, 12, 12], [3, 3, 17, 17], [0, 0, 0, 0]], atol=0.1)
    assert bounds.dtype == np.float32


@pytest.mark.parametrize('size', [5, 20, 73])
def test_mask_keeps_the_area(size):
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    ring = (100 + size * np.stack([np.cos(angles), np.sin(angles)], axis=1)).reshape(-1)
    area = int(poly.rasterize([ring], (200, 200)).sum())
    # fillPoly paints the contour as well, about half a pixel beyond the outline; truncation takes
    # up to one.
    assert abs(area - shoelace(ring)) <= 2 * np.pi * size
    assert poly.rasterize([SQUARE], (20, 20)).sum() == 11 * 11


def test_rings_are_united():
    mask = poly.rasterize([SQUARE, SQUARE + 4], (20, 20))
    assert mask.sum() == 11 * 11 * 2 - 7 * 7
    separate = poly.rasterize([SQUARE], (20, 20)) | poly.rasterize([SQUARE + 4], (20, 20))
    np.testing.assert_array_equal(mask, separate)


def test_unusable_rings_leave_no_pixels():
    rings = [np.full(6, np.nan), np.zeros(0), np.array([np.inf, 0, 1, 1, 2, 2])]
    assert not poly.rasterize(rings, (8, 8)).any()
    assert poly.rasterize_region(rings, (8, 8), 4)[0].size == 0


@pytest.mark.parametrize('ratio', [2, 4])
def test_downsample_equals_bilinear_resize(ratio):
    mask = (np.random.default_rng(ratio).random((64, 48)) < 0.5).astype(np.uint8)
    expected = mmcv.imresize(mask, (48 // ratio, 64 // ratio))
    np.testing.assert_array_equal(poly.downsample(mask, ratio), expected)


@pytest.mark.parametrize(
    'ratio, size_hw',
    [(1, (64, 48)), (2, (64, 48)), (4, (64, 48)), (4, (61, 50)), (3, (60, 60)), (4, (8, 40))],
)
def test_region_equals_full_canvas(ratio, size_hw):
    rng = np.random.default_rng(0)
    for _ in range(100):
        rings = random_rings(rng, 2, -20, 80)
        expected = poly.downsample(poly.rasterize(rings, size_hw), ratio)
        canvas = np.zeros_like(expected)
        region, corner = poly.rasterize_region(rings, size_hw, ratio)
        poly._window(canvas, region, corner)[...] = region
        np.testing.assert_array_equal(canvas, expected)


@pytest.mark.parametrize('shift', [(-100, 0), (0, -100), (100, 0), (0, 100), (-13, -13), (20, 20)])
def test_object_off_the_canvas_has_an_empty_mask(shift):
    polygons = poly.scale_shift([[SQUARE]], shift_xy=shift)
    assert not poly.stack_masks(polygons, (16, 16), 4).any()


def test_paint_order_is_stable_with_zero_areas_first():
    assert poly.paint_order(np.array([5, 0, 9, 5, 0])).tolist() == [1, 4, 2, 0, 3]
    assert poly.paint_order(np.zeros(0)).tolist() == []


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
    ids, order = poly.overlap_map(polygons, (160, 160))
    assert ids.dtype == dtype
    assert order.tolist() == list(range(count)), 'equal areas keep their order'
    values, counts = np.unique(ids[ids > 0], return_counts=True)
    assert values.tolist() == list(range(1, count + 1))
    assert (counts == 25).all()


def test_small_objects_lie_on_top():
    ids, order = poly.overlap_map([[SQUARE[:8] * 0.5 + 2], [SQUARE]], (16, 16))
    assert order.tolist() == [1, 0]
    assert ids[4, 4] == 2 and ids[11, 11] == 1 and ids[15, 15] == 0


def fixture_cases() -> list[dict]:
    return json.loads(str(golden('data_polygon2mask.npz')['cases_json']))


def test_masks_match_the_fixture():
    archive, cases = golden('data_polygon2mask.npz'), fixture_cases()
    for case in (case for case in cases if case['key'] != 'two'):
        key, size_hw, ratio = case['key'], (case['h'], case['w']), case['downsample_ratio']
        polygons = poly.unpack(*(archive[f'{key}_poly_{part}'] for part in ('pts', 'off', 'nring')))
        stack = poly.stack_masks(polygons, size_hw, ratio)
        np.testing.assert_array_equal(stack, archive[f'{key}_nonoverlap'])
        ids, order = poly.overlap_map(polygons, size_hw, ratio)
        np.testing.assert_array_equal(ids[None], archive[f'{key}_overlap'])
        np.testing.assert_array_equal(order, archive[f'{key}_sorted_idx'])


@pytest.mark.parametrize('size_hw', [(2, 40), (40, 3), (1, 1)])
def test_image_smaller_than_one_cell(size_hw):
    expected = (size_hw[0] // 4, size_hw[1] // 4)
    assert poly.stack_masks([[SQUARE]], size_hw, 4).shape == (1, *expected)
    assert poly.overlap_map([[SQUARE]], size_hw, 4)[0].shape == expected
