"""Joining rings: the joined outline fills what the rings fill."""

import cv2
import numpy as np
import pytest

from mmyolo_lite.ops.ring_join import join_rings, nearest_vertices
from tests.datasets.ragged import read_rings
from tests.shared_data import golden


def box(x, y, side=20):
    return np.array([x, y, x + side, y, x + side, y + side, x, y + side], dtype=np.float64)


def filled(rings):
    mask = np.zeros((120, 220), np.uint8)
    for ring in rings:
        cv2.fillPoly(mask, [ring.reshape(-1, 2).astype(np.int32)], 1)
    return mask


def test_recorded_joins_are_reproduced():
    data = golden('data_annotations.npz')
    for rings, expected in zip(
        read_rings(data, 'merge_in'), read_rings(data, 'merge_out'), strict=True
    ):
        np.testing.assert_allclose(join_rings(rings), expected[0], atol=1e-9)


@pytest.mark.parametrize(
    'rings',
    [
        [box(10, 10)],
        [box(10, 10), box(60, 10)],
        [box(10, 10), box(60, 40), box(120, 30), box(180, 60)],
    ],
)
def test_the_joined_ring_fills_all_rings_and_little_more(rings):
    apart, joined = filled(rings), filled([join_rings(rings)])
    assert (joined >= apart).all()
    # What is added are connecting lines, one pixel wide.
    assert joined.sum() - apart.sum() <= 2 * 180
    corners = {tuple(corner) for ring in rings for corner in ring.reshape(-1, 2)}
    assert {tuple(corner) for corner in join_rings(rings).reshape(-1, 2)} == corners


def test_of_equally_near_vertices_the_first_counts():
    assert nearest_vertices(box(0, 0).reshape(-1, 2), box(40, 0).reshape(-1, 2)) == (1, 0)


def test_integer_rings_come_back_as_floats():
    assert join_rings([np.array([0, 0, 5, 0, 5, 5])]).dtype == np.float64
