"""The detector as a whole: modes, one training step, memory format, refusals."""

from typing import Any
from unittest import mock

import pytest
import torch
from mmdet.structures import DetDataSample
from torch import nn

from mmyolo_lite.errors import DataError
from mmyolo_lite.models.detectors import yolo_detector
from tests.models.tiny import INPUT_HW, detector, images


def metas(count: int = 2) -> list[DetDataSample]:
    return [
        DetDataSample(
            metainfo={
                'ori_shape': (48, 96),
                'scale_factor': (1.0, 1.0),
                'img_shape': INPUT_HW,
                'pad_param': [8.0, 8.0, 0.0, 0.0],
                'batch_input_shape': INPUT_HW,
            }
        )
        for _ in range(count)
    ]


def targets(kind: str) -> dict[str, Any]:
    batch = {
        'bboxes_labels': torch.tensor([[0, 1, 8.0, 8, 40, 40], [1, 0, 20.0, 10, 90, 60]]),
        'img_metas': [{'batch_input_shape': INPUT_HW}] * 2,
    }
    if kind == 'ins':
        batch['masks'] = torch.randint(
            0, 2, (2, INPUT_HW[0] // 4, INPUT_HW[1] // 4), dtype=torch.uint8
        )
    return batch


@pytest.mark.parametrize('kind', ['det', 'ins'])
def test_one_step_reaches_every_parameter(kind: str) -> None:
    model = detector(kind).train()
    data = model.data_preprocessor(
        {'inputs': images(), 'data_samples': targets(kind)}, training=True
    )
    losses = model(**data, mode='loss')
    assert set(losses) == {'loss_cls', 'loss_obj', 'loss_bbox'} | (
        {'loss_mask'} if kind == 'ins' else set()
    )
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize('kind', ['det', 'ins'])
def test_prediction_fills_each_sample_in_original_pixels(kind: str) -> None:
    model = detector(kind).eval()
    with torch.no_grad():
        samples = model(images().float() / 255, metas(), mode='predict')
    assert len(samples) == 2
    for sample in samples:
        found = sample.pred_instances
        assert found.bboxes.shape == (len(found), 4)
        assert found.labels.dtype == torch.long
        if kind == 'ins':
            assert found.masks.shape == (len(found), 48, 96) and found.masks.dtype == torch.bool


@pytest.mark.parametrize(('kind', 'parts'), [('det', 3), ('ins', 5)])
def test_raw_maps(kind: str, parts: int) -> None:
    assert len(detector(kind).eval()(images().float(), mode='tensor')) == parts


@pytest.mark.parametrize(
    ('hw', 'words'),
    [
        ((60, 96), '60x96.*multiples of 32.*64x96'),
        ((64, 100), '64x100.*64x96'),
        ((8, 8), '8x8.*32x32'),
    ],
)
def test_input_sizes_that_do_not_fit_are_named_with_the_nearest_that_do(
    hw: tuple[int, int], words: str
) -> None:
    model = detector('det').eval()
    for mode in ('tensor', 'predict', 'loss'):
        with pytest.raises(DataError, match=words):
            model(torch.zeros(1, 3, *hw), metas(1), mode=mode)


@pytest.mark.parametrize('kind', ['det', 'ins'])
def test_channels_last_changes_the_memory_format_alone(kind: str) -> None:
    plain = detector(kind).eval()
    last = detector(kind, model={'channels_last': True}).eval()
    last.load_state_dict(plain.state_dict())
    inputs = images().float() / 255
    stem = last.backbone.stem
    assert stem.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert stem(inputs).is_contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        for one, other in zip(plain(inputs), last(inputs), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        for one, other in zip(
            plain(inputs, metas(), 'predict'), last(inputs, metas(), 'predict'), strict=True
        ):
            torch.testing.assert_close(
                one.pred_instances.scores, other.pred_instances.scores, atol=1e-5, rtol=1e-3
            )
    for one, other in zip(
        plain(inputs, targets(kind), 'loss').values(),
        last(inputs, targets(kind), 'loss').values(),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def sync_norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.SyncBatchNorm) for module in model.modules())


@pytest.mark.parametrize(
    ('world', 'use_syncbn', 'converted'),
    [(1, True, False), (2, False, False), (2, True, True)],
)
def test_norms_synchronise_in_several_processes(
    world: int, use_syncbn: bool, converted: bool
) -> None:
    with mock.patch.object(yolo_detector, 'get_world_size', lambda: world):
        model = detector('det', model={'use_syncbn': use_syncbn})
    assert (sync_norms(model) > 0) == converted
    assert list(model.state_dict()) == list(detector('det').state_dict())


def test_state_dict_holds_weights_alone() -> None:
    assert {key.split('.')[0] for key in detector('ins').state_dict()} == {
        'backbone',
        'neck',
        'bbox_head',
    }
    assert {
        key.split('.')[1] for key in detector('ins').state_dict() if key.startswith('bbox_head')
    } == {'head_module'}
