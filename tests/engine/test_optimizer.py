"""Parameter groups and weight decay equal the recorded ones; strays and duplicates are handled."""

from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from torch import nn

from mmyolo_lite.engine import optimizer as module
from mmyolo_lite.engine.optimizer import (
    YOLOv5OptimizerConstructor,
    group_parameters,
    scaled_weight_decay,
)
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import OPTIM_WRAPPER_CONSTRUCTORS
from tests.models import golden_models as gm
from tests.shared_data import golden

SGD = {'type': 'SGD', 'lr': 0.01, 'momentum': 0.937, 'weight_decay': 0.0005, 'nesterov': True}


def construct(
    model: nn.Module, paramwise_cfg: dict | None = None, **optimizer: object
) -> torch.optim.Optimizer:
    cfg = {'type': 'OptimWrapper', 'optimizer': {**SGD, **optimizer}}
    return YOLOv5OptimizerConstructor(cfg, paramwise_cfg)(model).optimizer


class Mixed(nn.Module):
    """The net of the fixture: a bit of everything."""

    def __init__(self, stray: bool = True) -> None:
        super().__init__()
        self.conv_nobias = nn.Conv2d(3, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 4, 1)
        self.ln = nn.LayerNorm(4)
        self.gn = nn.GroupNorm(2, 4)
        self.fc = nn.Linear(4, 2)
        if stray:
            self.free = nn.Parameter(torch.zeros(2))
        self.inorm = nn.InstanceNorm2d(4, affine=True)


@pytest.fixture
def log() -> Iterator[mock.Mock]:
    with mock.patch.object(module, 'print_log') as found:
        yield found


def names_of(optimizer: torch.optim.Optimizer, model: nn.Module) -> list[list[str]]:
    by_id = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        [by_id[id(parameter)] for parameter in group['params']] for group in optimizer.param_groups
    ]


@pytest.mark.parametrize(
    ('net', 'build'), [('ins', lambda: gm.build('ins')), ('mixed', lambda: Mixed(stray=False))]
)
def test_recorded_groups(net: str, build: Callable[[], nn.Module], log: mock.Mock) -> None:
    z = golden('golden_sched.npz')
    model = build()
    optimizer = construct(model)
    for index, names in enumerate(names_of(optimizer, model)):
        assert names == z[f'groups/{net}/{index}'].tolist()
        assert optimizer.param_groups[index]['weight_decay'] == pytest.approx(
            float(z[f'groups/{net}/{index}/weight_decay']), abs=1e-9
        )
    log.assert_not_called()


def test_stray_parameters_train_and_are_named(log: mock.Mock) -> None:
    model = Mixed()
    groups = names_of(construct(model), model)
    recorded = golden('golden_sched.npz')
    assert recorded['groups/mixed/not_in_any'].tolist() == ['free']
    assert [name for name in groups[0] if name != 'free'] == recorded['groups/mixed/0'].tolist()
    assert 'free' in groups[0]
    log.assert_called_once()
    assert 'free' in log.call_args.args[0]


def test_weight_decay_table() -> None:
    z = golden('golden_sched.npz')
    for batch_size, world, base, *decays in z['wd/table'].tolist():
        with (
            mock.patch.object(module, 'get_world_size', lambda world=world: int(world)),
            mock.patch.object(module, 'print_log'),
        ):
            optimizer = construct(
                Mixed(stray=False), {'base_total_batch_size': base}, batch_size_per_gpu=batch_size
            )
        found = [group['weight_decay'] for group in optimizer.param_groups]
        np.testing.assert_allclose(
            found, decays, atol=1e-9, err_msg=f'{batch_size} x {world} of {base}'
        )


def test_weight_decay_is_not_scaled_without_a_batch_size() -> None:
    assert construct(Mixed(stray=False)).param_groups[0]['weight_decay'] == 0.0005
    assert scaled_weight_decay(0.0005, 64, 64) == 0.0005


def test_every_parameter_is_in_one_group_once() -> None:
    model = nn.ModuleDict({'a': nn.Conv2d(1, 1, 1), 'norm': nn.BatchNorm2d(1, affine=False)})
    model['again'] = model['a']
    model['tied'] = nn.Conv2d(1, 1, 1)
    model['tied'].weight = model['a'].weight
    groups = group_parameters(model)
    assert [len(group) for group in groups] == [1, 0, 2]
    assert {id(p) for group in groups for p in group} == {id(p) for p in model.parameters()}
    construct(model)  # the empty group does no harm


