"""The average of the weights, step by step."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.models.ema import ExpMomentumEMA
from mmyolo_lite.registry import MODELS
from tests.ops.host_waits import host_waits
from tests.shared_data import golden

PARAMETERS = slice(0, 15)  # of the flattened state; buffers follow


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def load(model: nn.Module, keys: list[str], flat: np.ndarray) -> None:
    """Put a flattened state into the model."""
    state, position = model.state_dict(), 0
    for key in keys:
        size = state[key].numel()
        values = torch.from_numpy(flat[position : position + size])
        state[key].copy_(values.to(state[key].dtype).view(state[key].shape))
        position += size
    assert position == len(flat)


def flatten(model: nn.Module, keys: list[str]) -> np.ndarray:
    state = model.state_dict()
    return np.concatenate([state[key].double().flatten().numpy() for key in keys])


@pytest.mark.parametrize('case', ['buffers', 'fast', 'interval3', 'params_only'])
def test_recorded_steps(case: str) -> None:
    z = golden('golden_ema.npz')
    keys = z['state_keys'].tolist()
    source = net()
    load(source, keys, z[f'{case}/init'])
    ema = MODELS.build(
        {'type': 'ExpMomentumEMA', **json.loads(str(z[f'{case}/spec']))},
        default_args={'model': source},
    )
    for step, (state, average) in enumerate(
        zip(z[f'{case}/source'], z[f'{case}/average'], strict=True)
    ):
        load(source, keys, state)
        ema.update_parameters(source)
        found = flatten(ema.module, keys)
        if case == 'params_only':  # MMYOLO leaves the buffers stale; here they are copied
            average = np.concatenate((average[PARAMETERS], state[PARAMETERS.stop :]))
        np.testing.assert_allclose(found, average, atol=1e-5, err_msg=f'step {step}')
    assert int(ema.steps) == int(z[f'{case}/steps'])


def test_momentum_falls_to_its_final_value() -> None:
    ema = ExpMomentumEMA(net(), momentum=0.0001, gamma=2000)
    assert ema.momentum_at(0) == pytest.approx(0.9999 * np.exp(-1 / 2000) + 0.0001)
    assert ema.momentum_at(10**6) == pytest.approx(0.0001)


class CountKernels(TorchDispatchMode):
    """Counts what would be a launch on an accelerator."""

    launches = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if not func.is_view and func.overloadpacket is not torch.ops.aten.detach:
            self.launches += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('layers', [5, 100])
def test_launches_do_not_grow_with_the_number_of_tensors(layers: int) -> None:
    source = nn.Sequential(*(net() for _ in range(layers)))
    ema = ExpMomentumEMA(source, update_buffers=True)
    for _ in range(2):
        with CountKernels() as counter:
            ema.update_parameters(source)
        assert 0 < counter.launches <= 10


@pytest.mark.parametrize('update_buffers', [True, False])
def test_a_moved_model_keeps_averaging(update_buffers: bool) -> None:
    source = net()
    ema = ExpMomentumEMA(source, momentum=0.5, gamma=1, update_buffers=update_buffers).to(
        torch.float64
    )
    source.to(torch.float64)
    shift = 0.0  # of the average, while the source moves by one a step
    for step in range(3):
        with torch.no_grad():
            for value in (*source.parameters(), source[1].running_mean):
                value += 1
        shift += (step + 1 - shift) * (ema.momentum_at(step) if step else 1)
        ema.update_parameters(source)
    buffer_shift = shift if update_buffers else 3
    assert ema.module[1].running_mean.tolist() == pytest.approx([buffer_shift] * 3)
    torch.testing.assert_close(ema.module[0].weight, source[0].weight.detach() - 3 + shift)


def test_source_is_not_touched_and_the_average_does_not_train() -> None:
    source = net()
    ema = ExpMomentumEMA(source, update_buffers=True)
    before = {key: value.clone() for key, value in source.state_dict().items()}
    for _ in range(3):
        ema.update_parameters(source)
    assert all(torch.equal(value, before[key]) for key, value in source.state_dict().items())
    assert not any(parameter.requires_grad for parameter in ema.module.parameters())


@pytest.mark.parametrize('settings', [{'gamma': 0}, {'momentum': 0.0}, {'momentum': 1.0}])
def test_settings_that_cannot_work_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match='ExpMomentumEMA'):
        ExpMomentumEMA(net(), **settings)


@pytest.mark.parametrize('update_buffers', [True, False])
def test_the_host_waits_for_the_count_of_steps_at_most_once(update_buffers: bool) -> None:
    source = net()
    ema = ExpMomentumEMA(source, update_buffers=update_buffers)
    ema.update_parameters(source)
    assert host_waits(lambda: [ema.update_parameters(source) for _ in range(3)]) == []
    assert int(ema.steps) == 4


def test_steps_that_others_set_are_seen() -> None:
    source, other = net(), ExpMomentumEMA(net(), momentum=0.5, gamma=1)
    ema = ExpMomentumEMA(source, momentum=0.5, gamma=1)
    moments = []
    for change in (
        lambda: ema.steps.fill_(7),
        lambda: other.steps.fill_(20) and ema.load_state_dict(other.state_dict()),
        lambda: (ema.double(), source.double()),
        lambda: setattr(ema, 'steps', torch.tensor(3)),
    ):
        ema.update_parameters(source)
        change()
        expected = int(ema.steps)
        moments.append(ema._count() == expected)
        ema.update_parameters(source)
        moments.append(int(ema.steps) == expected + 1)
    assert all(moments)
