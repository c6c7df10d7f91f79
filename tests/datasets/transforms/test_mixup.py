"""Tests of YOLOv5MixUp."""

import numpy as np
import pytest

from mmyolo_lite.datasets.transforms.mixup import YOLOv5MixUp, blend
from tests.datasets.ragged import read_rings
from tests.datasets.transforms.samples import FakeDataset, make_sample, rectangle_sample, vertices
from tests.shared_data import golden


@pytest.mark.parametrize('number', [0, 1])
def test_mixup_matches_the_fixture(number, monkeypatch):
    archive, key = golden('data_mix.npz'), f'mixup{number}'
    a, b = (
        make_sample(
            archive[f'{key}_{name}_img'],
            archive[f'{key}_{name}_boxes'],
            archive[f'{key}_{name}_labels'],
            read_rings(archive, f'{key}_{name}_poly'),
        )
        for name in 'ab'
    )
    monkeypatch.setattr(np.random, 'beta', lambda alpha, beta: float(archive[f'{key}_ratio']))
    results = YOLOv5MixUp().mix(dict(a, mix_results=[b]))
    np.testing.assert_array_equal(results['img'], archive[f'{key}_img'])
    np.testing.assert_array_equal(results['gt_bboxes_labels'], archive[f'{key}_labels'])
    np.testing.assert_allclose(results['gt_bboxes'].numpy(), archive[f'{key}_boxes'], atol=1e-3)
    np.testing.assert_allclose(vertices(results['gt_masks']), archive[f'{key}_poly_pts'], atol=1e-3)


def test_blend_ends():
    a, b = np.full((2, 2, 3), 7, dtype=np.uint8), np.full((2, 2, 3), 250, dtype=np.uint8)
    np.testing.assert_array_equal(blend(a, b, 1.0), a)
    np.testing.assert_array_equal(blend(a, b, 0.0), b)
    assert blend(a, b, 0.5)[0, 0, 0] == 128, 'truncated, not rounded'


@pytest.mark.parametrize('first, second', [([], []), ([[1, 1, 5, 5]], []), ([], [[1, 1, 5, 5]])])
def test_images_without_objects(first, second):
    images = FakeDataset(lambda: rectangle_sample(10, 12, second, 200))
    results = YOLOv5MixUp()(dict(rectangle_sample(10, 12, first, 100), dataset=images))
    assert len(results['gt_bboxes']) == len(results['gt_masks']) == len(first) + len(second)
    assert results['gt_bboxes'].tensor.shape[1] == 4
    assert results['dataset'] is images and 100 <= results['img'].min() <= 200


def test_draw_order():
    images = FakeDataset(
        *[lambda value=value: rectangle_sample(4, 4, [], value) for value in (0, 80, 160)]
    )
    np.random.seed(5)
    results = YOLOv5MixUp()(dict(rectangle_sample(4, 4, [], 255), dataset=images))
    np.random.seed(5)
    np.random.uniform(0, 1)
    value = (0, 80, 160)[np.random.randint(0, 3)]
    ratio = np.random.beta(32.0, 32.0)
    assert results['img'][0, 0, 0] == int(ratio * 255 + (1 - ratio) * value)


def test_images_of_different_shape_are_refused():
    images = FakeDataset(lambda: rectangle_sample(4, 5, []))
    with pytest.raises(AssertionError, match='one shape'):
        YOLOv5MixUp()(dict(rectangle_sample(4, 4, []), dataset=images))


def test_cached_mode_starts_with_the_image_itself():
    transform = YOLOv5MixUp(use_cached=True, max_cached_images=2)
    results = transform(rectangle_sample(4, 4, [[0, 0, 3, 3]], 90))
    assert len(results['gt_bboxes']) == 2 and abs(int(results['img'][0, 0, 0]) - 90) <= 1
    with pytest.raises(AssertionError, match='at least 2'):
        YOLOv5MixUp(use_cached=True, max_cached_images=1)
