"""Crops of run-length masks agree with whole arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from mmyolo_lite.ops.mask_crops import (
    MaskCrop,
    crop_mask,
    moved_mask,
    place_mask,
    shared_pixels,
    united_mask,
)

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))


def encode(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


@settings(deadline=None, max_examples=200)
@given(MASKS)
def test_a_crop_put_back_is_the_mask(mask):
    rle = encode(mask)
    crop = crop_mask(rle)
    height, width = crop.pixels.shape
    part = mask[crop.top : crop.top + height, crop.left : crop.left + width]
    np.testing.assert_array_equal(crop.pixels, part)
    assert crop.pixels.sum() == mask.sum()
    if crop.pixels.size:
        edges = (crop.pixels[0], crop.pixels[-1], crop.pixels[:, 0], crop.pixels[:, -1])
        assert all(edge.any() for edge in edges)
    assert place_mask(crop, mask.shape) == rle


@settings(deadline=None, max_examples=100)
@given(MASKS, st.integers(0, 5), st.integers(0, 5))
def test_a_moved_mask(mask, top, left):
    size_hw = (mask.shape[0] + 7, mask.shape[1] + 6)
    whole = np.zeros(size_hw, dtype=bool)
    whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    assert moved_mask(encode(mask), (top, left), size_hw) == encode(whole)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_unions_and_shared_pixels(data):
    shape = data.draw(arrays.array_shapes(min_dims=2, max_dims=2, max_side=9))
    one, other = (data.draw(arrays.arrays(np.bool_, shape)) for _ in range(2))
    assert shared_pixels(encode(one), encode(other)) == (one & other).sum()
    assert united_mask([encode(one), encode(other)]) == encode(one | other)
    assert united_mask([encode(one)]) == encode(one)


@pytest.mark.parametrize('place', [(0, 0), (19_990, 29_990)])
def test_a_small_mask_of_a_huge_image_is_quick(place):
    crop = MaskCrop(*place, np.ones((10, 10), dtype=bool))
    rle = place_mask(crop, (20_000, 30_000))
    found = crop_mask(rle)
    assert found[:2] == place and found.pixels.all() and found.pixels.shape == (10, 10)
