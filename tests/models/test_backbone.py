"""The backbone: what is frozen, what is refused, how it is initialised."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import MODELS
from tests.models.tiny import FACTORS


def build(**settings: Any) -> nn.Module:
    return MODELS.build({'type': 'YOLOv5CSPDarknet', **FACTORS, **settings})


def training_parts(backbone: nn.Module) -> list[str]:
    """Return the stages that train; a stage has to be frozen, or not, as a whole."""
    found = []
    for name in backbone.layers:
        part = getattr(backbone, name)
        states = {p.requires_grad for p in part.parameters()} | {
            m.training for m in part.modules() if isinstance(m, _BatchNorm)
        }
        assert len(states) == 1, name
        if states == {True}:
            found.append(name)
    return found


@pytest.mark.parametrize(
    ('frozen_stages', 'training'),
    [
        (-1, ['stem', 'stage1', 'stage2', 'stage3', 'stage4']),
        (0, ['stage1', 'stage2', 'stage3', 'stage4']),
        (2, ['stage3', 'stage4']),
        (4, []),
    ],
)
def test_stages_are_frozen_right_after_construction_and_stay_so(
    frozen_stages: int, training: list[str]
) -> None:
    backbone = build(frozen_stages=frozen_stages)
    assert training_parts(backbone) == training
    backbone.eval()
    assert training_parts(backbone.train()) == training


def test_norms_in_eval_mode_still_train_their_weights() -> None:
    backbone = build(norm_eval=True).train()
    norms = [m for m in backbone.modules() if isinstance(m, _BatchNorm)]
    assert norms and not any(norm.training for norm in norms)
    assert all(norm.weight.requires_grad for norm in norms)
    assert backbone.stem.training


def test_switching_the_mode_returns_the_module() -> None:
    backbone = build()
    assert backbone.train() is backbone
    assert backbone.eval() is backbone
    assert not backbone.training


@pytest.mark.parametrize('out_indices', [(2, 3, 4), (0,), (4, 1)])
def test_outputs(out_indices: tuple[int, ...]) -> None:
    outputs = build(out_indices=out_indices)(torch.rand(1, 3, 64, 96))
    strides = {0: 2, 1: 4, 2: 8, 3: 16, 4: 32}
    assert [tuple(o.shape) for o in outputs] == [
        (1, 8 * 2**i, 64 // strides[i], 96 // strides[i]) for i in sorted(out_indices)
    ]


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        ({'arch': 'P6'}, "arch is 'P6'"),
        ({'plugins': [{}]}, 'plugins'),
        ({'out_indices': (2, 5)}, r'\(2, 5\).*0 to 4'),
        ({'frozen_stages': 5}, 'frozen_stages is 5'),
        ({'frozen_stages': -2}, 'frozen_stages is -2'),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(**settings)


def test_initialising_twice_is_initialising_once() -> None:
    backbone = build()
    torch.manual_seed(5)
    backbone.init_weights()
    once = {key: value.clone() for key, value in backbone.state_dict().items()}
    torch.manual_seed(5)
    backbone.init_weights()
    assert all(torch.equal(value, once[key]) for key, value in backbone.state_dict().items())


def test_convolutions_get_the_default_of_pytorch() -> None:
    backbone = build(widen_factor=0.5)
    backbone.init_weights()
    weight = backbone.stage4[0].conv.weight
    bound = (weight.shape[1] * 9) ** -0.5  # uniform, a = sqrt 5
    assert weight.abs().max() <= bound
    assert weight.detach().std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