def test_frozen_parameters_are_included() -> None:
    model = Mixed(stray=False).requires_grad_(False)
    assert sum(map(len, group_parameters(model))) == len(list(model.parameters()))


def test_wrapped_models_are_unwrapped() -> None:
    wrapper = mock.Mock(spec=MMDistributedDataParallel, module=Mixed(stray=False))
    assert len(construct(wrapper).param_groups[0]['params']) == 5


def test_configs_are_left_alone() -> None:
    cfg = {'type': 'OptimWrapper', 'optimizer': {**SGD, 'batch_size_per_gpu': 16}}
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
        {'type': 'YOLOv5OptimizerConstructor', 'optim_wrapper_cfg': cfg}
    )
    first, second = (
        constructor(Mixed(stray=False)).optimizer.param_groups[0]['weight_decay'] for _ in range(2)
    )
    assert first == second
    assert cfg['optimizer'] == {**SGD, 'batch_size_per_gpu': 16}


def test_missing_settings_are_named() -> None:
    cfg = {'type': 'OptimWrapper', 'optimizer': SGD}
    with pytest.raises(ConfigError, match='base_total_batch_size'):
        YOLOv5OptimizerConstructor(cfg, {'bias_lr_mult': 2})
    with pytest.raises(ConfigError, match='optimizer'):
        YOLOv5OptimizerConstructor({'type': 'OptimWrapper'})


@pytest.mark.parametrize('kernels', ['foreach', 'fused'])
def test_kernels_for_all_tensors_take_the_same_steps(kernels: str) -> None:
    models = [Mixed(stray=False) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [construct(models[0], foreach=False), construct(models[1], **{kernels: True})]
    assert all(group[kernels] is True for group in optimizers[1].param_groups)
    for step in range(3):
        for model, optimizer in zip(models, optimizers, strict=True):
            for group in optimizer.param_groups:
                group['lr'], group['momentum'] = 0.1 / (step + 1), 0.8 + 0.05 * step
            generator = torch.Generator().manual_seed(step)
            for parameter in model.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def custom(model: nn.Module, keys: dict, **optimizer: object) -> torch.optim.Optimizer:
    return construct(model, {'base_total_batch_size': 64, 'custom_keys': keys}, **optimizer)


def test_layers_have_rates_and_decays_of_their_own() -> None:
    model = Mixed(stray=False)
    keys = {'conv': {'lr_mult': 0.1}, 'conv_no': {'lr_mult': 0.5, 'decay_mult': 2}, 'fc': {}}
    optimizer = custom(model, keys)
    assert names_of(optimizer, model) == [
        *[['ln.weight', 'gn.weight'], ['bn.weight', 'inorm.weight']],
        ['bn.bias', 'ln.bias', 'gn.bias', 'inorm.bias'],
        *[['conv.weight'], [], ['conv.bias']],
        *[['conv_nobias.weight'], [], []],
        *[['fc.weight'], [], ['fc.bias']],
    ]
    groups = optimizer.param_groups
    assert [group['lr'] for group in groups[::3]] == pytest.approx([0.01, 0.001, 0.005, 0.01])
    assert [group['weight_decay'] for group in groups[::3]] == [0.0005, 0.0005, 0.001, 0.0005]
    assert {group['weight_decay'] for group in groups[1::3] + groups[2::3]} == {0}


def test_the_usual_groups_come_first_and_alone_without_keys() -> None:
    model = Mixed(stray=False)
    assert names_of(custom(model, {}), model) == names_of(construct(model), model)
    assert len(construct(model, {'custom_keys': {'fc': {'lr_mult': 0.1}}}).param_groups) == 6


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        ({'conb': {'lr_mult': 0.1}}, "'conb'.*Did you mean 'conv'"),
        ({'zzz': {}}, 'Try backbone'),
        ({'conv': {'lr': 0.1}}, 'lr_mult and decay_mult'),
        ({'conv': 0.1}, 'lr_mult and decay_mult'),
        ({'conv': {'lr_mult': -1}}, 'at least 0'),
        ({'conv': {'lr_mult': '1'}}, 'at least 0'),
        ({'conv': {'lr_mult': True}}, 'at least 0'),
        ([('conv', {})], 'must be like'),
    ],
)
def test_wrong_keys_are_named(keys: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        custom(Mixed(stray=False), keys)
