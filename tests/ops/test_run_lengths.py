"""Run-length masks against pycocotools, and damaged ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from mmyolo_lite.ops.run_lengths import (
    checked_runs,
    decode_runs,
    encode_columns,
    mirrored,
    uncompressed,
)

# pycocotools 2.0.x hands its masks to numpy 2 in the old way.
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')


@settings(deadline=None, derandomize=True, database=None)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.booleans()))
def test_letters_give_the_mask_back(mask):
    rle = coco_mask.encode(np.asfortranarray(mask))
    for counts in (rle['counts'], rle['counts'].decode(), uncompressed(rle['counts'])):
        np.testing.assert_array_equal(decode_runs(counts, *mask.shape), mask)


def test_long_runs():
    mask = np.zeros((3000, 2000), dtype=np.uint8)
    mask[5, 1234] = 1
    rle = coco_mask.encode(np.asfortranarray(mask))
    np.testing.assert_array_equal(decode_runs(rle['counts'], *mask.shape), mask)


@pytest.mark.parametrize(
    'counts',
    [
        *(None, 64, {}, [], '', '0', '\ud800', '~~~~', 'o' * 40, '04l', 'é', b'\xff'),
        *([65], [63], [-1, 65], [1.0, 63], [True, 63], ['64'], [float('nan')], [10**400]),
    ],
)
def test_damaged_counts(counts):
    for look in (decode_runs, checked_runs):
        with pytest.raises(ValueError, match='run-length mask'):
            look(counts, 8, 8)


def test_runs_are_checked_without_their_mask():
    assert checked_runs('04', 2, 2) == checked_runs([0, 4], 2, 2) == [0, 4]
    assert checked_runs([0, 2**29], 2**29, 1) == [0, 2**29]


def test_a_mask_that_does_not_fit_in_memory():
    with pytest.raises(ValueError, match='1000000000 x 1000000000'):
        decode_runs([10**18], 10**9, 10**9)


@pytest.mark.parametrize(
    ('part_hw', 'corner', 'size_hw'),
    [
        ((5, 7), (3, 2), (20, 30)),
        ((20, 7), (0, 2), (20, 30)),  # full columns: runs go on in the next
        ((20, 30), (0, 0), (20, 30)),
        ((1, 1), (19, 29), (20, 30)),
        ((3, 30), (17, 0), (20, 30)),
        ((0, 0), (0, 0), (20, 30)),
    ],
)
@pytest.mark.parametrize('density', [0.0, 0.1, 0.5, 0.95, 1.0])
def test_equal_to_pycocotools(
    part_hw: tuple, corner: tuple, size_hw: tuple, density: float
) -> None:
    rng = np.random.default_rng(sum(part_hw) + int(10 * density))
    part = rng.random(part_hw) < density
    whole = np.zeros(size_hw, dtype=np.uint8)
    (top, left), (height, width) = corner, part_hw
    whole[top : top + height, left : left + width] = part
    expected = coco_mask.encode(np.asfortranarray(whole))
    found = encode_columns(np.ascontiguousarray(part.T), corner, size_hw)
    assert found == expected
    np.testing.assert_array_equal(decode_runs(found['counts'], *size_hw), whole)


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans()),
    st.sampled_from([('horizontal', (1,)), ('vertical', (0,)), ('diagonal', (0, 1))]),
)
def test_mirror_images(mask, direction):
    rle = coco_mask.encode(np.asfortranarray(mask))
    expected = coco_mask.encode(np.asfortranarray(np.flip(mask, direction[1])))
    assert mirrored(rle, direction[0]) == expected
    assert mirrored(mirrored(rle, direction[0]), direction[0]) == rle


def test_no_mirror_image_of_what_is_damaged():
    with pytest.raises(ValueError, match='do not fill'):
        mirrored({'size': [2, 2], 'counts': [1, 2]})
    with pytest.raises(ValueError, match='sideways'):
        mirrored({'size': [2, 2], 'counts': [1, 3]}, 'sideways')
