"""Mixed precision without an accelerator."""

import copy
from typing import Any
from unittest import mock

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS as ROOT_OPTIM_WRAPPERS
from mmengine.registry import DefaultScope
from torch import nn

from mmyolo_lite.compat import cpu_amp
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import OPTIM_WRAPPERS


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_amp, 'get_device', lambda: 'cpu')


class Probe(nn.Module):
    """A model that remembers the precision it ran in."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.layer(x)
        self.dtype = out.dtype
        return out.float().square().sum()


def build(model: nn.Module, **settings: Any) -> Any:
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    return OPTIM_WRAPPERS.build({'type': 'AmpOptimWrapper', 'optimizer': optimizer, **settings})


def step(model: Probe, wrapper: Any) -> None:
    with wrapper.optim_context(model):
        loss = model(torch.ones(3, 4))
    wrapper.update_params(loss)


@pytest.mark.parametrize('scope', ['mmyolo_lite', 'mmyolo'])
def test_our_wrapper_is_the_one_that_a_runner_builds(scope: str) -> None:
    with DefaultScope.overwrite_default_scope(scope):
        model = Probe()
        optimizer = torch.optim.SGD(model.parameters(), 0.01)
        built = ROOT_OPTIM_WRAPPERS.build({'type': 'AmpOptimWrapper', 'optimizer': optimizer})
    assert type(built) is cpu_amp.AmpOptimWrapper


@pytest.mark.parametrize('dtype', [None, 'bfloat16', torch.bfloat16])
@pytest.mark.parametrize('loss_scale', ['dynamic', 512.0])
def test_a_step_in_bfloat16(dtype: Any, loss_scale: Any) -> None:
    model = Probe()
    before = model.layer.weight.detach().clone()
    step(model, build(model, dtype=dtype, loss_scale=loss_scale))
    assert model.dtype == torch.bfloat16
    assert model.layer.weight.dtype == torch.float32
    assert not torch.equal(model.layer.weight.detach(), before)
    plain = Probe()
    plain(torch.ones(3, 4)).backward()
    torch.testing.assert_close(
        model.layer.weight.detach(), before - 0.01 * plain.layer.weight.grad, rtol=0, atol=2e-3
    )


def test_gradients_accumulate_and_are_clipped() -> None:
    model = Probe()
    wrapper = build(model, accumulative_counts=2, clip_grad={'max_norm': 1e-6})
    before = model.layer.weight.detach().clone()
    step(model, wrapper)
    assert torch.equal(model.layer.weight.detach(), before)
    step(model, wrapper)
    assert 0 < (model.layer.weight.detach() - before).abs().max() < 1e-6


@pytest.mark.parametrize('dtype', ['float16', torch.float16])
def test_float16_is_refused(dtype: Any) -> None:
    with pytest.raises(ConfigError, match="float16.*dtype='bfloat16'"):
        build(Probe(), dtype=dtype)


@pytest.mark.parametrize('extra', [{}, {'loss_scaler': {'scale': 65536.0}}])
def test_state_goes_round(extra: dict) -> None:
    model, other = Probe(), Probe()
    wrapper, fresh = build(model), build(other)
    step(model, wrapper)
    state = copy.deepcopy({**wrapper.state_dict(), **extra})
    fresh.load_state_dict(state)
    moments = [w.optimizer.state_dict()['state'][0]['momentum_buffer'] for w in (wrapper, fresh)]
    assert torch.equal(*moments)
    other.load_state_dict(model.state_dict())
    for one, its_wrapper in ((model, wrapper), (other, fresh)):
        step(one, its_wrapper)
    assert torch.equal(model.layer.weight, other.layer.weight)


def test_an_accelerator_gets_the_stock_wrapper() -> None:
    with (
        mock.patch.object(cpu_amp, 'get_device', lambda: 'cuda'),
        mock.patch.object(cpu_amp._MMEngineAmpOptimWrapper, '__init__', return_value=None) as stock,
    ):
        build(Probe(), dtype='float16', loss_scale=512.0)
    assert (
        stock.call_args.kwargs['dtype'] == 'float16'
        and stock.call_args.kwargs['loss_scale'] == 512.0
    )
