"""Tests of the polygon functions."""

import numpy as np
import pytest

from mmyolo_lite.errors import DataError
from mmyolo_lite.ops import polygons as poly

SQUARE = np.array([2.0, 2, 12, 2, 12, 12, 2, 12])


def random_rings(rng: np.random.Generator, count: int, low: float, high: float) -> list[np.ndarray]:
    """Return self-crossing rings of 3 to 12 vertices anywhere between two bounds."""
    return [rng.uniform(low, high, 2 * rng.integers(3, 13)) for _ in range(count)]


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


def test_objects_in_sight_are_those_with_a_ring_near_the_window():
    polygons = [[SQUARE], [SQUARE + 50, SQUARE - 30], [SQUARE + 50, SQUARE + 1], [SQUARE + 18]]
    table = poly.pack(polygons)
    assert poly.objects_in_sight(table, (20, 20)).tolist() == [True, False, True, True]
    assert poly.objects_in_sight(poly.pack([]), (20, 20)).tolist() == []


def test_select_objects_takes_their_rings_along():
    polygons = [[SQUARE], [SQUARE[:6], SQUARE + 2], [SQUARE + 3]]
    kept = poly.select_objects(poly.pack(polygons), np.array([False, True, True]))
    assert [[ring.tolist() for ring in rings] for rings in poly.unpack(*kept)] == [
        [ring.tolist() for ring in rings] for rings in polygons[1:]
    ]
    assert poly.select_objects(poly.pack(polygons), np.zeros(3, dtype=bool)).counts == []


def test_bounds_of_whole_and_cut_rings_together_are_those_of_each_alone():
    rng = np.random.default_rng(5)
    rings = random_rings(rng, 40, -10, 40)
    samples = poly.resample(poly.pack([[ring] for ring in rings]), 300)
    together = poly.visible_bounds(samples, np.arange(40), 40, (30, 25))
    for index, sample in enumerate(samples):
        inside = ((sample >= 0) & (sample <= (30, 25))).all(axis=1)
        expected = np.zeros(4)
        if inside.any():
            expected = np.concatenate([sample[inside].min(axis=0), sample[inside].max(axis=0)])
        np.testing.assert_allclose(together[index], expected, rtol=1e-6)
