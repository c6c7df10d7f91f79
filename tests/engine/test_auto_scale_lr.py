"""Learning rates follow the total batch size."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mmyolo_lite.engine.auto_scale_lr import enable_auto_scale_lr
from mmyolo_lite.errors import ConfigError


@pytest.mark.parametrize(
    ('world', 'batch_size', 'base', 'rate'),
    [(1, 4, 128, 0.01 / 32), (8, 16, 128, 0.01), (2, 32, 16, 0.04)],
)
def test_rates_are_scaled(world: int, batch_size: int, base: int, rate: float) -> None:
    config = Config({'auto_scale_lr': {'base_batch_size': base}})
    enable_auto_scale_lr(config)
    weight = torch.nn.Parameter(torch.zeros(1))
    wrapper = OptimWrapper(torch.optim.SGD([weight], lr=0.01))
    runner: Any = SimpleNamespace(
        _train_dataloader={'batch_size': batch_size},
        world_size=world,
        logger=logging.getLogger('test'),
        param_schedulers=None,
    )
    Runner.scale_lr(runner, wrapper, config.auto_scale_lr)
    assert wrapper.optimizer.param_groups[0]['lr'] == pytest.approx(rate)


@pytest.mark.parametrize('given', [None, {}, {'base_batch_size': 0}, {'base_batch_size': '8'}, 128])
def test_a_base_is_needed(given: Any) -> None:
    with pytest.raises(ConfigError, match='base_batch_size'):
        enable_auto_scale_lr(Config({'auto_scale_lr': given}))
