"""Packing samples and dropping keys."""

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import PackDetInputs as _MMDetPackDetInputs

from mmyolo_lite.datasets.transforms import PackDetInputs, RemoveDataElement
from mmyolo_lite.datasets.transforms.formatting import image_to_tensor


def sample(**kwargs):
    from mmdet.structures.bbox import HorizontalBoxes

    return dict(
        img=np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8),
        gt_bboxes=HorizontalBoxes(torch.arange(12.0).reshape(3, 4)),
        img_id=7,
        gt_bboxes_labels=np.array([4, 5, 6]),
        gt_ignore_flags=np.array([False, True, False]),
        **kwargs,
    )


@pytest.mark.parametrize(
    'image',
    [
        np.arange(48, dtype=np.uint8).reshape(4, 4, 3),
        np.arange(16, dtype=np.uint8).reshape(4, 4),
        np.arange(48, dtype=np.float32).reshape(4, 4, 3),
        np.arange(48, dtype=np.uint8).reshape(4, 4, 3)[:, ::-1],
    ],
)
def test_image_to_tensor_moves_channels_first(image):
    tensor = image_to_tensor(image)
    assert tensor.is_contiguous() and tensor.numpy().dtype == image.dtype
    np.testing.assert_array_equal(tensor.permute(1, 2, 0), image.reshape(4, 4, -1))


def test_objects_are_split_by_the_ignore_flag():
    results = sample()
    packed = PackDetInputs(meta_keys=('img_id',)).transform(results)
    objects = packed['data_samples']
    assert (
        objects.gt_instances.labels.tolist() == [4, 6]
        and objects.gt_instances.labels.dtype == torch.int64
    )
    assert objects.ignored_instances.labels.tolist() == [5]
    np.testing.assert_array_equal(
        objects.gt_instances.bboxes.tensor, [[0, 1, 2, 3], [8, 9, 10, 11]]
    )
    assert objects.img_id == 7
    assert packed['inputs'].shape == (3, 6, 8) and packed['inputs'].dtype == torch.uint8
    assert 'img' in results


def test_overlapping_masks_become_a_panoptic_field_even_when_named_as_meta_key():
    masks = torch.ones(1, 2, 2, dtype=torch.uint8)
    packed = PackDetInputs(meta_keys=('img_id', 'gt_panoptic_seg')).transform(
        sample(gt_panoptic_seg=masks)
    )
    assert torch.equal(packed['data_samples'].gt_panoptic_seg.pan_seg, masks)


def test_a_missing_meta_key_is_named():
    with pytest.raises(AssertionError, match="'pad_param'.*img_id"):
        PackDetInputs(meta_keys=('img_id', 'pad_param')).transform(sample())


@pytest.mark.parametrize('keys', ['img', ['img', 'absent'], ('img',)])
def test_remove_data_element(keys):
    assert RemoveDataElement(keys).transform(dict(img=1, img_id=2)) == dict(img_id=2)


def test_objects_none_of_which_is_ignored_leave_empty_fields():
    results = dict(sample(), gt_ignore_flags=np.zeros(3, dtype=bool))
    plain = _MMDetPackDetInputs(meta_keys=('img_id',)).transform(dict(results))['data_samples']
    packed = PackDetInputs(meta_keys=('img_id',)).transform(results)['data_samples']
    for part in ('gt_instances', 'ignored_instances'):
        expected, found = getattr(plain, part), getattr(packed, part)
        assert set(found.keys()) == set(expected.keys())
        assert torch.equal(found.labels, expected.labels)
        assert torch.equal(found.bboxes.tensor, expected.bboxes.tensor)
    assert len(packed.ignored_instances) == 0
