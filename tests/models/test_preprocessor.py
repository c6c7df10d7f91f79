"""From the loader's batch to the network's input."""

from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.registry import MODELS
from tests.models.tiny import images
from tests.shared_data import golden


def build(**settings: Any) -> torch.nn.Module:
    return MODELS.build(
        {
            'type': 'YOLOv5DetDataPreprocessor',
            'mean': [0.0] * 3,
            'std': [255.0] * 3,
            'bgr_to_rgb': True,
            **settings,
        }
    )


def sample(boxes: list[list[float]]) -> DetDataSample:
    instances = InstanceData(
        bboxes=torch.tensor(boxes).view(-1, 4), labels=torch.zeros(len(boxes), dtype=torch.long)
    )
    return DetDataSample(gt_instances=instances, metainfo={'ori_shape': (5, 5)})


def test_recorded_padding_of_a_list() -> None:
    z = golden('golden_misc.npz')
    inputs = [torch.from_numpy(z[name]) for name in ('prep/list_a', 'prep/list_b')]
    data = build(pad_size_divisor=32)({'inputs': inputs, 'data_samples': [sample([]), sample([])]})
    np.testing.assert_allclose(data['inputs'].numpy(), z['prep/list_padded32'], atol=1e-6)
    shapes = [(s.batch_input_shape, s.pad_shape) for s in data['data_samples']]
    expected = [tuple(z['prep/list_batch_input_shape'].reshape(-1)[:2])] * 2
    assert [tuple(batch) for batch, _ in shapes] == expected
    assert [tuple(pad) for _, pad in shapes] == [
        tuple(row) for row in z['prep/list_pad_shape'].reshape(2, -1)
    ]


def test_training_batch() -> None:
    inputs = images()
    batch = {'bboxes_labels': torch.zeros(0, 6), 'masks': torch.zeros(2, 4, 4, dtype=torch.uint8)}
    before = inputs.clone()
    data = build()({'inputs': inputs, 'data_samples': batch}, training=True)
    torch.testing.assert_close(data['inputs'], inputs.flip(1).float() / 255)
    assert data['inputs'].min() >= 0 and data['inputs'].max() <= 1
    assert torch.equal(data['data_samples']['masks'], batch['masks'])
    assert torch.equal(inputs, before)
    assert 'img_metas' not in batch, 'the loader keeps its own dict'
    metas = data['data_samples']['img_metas']
    assert [meta['batch_input_shape'] for meta in metas] == [inputs.shape[-2:]] * 2


def test_without_mean_and_std_the_dtype_stays() -> None:
    data = build(mean=None, std=None)(
        {'inputs': images(), 'data_samples': {'bboxes_labels': torch.zeros(0, 6)}}, True
    )
    assert data['inputs'].dtype == torch.uint8
    assert torch.equal(data['inputs'], images().flip(1))


def test_mean_and_std_are_not_saved() -> None:
    assert list(build().state_dict()) == []


def test_lists_of_samples_become_the_same_batch() -> None:
    boxes = [[[1.0, 2, 3, 4], [5.0, 6, 7, 8]], []]
    listed = build()(
        {'inputs': list(images()), 'data_samples': [sample(b) for b in boxes]}, training=True
    )
    table = torch.tensor([[0.0, 0, 1, 2, 3, 4], [0, 0, 5, 6, 7, 8]])
    packed = build()({'inputs': images(), 'data_samples': {'bboxes_labels': table}}, training=True)
    torch.testing.assert_close(listed['inputs'], packed['inputs'])
    assert torch.equal(listed['data_samples']['bboxes_labels'], table)
    assert listed['data_samples']['img_metas'] == packed['data_samples']['img_metas']


RESIZE = {'type': 'YOLOXBatchSyncRandomResize', 'random_size_range': (32, 128), 'interval': 1}


def test_sizes_drawn_are_in_range_and_boxes_follow() -> None:
    MessageHub.get_current_instance().update_info('iter', 0)
    preprocessor = build(batch_augments=[RESIZE])
    table = torch.tensor([[0.0, 0, 10, 20, 30, 40]])
    torch.manual_seed(0)
    heights = set()
    for _ in range(30):
        samples = {'bboxes_labels': table, 'masks': torch.zeros(1, 16, 24)}
        data = preprocessor({'inputs': images(), 'data_samples': samples}, training=True)
        height, width = data['inputs'].shape[-2:]
        heights.add(height)
        scale = torch.tensor([1, 1, width / 96, height / 64, width / 96, height / 64])
        torch.testing.assert_close(data['data_samples']['bboxes_labels'], table * scale)
        assert height % 32 == width % 32 == 0
        assert data['data_samples']['masks'].shape == (1, 16, 24)
        assert data['data_samples']['img_metas'][0]['batch_input_shape'] == (height, width)
    assert heights == {32, 64, 96, 128}
    assert table.tolist() == [[0, 0, 10, 20, 30, 40]]


def test_lists_of_samples_are_resized_with_all_their_boxes() -> None:
    listed = [sample([[1.0, 2, 3, 4]]), sample([])]
    listed[1].ignored_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8, 16, 16]]), labels=torch.tensor([0])
    )
    preprocessor = build(batch_augments=[{**RESIZE, 'random_size_range': (128, 128)}])
    preprocessor.batch_augments[0]._target_hw = (128, 192)
    data = preprocessor({'inputs': list(images()), 'data_samples': listed}, training=True)
    assert data['inputs'].shape == (2, 3, 128, 192)
    assert data['data_samples']['bboxes_labels'].tolist() == [[0, 0, 2, 4, 6, 8]]
    assert data['data_samples']['ignored'].tolist() == [[1, 0, 16, 16, 32, 32]]
    assert data['data_samples']['img_metas'] == [{'batch_input_shape': (128, 192)}] * 2


@pytest.mark.parametrize('size_range', [(0, 64), (128, 64)])
def test_ranges_that_cannot_work_are_refused(size_range: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match='random_size_range is'):
        MODELS.build({**RESIZE, 'random_size_range': size_range})


def test_a_list_of_images_is_stacked_and_different_sizes_are_refused() -> None:
    module = MODELS.build({'type': 'YOLOv5DetDataPreprocessor', 'mean': [0.0], 'std': [255.0]})
    batch = {'data_samples': {'bboxes_labels': torch.zeros(0, 6)}}
    listed = [torch.zeros((3, 32, 64), dtype=torch.uint8) for _ in range(2)]
    assert module({**batch, 'inputs': listed}, training=True)['inputs'].shape == (2, 3, 32, 64)
    listed[1] = listed[1][..., :32]
    with pytest.raises(DataError, match=r'\(32, 32\), \(32, 64\)'):
        module({**batch, 'inputs': listed}, training=True)
