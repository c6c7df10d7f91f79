"""Tests of the seeds of samples."""

import random
from copy import deepcopy

import numpy as np
import torch

from mmyolo_lite.datasets.sample_seeds import SampleSeeds


def draws() -> tuple[float, float, float]:
    return random.random(), np.random.uniform(), float(torch.rand(()))


def drawn(seeds: SampleSeeds, index: int) -> tuple[float, float, float]:
    seeds.apply(index)
    return draws()


def test_draws_depend_on_seed_epoch_and_image_alone():
    seeds = SampleSeeds()
    seeds.start_epoch(3, 0)
    first = drawn(seeds, 5)
    draws()
    assert drawn(seeds, 5) == first
    others = [drawn(seeds, 6)]
    for seed, epoch in ((3, 1), (4, 0)):
        seeds.start_epoch(seed, epoch)
        others.append(drawn(seeds, 5))
    assert len({first, *others}) == 4


def test_nothing_is_seeded_before_an_epoch_begins():
    np.random.seed(0)
    before = np.random.uniform()
    np.random.seed(0)
    assert drawn(SampleSeeds(), 5)[1] == before


def test_a_copy_shares_its_own_memory_with_workers():
    copy = deepcopy(SampleSeeds())
    assert copy._state.is_shared()
