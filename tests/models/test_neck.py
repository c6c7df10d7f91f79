"""The neck: freezing, wiring, refusals."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import MODELS
from tests.models.tiny import CHANNELS, FACTORS


def build(**settings: Any) -> nn.Module:
    return MODELS.build(
        {
            'type': 'YOLOv5PAFPN',
            'in_channels': CHANNELS,
            'out_channels': CHANNELS,
            'num_csp_blocks': 3,
            **FACTORS,
            **settings,
        }
    )


@pytest.mark.parametrize('freeze_all', [True, False])
def test_frozen_right_after_construction_and_after_train(freeze_all: bool) -> None:
    neck = build(freeze_all=freeze_all)
    for _ in range(2):
        norms = [m.training for m in neck.modules() if isinstance(m, _BatchNorm)]
        assert {p.requires_grad for p in neck.parameters()} == {not freeze_all} == set(norms)
        neck.eval().train()


def test_switching_the_mode_returns_the_module() -> None:
    neck = build()
    assert neck.train() is neck
    assert neck.eval() is neck


def test_maps_keep_their_shapes() -> None:
    maps = [
        torch.rand(2, c // 8, 64 // s, 96 // s) for c, s in zip(CHANNELS, (8, 16, 32), strict=True)
    ]
    out = build()(maps)
    assert isinstance(out, tuple)
    assert [m.shape for m in out] == [m.shape for m in maps]


@pytest.mark.parametrize('widen_factor', [0.2, 0.3, 0.35])
def test_widths_that_cannot_be_wired_are_refused_with_the_nearest_that_can(
    widen_factor: float,
) -> None:
    with pytest.raises(
        ConfigError, match=f'widen_factor {widen_factor}.*nearest to yours is'
    ) as caught:
        build(widen_factor=widen_factor)
    nearest = float(str(caught.value).rsplit(' ', 1)[1].rstrip('.'))
    assert abs(nearest - widen_factor) <= 1 / 64
    build(widen_factor=nearest)


def test_it_joins_three_maps() -> None:
    with pytest.raises(ConfigError, match='has 2 numbers'):
        build(in_channels=[256, 512])


def test_initialising_twice_is_initialising_once() -> None:
    neck = build()
    weights = []
    for _ in range(2):
        torch.manual_seed(5)
        neck.init_weights()
        weights.append(torch.cat([p.detach().flatten() for p in neck.parameters()]))
    assert torch.equal(*weights)
