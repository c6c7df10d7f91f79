"""Frozen parts neither learn nor change their statistics; wrong names are refused."""

from typing import Any

import pytest
import torch
from torch import nn

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.models.freezing import part_names
from tests.models import tiny


def train_some(model: Any) -> None:
    """Take some steps on noise, and switch modes between them as validation does."""
    from mmyolo_lite.engine.optimizer import YOLOv5OptimizerConstructor

    settings = {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9, 'weight_decay': 0.1}
    wrapper = YOLOv5OptimizerConstructor({'type': 'OptimWrapper', 'optimizer': settings})(model)
    for _ in range(3):
        model.train()
        maps = model(torch.rand(2, 3, *tiny.INPUT_HW), mode='tensor')
        loss = sum(part.square().mean() for level in maps for part in level)
        wrapper.update_params(loss)
        model.eval()


@pytest.mark.parametrize(
    ('freeze', 'frozen'),
    [
        (('backbone',), ('backbone',)),
        ('backbone, neck', ('backbone', 'neck')),
        (['backbone.stage1', 'backbone.stem'], ('backbone.stage1', 'backbone.stem')),
        ('bbox_head.head_module.proto_pred', ('bbox_head.head_module.proto_pred',)),
    ],
)
def test_frozen_parts_stay_bit_for_bit(freeze: Any, frozen: tuple[str, ...]) -> None:
    model = tiny.detector('ins', model={'freeze': freeze})
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train_some(model)
    for name, tensor in model.state_dict().items():
        same = torch.equal(tensor, before[name])
        assert same == name.startswith(tuple(f'{part}.' for part in frozen)), name
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith(tuple(f'{part}.' for part in frozen))


def test_nothing_is_frozen_by_default() -> None:
    assert all(parameter.requires_grad for parameter in tiny.detector('det').parameters())


@pytest.mark.parametrize(
    ('freeze', 'message'),
    [
        ('backbon', "'backbon'.*Did you mean 'backbone'"),
        ('17', 'It has data_preprocessor, backbone, neck, bbox_head'),
        ('neck.upsample_layers', 'nothing to train'),
        ('backbone,neck,bbox_head', 'nothing is left to train'),
        (3, 'must be names'),
        ([3], 'must be names'),
    ],
)
def test_wrong_names_are_refused(freeze: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny.detector('det', model={'freeze': freeze})


def test_names_in_text() -> None:
    assert part_names('a, b,,c ') == ('a', 'b', 'c')
    assert part_names(None) == part_names('') == ()
    assert isinstance(tiny.detector('det', model={'freeze': None}), nn.Module)
