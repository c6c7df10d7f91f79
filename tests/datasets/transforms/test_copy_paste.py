"""Tests of YOLOv5CopyPaste."""

import numpy as np
import pytest

from mmyolo_lite.datasets.transforms.copy_paste import YOLOv5CopyPaste, covered_share
from mmyolo_lite.errors import ConfigError
from tests.datasets.ragged import read_rings
from tests.datasets.transforms.samples import make_sample, rectangle, rectangle_sample, vertices
from tests.shared_data import golden


@pytest.mark.parametrize('number', [0, 1])
def test_copy_paste_matches_the_fixture(number, monkeypatch):
    archive, key = golden('data_mix.npz'), f'cp{number}'
    picked = archive[f'{key}_picked']

    def choose(eligible: np.ndarray, size: int, replace: bool) -> np.ndarray:
        assert set(eligible) >= set(picked) and size == len(picked) and not replace
        return picked

    monkeypatch.setattr(np.random, 'choice', choose)
    sample = make_sample(
        archive[f'{key}_img'], archive[f'{key}_boxes'], polygons=read_rings(archive, f'{key}_poly')
    )
    before = sample['img'].copy()
    original = sample['img']
    results = YOLOv5CopyPaste(ioa_thresh=0.3, prob=float(archive[f'{key}_prob']))(sample)
    np.testing.assert_array_equal(results['img'], archive[f'{key}_out'])
    np.testing.assert_allclose(results['gt_bboxes'].numpy(), archive[f'{key}_boxes_out'], atol=1e-3)
    np.testing.assert_allclose(
        vertices(results['gt_masks']), archive[f'{key}_poly_out_pts'], atol=1e-3
    )
    assert results['gt_bboxes_labels'].tolist() == [*range(len(archive[f'{key}_boxes'])), *picked]
    np.testing.assert_array_equal(original, before)


def test_covered_share():
    share = covered_share(
        np.array([[0.0, 0, 4, 4]]), np.array([[2.0, 2, 4, 6], [5, 5, 6, 6], [1, 1, 2, 2]])
    )
    np.testing.assert_allclose(share, [[0.5, 0, 1]], atol=1e-6)


def test_pasted_pixels_are_the_mirrored_object():
    sample = rectangle_sample(20, 40, [[2, 4, 10, 12]])
    sample['img'][4:13, 2:11] = 77
    results = YOLOv5CopyPaste(prob=1.0)(sample)
    assert (results['img'][4:13, 29:38] == 77).all()
    assert (results['img'] == 77).sum() == 2 * 9 * 9 * 3
    assert results['gt_bboxes'].numpy()[1].tolist() == [30, 4, 38, 12]
    assert results['gt_masks'].masks[1][0].reshape(-1, 2)[:, 0].max() == 38


@pytest.mark.parametrize('prob, box', [(0.0, [2, 4, 10, 12]), (1.0, [12, 4, 28, 12])])
def test_nothing_chosen_changes_nothing_but_draws(prob, box):
    sample = rectangle_sample(20, 40, [box, [3, 15, 6, 19]][: 1 if prob else 2])
    img, masks = sample['img'], sample['gt_masks']
    np.random.seed(1)
    results = YOLOv5CopyPaste(prob=prob)(sample)
    assert results['img'] is img and results['gt_masks'] is masks
    after = np.random.uniform()
    np.random.seed(1)
    np.random.choice(np.arange(0 if prob else 2), size=0, replace=False)
    assert after == np.random.uniform()


def test_images_without_masks_or_objects_pass():
    empty = rectangle_sample(20, 40, [])
    assert len(YOLOv5CopyPaste(prob=1.0)(empty)['gt_bboxes']) == 0
    boxes_only = make_sample(np.zeros((20, 40, 3), np.uint8), [[1, 1, 5, 5]])
    assert len(YOLOv5CopyPaste(prob=1.0)(boxes_only)['gt_bboxes']) == 1


def test_several_rings_and_rings_off_the_image():
    rings = [rectangle(1, 1, 5, 5), rectangle(1, 10, 5, 15), rectangle(-30, 2, -20, 8)]
    sample = make_sample(
        np.zeros((20, 40, 3), np.uint8),
        [[1, 1, 5, 15], [-30, 2, -20, 8]],
        polygons=[rings[:2], rings[2:]],
    )
    sample['img'][:, :8] = 50
    results = YOLOv5CopyPaste(prob=1.0)(sample)
    assert len(results['gt_bboxes']) == len(results['gt_masks']) == 4
    assert (results['img'][:, 20:] == 50).sum() == (25 + 30) * 3


@pytest.mark.parametrize('args', [dict(prob=1.5), dict(ioa_thresh=-1)])
def test_arguments_out_of_range(args):
    with pytest.raises(ConfigError, match=next(iter(args))):
        YOLOv5CopyPaste(**args)
