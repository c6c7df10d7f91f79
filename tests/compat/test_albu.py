"""Random numbers of albumentations: repeatable, and new in every worker and epoch."""

import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
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


MEMBERS = [dict(type='ToGray', p=0.3), dict(type='Blur', p=0.2), dict(type='CLAHE', p=0.4)]


def drawn(skips, rounds=60):
    """Return the images and boxes of many rounds over the same random numbers."""
    torch.manual_seed(3)
    albu = TRANSFORMS.build(
        dict(
            type='mmdet.Albu',
            transforms=MEMBERS,
            bbox_params=dict(
                type='BboxParams',
                format='pascal_voc',
                label_fields=['gt_bboxes_labels', 'gt_ignore_flags'],
            ),
            keymap={'img': 'image', 'gt_bboxes': 'bboxes'},
        )
    )
    albu.skips_idle = skips
    rng = np.random.default_rng(0)
    found = []
    for _ in range(rounds):
        sample = dict(
            img=rng.integers(0, 256, (32, 32, 3)).astype(np.uint8),
            gt_bboxes=HorizontalBoxes(np.array([[2.5, 3, 20, 30.25]], np.float32)),
            gt_bboxes_labels=np.array([1]),
            gt_ignore_flags=np.array([False]),
        )
        found.append((sample['img'], albu.transform(dict(sample))))
    return found


def test_skipping_idle_rounds_changes_nothing():
    for (_, plain), (_, quick) in zip(drawn(False), drawn(True), strict=True):
        assert plain.keys() == quick.keys()
        np.testing.assert_array_equal(quick['img'], plain['img'])
        np.testing.assert_allclose(
            quick['gt_bboxes'].numpy(), plain['gt_bboxes'].numpy(), atol=1e-5
        )
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            np.testing.assert_array_equal(quick[key], plain[key])
            assert quick[key].dtype == plain[key].dtype
        assert quick['img_shape'] == plain['img_shape']


def test_members_fire_independently_of_each_other():
    changed = [bool((img != result['img']).any()) for img, result in drawn(True, 300)]
    # 1 - 0.7 * 0.8 * 0.6; with equal numbers all members would fire together, 0.4 of the time
    assert 0.58 < np.mean(changed) < 0.75
