"""Seeding of data-loading workers, in real worker processes."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmyolo_lite.datasets import yolov5_worker_init


class Draws(Dataset):
    """Every sample is the next number of the process's numpy stream, and the thread settings."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        import cv2

        draws = np.random.randint(2**31), torch.randint(2**31, ()).item()
        return *draws, cv2.getNumThreads(), torch.get_num_threads()


def epochs(seed, count=2, init=yolov5_worker_init, **kwargs):
    torch.manual_seed(seed)
    loader = DataLoader(Draws(), batch_size=1, num_workers=2, worker_init_fn=init, **kwargs)
    return [[tuple(int(v) for v in item) for item in loader] for _ in range(count)]


@pytest.mark.parametrize('kwargs', [{}, dict(persistent_workers=True)])
def test_epochs_and_workers_differ_and_repeat_with_the_seed(kwargs):
    first, second = epochs(3, **kwargs)
    assert not {draw[:2] for draw in first} & {draw[:2] for draw in second}
    assert len({draw[0] for draw in first}) == len({draw[1] for draw in first}) == 4
    assert epochs(3, **kwargs) == [first, second]
    assert epochs(4, count=1, **kwargs) != [first]


def test_workers_stay_on_one_thread():
    assert {draw[2:] for draw in epochs(0, count=1)[0]} <= {(0, 1), (1, 1)}


def test_ranks_differ(monkeypatch):
    monkeypatch.setenv('RANK', '0')
    zero = epochs(0, count=1)
    monkeypatch.setenv('RANK', '1')
    assert epochs(0, count=1) != zero


def test_the_arguments_of_mmengines_function_are_accepted():
    init = partial(
        yolov5_worker_init, num_workers=2, rank=0, seed=5, disable_subprocess_warning=True
    )
    assert epochs(0, count=1, init=init) == epochs(0, count=1)


def test_the_runner_builds_a_loader_with_it():
    from mmengine.runner import Runner

    torch.manual_seed(0)
    loader = Runner.build_dataloader(
        dict(
            dataset=Draws(),
            batch_size=1,
            num_workers=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
            worker_init_fn=dict(type='yolov5_worker_init'),
        ),
        seed=1,
    )
    assert [int(item[0]) for item in loader] != [int(item[0]) for item in loader]
