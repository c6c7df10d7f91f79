"""Run-length masks equal pycocotools' and behave as lists and as arrays."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from mmyolo_lite.ops.rle import RunLengthMasks, encode_columns


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
    assert encode_columns(np.ascontiguousarray(part.T), corner, size_hw) == expected


@pytest.fixture
def masks() -> RunLengthMasks:
    arrays = np.random.default_rng(0).random((4, 6, 9)) < 0.5
    return RunLengthMasks((encode_columns(one.T.copy(), (0, 0), (6, 9)) for one in arrays), (6, 9))


def test_they_are_chosen_among_other_results(masks: RunLengthMasks) -> None:
    whole = masks.to_tensor()
    result = InstanceData(scores=torch.tensor([0.1, 0.9, 0.5, 0.7]), masks=masks)
    for item in (
        result.scores > 0.4,
        result.scores < 0,
        torch.tensor([3, 0]),
        slice(1, 3),
    ):
        chosen = result[item].masks
        assert isinstance(chosen, RunLengthMasks)
        assert torch.equal(chosen.to_tensor(), whole[item])
    joined = InstanceData.cat([result, result]).masks
    assert len(joined) == 8


def test_they_survive_pickling_and_turn_into_arrays(masks: RunLengthMasks) -> None:
    again = pickle.loads(pickle.dumps(masks))
    assert again == masks and again.size_hw == (6, 9)
    assert masks.astype(np.uint8).sum() == masks.numpy().sum() > 0
    assert masks.shape == (4, 6, 9)
