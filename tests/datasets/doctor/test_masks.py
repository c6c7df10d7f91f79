"""Extents of run-length masks, and outlines that cross themselves."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmyolo_lite.datasets.doctor.geometry import simple_rings
from mmyolo_lite.datasets.doctor.masks import crosses_itself, extent
from mmyolo_lite.ops.run_lengths import uncompressed


@pytest.mark.parametrize('seed', range(20))
def test_the_extent_agrees_with_pycocotools(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(3, 60, 2)
    mask = np.zeros((height, width), np.uint8)
    for _ in range(4):
        y, x = rng.integers(0, height), rng.integers(0, width)
        mask[y : y + rng.integers(1, height), x : x + rng.integers(1, width)] = 1
    encoded = coco_mask.encode(np.asfortranarray(mask))
    low, high = extent(uncompressed(encoded['counts']), int(height))
    assert [*low, *(high - low)] == coco_mask.toBbox(encoded).tolist()


@pytest.mark.parametrize(
    ('points', 'crosses'),
    [
        ([[0, 0], [10, 0], [10, 10], [0, 10]], False),
        ([[0, 0], [10, 10], [10, 0], [0, 10]], True),
        ([[0, 0], [10, 0], [5, 0], [10, 0], [10, 10], [0, 10]], False),  # a spike without area
        ([[0, 0], [10, 0], [10, 10], [0, 10], [0, 0], [10, 0], [10, 10], [0, 10]], True),
        ([[1e15, 0], [-1e15, 1e15], [1e15, 1e15], [-1e15, -1e15]], True),
    ],
)
def test_crossings_that_matter(points, crosses):
    assert crosses_itself(np.array(points, dtype=np.float64)) is crosses


def test_what_lies_outside_is_cut_off():
    ring = np.array([[-5, -5], [5, -5], [5, 5], [-5, 5]], dtype=np.float64)
    (inside,) = simple_rings(ring, (100, 100))
    assert sorted(zip(inside[::2], inside[1::2], strict=True)) == [(0, 0), (0, 5), (5, 0), (5, 5)]
    assert simple_rings(ring - 50, (100, 100)) == []
