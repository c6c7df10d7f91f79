"""Tests of mirroring samples."""

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import RandomFlip
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmyolo_lite.datasets.transforms.flip import QuickRandomFlip

HEIGHT, WIDTH = 30, 41


def sample(rng, kind):
    """Return a sample of three objects, some of whose fields are `kind`."""
    boxes = torch.from_numpy(rng.uniform(0, 30, (3, 4)).astype(np.float32))
    results = {
        'img': rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        'img_shape': (HEIGHT, WIDTH),
        'gt_bboxes': HorizontalBoxes(boxes),
        'gt_masks': PolygonMasks([[rng.uniform(-9, 50, 8)] * 2 for _ in range(3)], HEIGHT, WIDTH),
    }
    if kind == 'bitmaps':
        masks = rng.integers(0, 2, (3, HEIGHT, WIDTH), dtype=np.uint8)
        results['gt_masks'] = BitmapMasks(masks, HEIGHT, WIDTH)
    if kind == 'map':
        results['gt_seg_map'] = results['img'][..., 0]
    if kind == 'float':
        results['img'] = results['img'].astype(np.float32)
    if kind == 'image':
        del results['gt_bboxes'], results['gt_masks']
    return results


def flat(results):
    """Return the fields of a sample as arrays."""
    fields = {key: np.asarray(value) for key, value in results.items() if 'gt_' not in key}
    if 'gt_bboxes' in results:
        fields['boxes'] = results['gt_bboxes'].tensor.numpy()
        masks = results['gt_masks'].masks
        fields['masks'] = np.array(masks)
    if 'gt_seg_map' in results:
        fields['map'] = results['gt_seg_map']
    return fields


@pytest.mark.parametrize('direction', ['horizontal', ['horizontal', 'vertical', 'diagonal']])
@pytest.mark.parametrize('kind', ['usual', 'bitmaps', 'map', 'float', 'image'])
def test_samples_become_those_of_mmdet(kind, direction):
    flipped = 0
    for seed in range(12):
        found = []
        for step in (QuickRandomFlip(0.7, direction), RandomFlip(0.7, direction)):
            np.random.seed(seed)
            results = step.transform(sample(np.random.default_rng(seed), kind))
            found.append(flat(results) | {'next': np.array(np.random.random())})
        ours, theirs = found
        flipped += bool(ours['flip'])
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert np.array_equal(ours[key], value), (seed, key)
            assert ours[key].dtype == value.dtype
    assert 4 <= flipped < 12
