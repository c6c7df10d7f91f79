"""A compiled network trains like any other, and nothing outside training notices."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.models.ema import ExpMomentumEMA
from tests.models.test_padded_loss import batch
from tests.models.tiny import INPUT_HW, detector

# PyTorch's own, while it traces the second part; not shown in a training
pytestmark = pytest.mark.filterwarnings('ignore:The .grad attribute of a Tensor')
PARTS = ('backbone', 'neck', 'bbox_head.head_module')
EAGER = {'backend': 'eager'}  # traces the network, and takes no compiler


@pytest.fixture(scope='module')
def compiled() -> nn.Module:
    return detector('ins', model={'compile': EAGER})


def parts(model: nn.Module) -> list[nn.Module]:
    return [model.get_submodule(name) for name in PARTS]


def train(model: Any, iterations: int) -> list[float]:
    """Return the sum of the losses of each iteration."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images = torch.rand(3, 3, *INPUT_HW, generator=torch.Generator().manual_seed(0))
    found = []
    for _ in range(iterations):
        loss = sum(model(images, batch('ins', 6), mode='loss').values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    return found


def test_training_gives_the_same_losses(compiled: nn.Module) -> None:
    plain = detector('ins')
    assert all(part._compiled_call_impl is None for part in parts(plain))
    compiled.load_state_dict(plain.state_dict())
    expected = train(plain, 2)
    torch._dynamo.utils.counters.clear()
    assert train(compiled, 2) == pytest.approx(expected, rel=1e-5)
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] == 3
    assert not torch._dynamo.utils.counters['graph_break']
    for one, other in zip(compiled.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_checkpoints_and_averages_are_those_of_any_model(compiled: nn.Module) -> None:
    plain = detector('ins')
    compiled.train()
    assert list(compiled.state_dict()) == list(plain.state_dict())
    assert [n for n, _ in compiled.named_parameters()] == [n for n, _ in plain.named_parameters()]
    plain.load_state_dict(compiled.state_dict(), strict=True)
    average = ExpMomentumEMA(compiled, update_buffers=True)
    average.update_parameters(compiled)
    assert list(average.module.state_dict()) == list(plain.state_dict())
    assert all(part._compiled_call_impl is None for part in parts(average.module))


def test_a_copy_runs_its_own_weights(compiled: nn.Module) -> None:
    compiled.train()
    twin = copy.deepcopy(compiled)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    twin.eval()
    assert not twin.bbox_head.head_module(twin.extract_feat(torch.rand(1, 3, 64, 64)))[0][0].any()


def test_validation_is_not_compiled(compiled: nn.Module) -> None:
    assert all(part._compiled_call_impl is not None for part in parts(compiled.train()))
    assert all(part._compiled_call_impl is None for part in parts(compiled.eval()))
    assert all(part._compiled_call_impl is not None for part in parts(compiled.train()))


@pytest.mark.parametrize(
    ('given', 'words'), [({'backend': 'none such'}, 'none such'), ({'fast': 1}, 'fast'), (3, '3')]
)
def test_what_pytorch_refuses_is_named(given: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f'model.compile is .*{words}'):
        detector('det', model={'compile': given})


@pytest.mark.parametrize('given', [False, None])
def test_off(given: Any) -> None:
    model = detector('det', model={'compile': given}).train()
    assert model.backbone._compiled_call_impl is None
