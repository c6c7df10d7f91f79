"""Data samples in the model's one form."""

from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData, PixelData

from mmyolo_lite.errors import DataError
from mmyolo_lite.models.targets import pack_samples

CPU = torch.device('cpu')


def sample(boxes: list[list[float]], labels: list[int], **instances: Any) -> DetDataSample:
    found = DetDataSample(metainfo={'batch_input_shape': (64, 96)})
    found.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes).view(-1, 4), labels=torch.tensor(labels).long(), **instances
    )
    return found


def batch() -> list[DetDataSample]:
    """Return two objects, none, one."""
    return [
        sample([[1.0, 2, 3, 4], [5.0, 6, 7, 8]], [3, 0]),
        sample([], []),
        sample([[9.0, 9, 10, 10]], [1]),
    ]


def test_rows_are_grouped_by_image() -> None:
    packed = pack_samples(batch(), CPU)
    assert packed['bboxes_labels'].tolist() == [
        [0, 3, 1, 2, 3, 4],
        [0, 0, 5, 6, 7, 8],
        [2, 1, 9, 9, 10, 10],
    ]
    assert packed['bboxes_labels'].dtype == torch.float32
    assert packed['ignored'].shape == (0, 6)
    assert 'masks' not in packed
    assert [meta['batch_input_shape'] for meta in packed['img_metas']] == [(64, 96)] * 3


def test_no_objects_at_all() -> None:
    assert pack_samples([sample([], []), sample([], [])], CPU)['bboxes_labels'].shape == (0, 6)


def test_box_objects_of_mmdet_are_unwrapped() -> None:
    samples = batch()
    for one in samples:
        one.gt_instances.bboxes = HorizontalBoxes(one.gt_instances.bboxes.double())
    packed = pack_samples(samples, CPU)['bboxes_labels']
    assert packed.dtype == torch.float32
    assert torch.equal(packed, pack_samples(batch(), CPU)['bboxes_labels'])


def test_ignored_regions_keep_their_image() -> None:
    samples = batch()
    samples[1].ignored_instances = InstanceData(
        bboxes=torch.tensor([[0.0, 0, 5, 5]]), labels=torch.tensor([2])
    )
    samples[2].ignored_instances = InstanceData()
    assert pack_samples(samples, CPU)['ignored'].tolist() == [[1, 2, 0, 0, 5, 5]]


def test_index_maps_are_stacked() -> None:
    samples = batch()
    for value, one in enumerate(samples):
        one.gt_panoptic_seg = PixelData(pan_seg=torch.full((1, 16, 24), value, dtype=torch.uint8))
    masks = pack_samples(samples, CPU)['masks']
    assert masks.shape == (3, 16, 24) and masks.dtype == torch.uint8
    assert masks[:, 0, 0].tolist() == [0, 1, 2]


def test_index_maps_of_different_widths_meet_in_the_wider() -> None:
    samples = batch()[:2]
    for value, dtype, one in zip((7, 300), (torch.uint8, torch.int32), samples, strict=True):
        one.gt_panoptic_seg = PixelData(pan_seg=torch.full((1, 16, 24), value, dtype=dtype))
    assert pack_samples(samples, CPU)['masks'][:, 0, 0].tolist() == [7, 300]


def test_object_masks_follow_the_rows() -> None:
    counts = (2, 0, 1)
    samples = batch()
    for one, count in zip(samples, counts, strict=True):
        one.gt_instances.masks = torch.ones((count, 16, 24), dtype=torch.uint8)
    packed = pack_samples(samples, CPU)
    assert len(packed['masks']) == len(packed['bboxes_labels']) == 3


def test_masks_that_are_no_tensors_are_explained() -> None:
    masks = BitmapMasks(np.zeros((1, 16, 24), np.uint8), 16, 24)
    with pytest.raises(DataError, match='BitmapMasks.*Polygon2Mask'):
        pack_samples([sample([[1.0, 2, 3, 4]], [0], masks=masks)], CPU)
