"""Collating packed samples."""

import numpy as np
import pytest
import torch
from mmengine.registry import FUNCTIONS as ROOT_FUNCTIONS
from mmengine.structures import InstanceData, PixelData
from torch.utils.data import DataLoader, Dataset

from mmyolo_lite.datasets import yolov5_collate
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import COLLATE_FUNCTIONS
from tests.shared_data import golden


def packed(image, boxes, labels, overlap_masks=None, masks=None):
    from mmdet.structures import DetDataSample
    from mmdet.structures.bbox import HorizontalBoxes

    sample = DetDataSample()
    boxes = HorizontalBoxes(torch.as_tensor(boxes).reshape(-1, 4))
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.as_tensor(labels))
    if masks is not None:
        sample.gt_instances.masks = masks
    if overlap_masks is not None:
        sample.gt_panoptic_seg = PixelData(pan_seg=overlap_masks)
    return dict(inputs=torch.as_tensor(image), data_samples=sample)


def empty_sample():
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    return packed(image, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))


@pytest.mark.parametrize('overlap', [1, 0])
def test_recorded_batches_are_reproduced(overlap):
    data = golden('data_collate.npz')
    batch = []
    for i in range(len(data['n'])):
        item = {
            name: data[f'ov{overlap}_in{i}_{name}'] for name in ('img', 'boxes', 'labels', 'masks')
        }
        masks = torch.from_numpy(item['masks'])
        batch.append(
            packed(
                item['img'],
                item['boxes'],
                item['labels'],
                **{'overlap_masks' if overlap else 'masks': masks},
            )
        )
    out = yolov5_collate(batch)
    np.testing.assert_array_equal(out['inputs'], data[f'ov{overlap}_out_inputs'])
    for name in ('bboxes_labels', 'masks'):
        np.testing.assert_array_equal(out['data_samples'][name], data[f'ov{overlap}_out_{name}'])
        assert str(out['data_samples'][name].dtype)[6:] == str(
            data[f'ov{overlap}_out_{name}'].dtype
        )


def test_a_batch_without_objects():
    out = yolov5_collate([empty_sample(), empty_sample()])
    assert out['data_samples']['bboxes_labels'].shape == (0, 6)
    assert out['data_samples']['bboxes_labels'].dtype == torch.float32
    assert 'masks' not in out['data_samples']


def test_images_stay_a_list_for_multi_scale_training():
    assert isinstance(yolov5_collate([empty_sample()], use_ms_training=True)['inputs'], list)


def test_polygons_that_were_not_rasterised_are_explained():
    from mmdet.structures.mask import PolygonMasks

    with pytest.raises(ConfigError, match='Polygon2Mask'):
        yolov5_collate(
            [packed(torch.zeros(3, 4, 4), torch.zeros(0, 4), [], masks=PolygonMasks([], 4, 4))]
        )


@pytest.mark.parametrize('registry', [ROOT_FUNCTIONS, COLLATE_FUNCTIONS])
@pytest.mark.parametrize('name', ['yolov5_collate', 'yolov5_worker_init'])
def test_the_runner_finds_the_functions_by_name(registry, name):
    assert callable(registry.get(name))


class Images(Dataset):
    """Images of one value each."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(empty_sample(), inputs=torch.full((3, 8, 8), index, dtype=torch.uint8))


def test_workers_stack_into_memory_that_is_shared():
    loader = DataLoader(Images(), batch_size=2, num_workers=1, collate_fn=yolov5_collate)
    batches = [batch['inputs'] for batch in loader]
    assert [batch[:, 0, 0, 0].tolist() for batch in batches] == [[0, 1], [2, 3]]
    assert all(batch.shape == (2, 3, 8, 8) and batch.is_shared() for batch in batches)
    batches[0].add_(1)  # and it is as good as any other
    assert batches[1].max() == 3
