"""A round over a loader begins anywhere, and random numbers go on."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader, Dataset

from mmyolo_lite.engine.loop_position import (
    KEY,
    Position,
    indices_of_batch,
    random_state,
    round_behind,
    set_random_state,
)
from mmyolo_lite.errors import CheckpointError


class Numbers(Dataset):
    """Counts how often it is read."""

    def __init__(self, length: int = 12) -> None:
        self.length, self.reads = length, 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> int:
        self.reads += 1
        return index


def loader(workers: int = 0) -> DataLoader:
    numbers = Numbers()
    return DataLoader(
        numbers,
        batch_size=2,
        sampler=DefaultSampler(numbers, seed=0),
        num_workers=workers,
        persistent_workers=workers > 0,
    )


@pytest.mark.parametrize('workers', [0, 2])
def test_the_rest_of_a_round_is_that_of_a_whole_one_and_the_next_is_whole(workers):
    whole = [batch.tolist() for batch in loader()]
    partial = loader(workers)
    assert [batch.tolist() for batch in round_behind(partial, 4)] == whole[4:]
    assert workers or partial.dataset.reads == 4, 'what is left out is not read'
    assert [batch.tolist() for batch in partial] == whole
    assert len(partial) == len(whole)


def test_the_samples_of_a_batch_are_known_afterwards():
    numbers = loader()
    for index, batch in enumerate(numbers):
        assert indices_of_batch(numbers, index) == batch.tolist()
    assert indices_of_batch(DataLoader(Numbers(), shuffle=True), 0) == []


def draw() -> tuple:
    return random.random(), np.random.normal(), np.random.randint(99), torch.rand(2).tolist()


def test_random_numbers_go_on(tmp_path):
    np.random.normal()  # leaves a second one behind
    torch.save(random_state(), tmp_path / 'state.pth')
    drawn = draw()
    set_random_state(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert draw() == drawn


@pytest.mark.parametrize(
    'stored', [{'done': 1}, 3, {'done': 9, 'batches': 4, 'world_size': 1, 'states': [{}]}]
)
def test_a_malformed_position_is_refused(stored):
    with pytest.raises(CheckpointError, match='malformed'):
        Position.from_checkpoint({KEY: stored})


def test_malformed_states_are_refused():
    runner = SimpleNamespace(hooks=[], model=torch.nn.Linear(1, 1))
    with pytest.raises(CheckpointError, match='malformed'):
        Position(1, 6, 1, [{'python': 'none'}]).restore_state(runner)


def test_other_batches_do_not_fit():
    assert Position(1, 6, 1, [{}]).fits(loader())
    assert not Position(1, 5, 1, [{}]).fits(loader())
    assert not Position(1, 6, 2, [{}]).fits(loader())
