"""Outlines: areas as COCO counts them, masks traced without loss, rings joined into one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from mmyolo_lite.datasets.converters import outlines
from mmyolo_lite.datasets.converters.outlines import (
    ellipse_ring,
    mask_to_rings,
    one_ring,
    ring_points,
    rings_area,
)


def square(left: float, top: float, side: float) -> np.ndarray:
    return np.array(
        [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]
    )


def rasterize(rings: list[np.ndarray], size_hw: tuple[int, int]) -> np.ndarray:
    flat = [ring.ravel().tolist() for ring in rings]
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(flat, *size_hw)))


BOW_TIE = np.array([[0, 0], [20, 20], [20, 0], [0, 20.0]])
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@pytest.mark.parametrize(
    'rings, area',
    [
        ([square(0, 0, 10)], 100),
        ([square(0, 0, 10)[::-1]], 100),
        ([square(0, 0, 10), square(20, 0, 5)], 125),
        ([square(0, 0, 10), square(5, 0, 10)], 150),
        ([square(0, 0, 10), square(0, 0, 10)], 100),
        ([square(0.5, 0.25, 1)], 1),
    ],
)
def test_the_area_is_that_of_the_union(rings, area):
    assert rings_area(rings) == pytest.approx(area)


def test_the_area_of_a_ring_that_crosses_itself_is_counted_in_pixels():
    assert outlines.polygon_area(BOW_TIE) == 0
    assert rings_area([BOW_TIE]) == pytest.approx(200, rel=0.1)
    assert rings_area([BOW_TIE + 1000]) == rings_area([BOW_TIE])


@given(arrays(np.uint8, SHAPES, elements=st.integers(0, 1)))
@settings(max_examples=200, deadline=None)
def test_a_traced_mask_rasterises_to_itself(mask):
    rings = mask_to_rings(mask)
    assert bool(rings) == bool(mask.any())
    if rings:
        np.testing.assert_array_equal(rasterize(rings, mask.shape), mask)
        assert rings_area(rings) == mask.sum()
        joined = one_ring(rings)
        np.testing.assert_array_equal(rasterize([joined], mask.shape), mask)


def test_a_mask_lies_where_its_corner_says():
    (ring,) = mask_to_rings(np.array([[0, 0, 0], [0, 2, 2]]), (10, 20))
    assert sorted(map(tuple, ring.tolist())) == [(11, 21), (11, 22), (13, 21), (13, 22)]


def test_only_so_many_holes_are_cut_out(monkeypatch):
    monkeypatch.setattr(outlines, 'MAX_HOLES', 1)
    mask = np.ones((9, 9), np.uint8)
    mask[1, 1] = mask[4:7, 4:7] = 0
    filled = rasterize(mask_to_rings(mask), mask.shape)
    assert filled[1, 1] == 1
    assert filled[5, 5] == 0


def test_overlapping_rings_are_united_before_they_are_joined():
    rings = [square(2, 2, 20), square(12, 12, 20), square(40, 2, 6)]
    ring = one_ring(rings)
    np.testing.assert_array_equal(rasterize([ring], (50, 60)), rasterize(rings, (50, 60)))
    hollow = [square(0, 0, 30) * [1, 0.3], square(0, 20, 30) * [1, 0.4]]
    hollow += [square(0, 0, 30) * [0.3, 1], square(20, 0, 30) * [1, 0.7]]
    np.testing.assert_array_equal(
        rasterize([one_ring(hollow)], (60, 60)), rasterize(hollow, (60, 60))
    )


def test_rings_of_many_vertices_are_joined_without_all_distances(monkeypatch):
    monkeypatch.setattr(outlines, 'MAX_VERTEX_PAIRS', 10)
    rings = [square(2, 2, 10), square(22, 5, 10), square(5, 30, 4)]
    np.testing.assert_array_equal(
        rasterize([one_ring(rings)], (40, 40)), rasterize(rings, (40, 40))
    )


def test_one_ring_alone_stays_as_it_is():
    np.testing.assert_array_equal(one_ring([BOW_TIE]), BOW_TIE)


def test_an_ellipse_lies_between_its_radii():
    ring = ellipse_ring((5, 6), (4, 2))
    distance = np.linalg.norm(ring - (5, 6), axis=1)
    assert (distance.min(), distance.max(), len(ring)) == (pytest.approx(2), 4, 36)


@pytest.mark.parametrize(
    'value',
    [None, 3, 'points', [], [1, 2], [[1]], [[1, 2], [3]], [[1, None]], [[1, float('nan')]]]
    + [[[1, 'x']], [[1, 10**400]], [[[1, 2]]], {'x': 1}, [[1, {}]]],
)
def test_points_that_are_none(value):
    with pytest.raises(ValueError, match='points'):
        ring_points(value)
