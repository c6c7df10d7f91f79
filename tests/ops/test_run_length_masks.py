"""A list of run-length masks behaves as a list and as an array."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmyolo_lite.ops.run_length_masks import RunLengthMasks
from mmyolo_lite.ops.run_lengths import encode_columns


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
