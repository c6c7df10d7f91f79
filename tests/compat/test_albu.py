"""Random numbers of albumentations: repeatable, and new in every worker and epoch."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmyolo_lite.datasets import yolov5_worker_init
from mmyolo_lite.errors import DependencyError
from mmyolo_lite.registry import TRANSFORMS

pytest.importorskip('albumentations')
DROP_PIXELS = [dict(type='PixelDropout', dropout_prob=0.5, p=1.0)]


class Dropped(Dataset):
    """Samples are the sum of the positions that survive: a fingerprint of the random numbers."""

    def __init__(self, name):
        self.albu = TRANSFORMS.build(
            dict(type=name, transforms=DROP_PIXELS, keymap={'img': 'image'})
        )

    def __len__(self):
        return 4

    def __getitem__(self, index):
        image = np.full((32, 32, 3), 255, np.uint8)
        kept = self.albu.transform(dict(img=image))['img'][..., 0] > 0
        return int((kept.reshape(-1) * np.arange(1024)).sum())


def epochs(name, workers):
    torch.manual_seed(1)
    loader = DataLoader(
        Dropped(name), batch_size=1, num_workers=workers, worker_init_fn=yolov5_worker_init
    )
    return [[int(item) for item in loader] for _ in range(2)]


@pytest.mark.parametrize('name', ['Albu', 'mmdet.Albu'])
@pytest.mark.parametrize('workers', [0, 2])
def test_runs_repeat_and_no_two_samples_share_their_numbers(name, workers):
    first = epochs(name, workers)
    assert len(set(first[0] + first[1])) == 8
    assert epochs(name, workers) == first


@pytest.mark.parametrize('name', ['Albu', 'mmdet.Albu'])
def test_missing_albumentations_is_explained(name, monkeypatch):
    monkeypatch.setattr('mmdet.datasets.transforms.transforms.Compose', None)
    with pytest.raises(DependencyError, match='pip install'):
        TRANSFORMS.build(dict(type=name, transforms=DROP_PIXELS))
