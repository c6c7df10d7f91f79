"""Tests of what mixing transforms share: when they mix and how they fetch partners."""

import numpy as np
import pytest

from mmyolo_lite.datasets.transforms.mix import MixTransform
from mmyolo_lite.errors import ConfigError
from tests.datasets.transforms.samples import FakeDataset, rectangle_sample


class Collect(MixTransform):
    """Store the partners' grey levels instead of mixing them."""

    num_partners = 3

    def mix(self, results: dict) -> dict:
        results['levels'] = [int(sample['img'][0, 0, 0]) for sample in results['mix_results']]
        assert all('dataset' not in sample for sample in results['mix_results'])
        return results


def plain(value: int) -> dict:
    return rectangle_sample(8, 8, [[1, 1, 6, 6]], value)


def dataset(count: int = 5) -> FakeDataset:
    return FakeDataset(*(lambda value=value: plain(value) for value in range(count)))


def current(images: FakeDataset) -> dict:
    return dict(plain(200), dataset=images)


def test_partners_are_drawn_after_one_uniform():
    images = dataset()
    np.random.seed(3)
    results = Collect()(current(images))
    np.random.seed(3)
    np.random.uniform(0, 1)
    assert images.asked == [np.random.randint(0, 5) for _ in range(3)] == results['levels']
    assert results['dataset'] is images and 'mix_results' not in results


def test_not_mixing_keeps_the_dataset():
    images = dataset()
    results = Collect(prob=0.0)(current(images))
    assert results['dataset'] is images and 'levels' not in results and not images.asked


def test_a_missing_dataset_is_named():
    with pytest.raises(AssertionError, match='dataset'):
        Collect()(plain(0))


def test_pre_transform_sees_the_dataset_and_callables_are_accepted():
    images, seen = dataset(), []

    def remember(sample: dict) -> dict:
        seen.append(sample['dataset'])
        return sample

    Collect(pre_transform=[remember])(current(images))
    assert seen == [images] * 3


def test_pre_transform_configs_build_without_a_default_scope():
    transform = Collect(
        pre_transform=[dict(type='mmdet.RandomFlip', prob=0.0), dict(type='YOLOv5HSVRandomAug')]
    )
    assert [type(step).__name__ for step in transform.pre_transform] == [
        'RandomFlip',
        'YOLOv5HSVRandomAug',
    ]
    assert (
        len(Collect(pre_transform=[dict(type='LoadImageFromFile')]).pre_transform.transforms) == 1
    )


def test_refused_partners_are_drawn_again():
    remaining = [None, None, plain(7)]

    def refuse_twice(sample: dict) -> dict | None:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    images = dataset()
    results = Collect(pre_transform=[refuse_twice])(current(images))
    assert results['levels'] == [7, 7, 7] and results['dataset'] is images


def test_refetching_ends():
    images = dataset()
    with pytest.raises(RuntimeError, match='max_refetch'):
        Collect(pre_transform=[lambda sample: None], max_refetch=4)(current(images))
    assert len(images.asked) == 5


@pytest.mark.parametrize('with_loader', [True, False])
def test_cached_mode_mixes_from_the_first_image_on(with_loader):
    images = dataset()
    transform = Collect(
        pre_transform=[lambda sample: sample] if with_loader else None,
        use_cached=True,
        max_cached_images=6,
    )
    for step in range(20):
        results = transform(dict(plain(100 + step), dataset=images))
        assert len(results['levels']) == 3 and results['dataset'] is images
        assert all('dataset' not in sample for sample in transform.cache)
    assert len(images.asked) == 3 * with_loader, 'the data set only fills the cache'
    assert len(transform.cache) == 6


def test_cached_mode_drops_the_oldest_on_request():
    transform = Collect(use_cached=True, max_cached_images=4, random_pop=False)
    for step in range(9):
        results = transform(plain(step))
    assert [int(sample['img'][0, 0, 0]) for sample in transform.cache] == [5, 6, 7, 8]
    assert 'dataset' not in results


def test_cached_samples_do_not_change():
    transform = Collect(use_cached=True, max_cached_images=4)
    results = transform(plain(1))
    results['gt_bboxes'], results['img'] = None, None
    assert transform.cache[0]['img'] is not None and transform.cache[0]['gt_bboxes'] is not None


@pytest.mark.parametrize('args', [dict(prob=1.5), dict(prob=-0.1), dict(max_refetch=-1)])
def test_arguments_out_of_range(args):
    with pytest.raises(ConfigError, match=next(iter(args))):
        Collect(**args)


def test_cache_must_hold_one_mix():
    with pytest.raises(AssertionError, match='at least 4'):
        Collect(use_cached=True, max_cached_images=3)
