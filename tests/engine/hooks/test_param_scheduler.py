"""Learning rate and momentum of every iteration equal the recorded ones."""

import json
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from mmyolo_lite.engine.hooks.param_scheduler import YOLOv5ParamSchedulerHook
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import HOOKS
from tests.shared_data import golden

CASES = [
    'linear_basic',
    'cosine_half_epoch',
    'never_ends',
    'ends_mid_epoch',
    'voc_values',
    'no_warmup',
    'adamw',
]


def fake_runner(spec: dict[str, Any]) -> Any:
    """Return what the hook looks at: an optimizer of three groups, counters, the length of a
    loader.
    """
    groups = [{'params': [torch.nn.Parameter(torch.zeros(1))]} for _ in range(3)]
    lr = spec.get('lr', 0.01)
    optimizer = (
        torch.optim.AdamW(groups, lr)
        if spec.get('adamw')
        else torch.optim.SGD(groups, lr, momentum=spec.get('momentum', 0.937))
    )
    return SimpleNamespace(
        optim_wrapper=SimpleNamespace(param_groups=optimizer.param_groups),
        train_dataloader=range(spec['per_epoch']),
        max_iters=spec['per_epoch'] * spec['epochs'],
        max_epochs=spec['epochs'],
        iter=0,
        epoch=0,
        logger=mock.Mock(),
    )


def drive(hook: YOLOv5ParamSchedulerHook, runner: Any, epochs: int) -> tuple[list, list]:
    """Call the hook as the runner's loop does; returns lr and momentum used by each iteration."""
    groups = runner.optim_wrapper.param_groups
    lr, momentum = [], []
    hook.before_train(runner)
    for runner.epoch in range(epochs):
        for batch in range(len(runner.train_dataloader)):
            hook.before_train_iter(runner, batch)
            lr.append([group['lr'] for group in groups])
            momentum.append([group.get('momentum', -1) for group in groups])
            hook.after_train_iter(runner, batch)
            runner.iter += 1
        hook.after_train_epoch(runner)
    return lr, momentum


@pytest.mark.parametrize('case', CASES)
def test_recorded_schedules(case: str) -> None:
    z, prefix = golden('golden_sched.npz'), f'sched/{case}/'
    spec = json.loads(str(z[prefix + 'spec']))
    runner = fake_runner(spec)
    lr, momentum = drive(
        HOOKS.build({'type': 'YOLOv5ParamSchedulerHook', **spec['hook']}), runner, spec['epochs']
    )
    np.testing.assert_allclose(lr, z[prefix + 'lr'], atol=1e-9, rtol=0)
    np.testing.assert_allclose(momentum, z[prefix + 'momentum'], atol=1e-9, rtol=0)
    after = [group['lr'] for group in runner.optim_wrapper.param_groups]
    np.testing.assert_allclose(after, z[prefix + 'lr_after_last_epoch'], atol=1e-9, rtol=0)


def test_groups_hold_plain_floats() -> None:
    spec = {'per_epoch': 3, 'epochs': 3}
    runner = fake_runner(spec)
    drive(YOLOv5ParamSchedulerHook(max_epochs=3, warmup_epochs=1, warmup_mim_iter=0), runner, 3)
    for group in runner.optim_wrapper.param_groups:
        for name in ('lr', 'momentum', 'initial_lr', 'initial_momentum'):
            assert type(group[name]) is float, name


def test_groups_of_layers_keep_their_share() -> None:
    """Three more groups, whose rates are a tenth: so they are in the warm-up, biases too."""
    runner = fake_runner({'per_epoch': 4, 'epochs': 3})
    groups = runner.optim_wrapper.param_groups
    groups += [{**group, 'lr': group['lr'] / 10} for group in groups]
    hook = YOLOv5ParamSchedulerHook(max_epochs=3, warmup_epochs=1, warmup_mim_iter=0)
    rates, _ = drive(hook, runner, 3)
    assert rates[0] == [0, 0, 0.1, 0, 0, pytest.approx(0.01)]
    for usual in rates:
        assert usual[3:] == pytest.approx([rate / 10 for rate in usual[:3]])


def test_base_values_of_a_resumed_optimizer_win() -> None:
    runner = fake_runner({'per_epoch': 4, 'epochs': 2})
    for group in runner.optim_wrapper.param_groups:
        group.update(initial_lr=0.2, lr=0.001, initial_momentum=0.9)
    hook = YOLOv5ParamSchedulerHook(max_epochs=2, warmup_epochs=0, warmup_mim_iter=0)
    lr, _ = drive(hook, runner, 1)
    assert lr[0] == [0.2] * 3


@pytest.mark.parametrize(
    'settings',
    [{'warmup_mim_iter': 7}, {'warmup_min_iter': 7}, {'warmup_mim_iter': 99, 'warmup_min_iter': 7}],
)
def test_both_spellings_of_the_shortest_warm_up(settings: dict[str, int]) -> None:
    hook = YOLOv5ParamSchedulerHook(warmup_epochs=1, **settings)
    assert hook.warmup_iters(2) == 7
    assert hook.warmup_iters(20) == 20


@pytest.mark.parametrize(('iterations', 'warns'), [(20, False), (21, True)])
def test_a_long_warm_up_is_announced_once_with_the_numbers(iterations: int, warns: bool) -> None:
    runner = fake_runner({'per_epoch': 10, 'epochs': 4})
    drive(
        YOLOv5ParamSchedulerHook(max_epochs=4, warmup_epochs=0, warmup_mim_iter=iterations),
        runner,
        4,
    )
    assert runner.logger.warning.call_count == int(warns)
    if warns:
        message = runner.logger.warning.call_args.args[0]
        assert '21 iterations' in message and 'all 40' in message


def test_the_schedule_follows_the_length_of_the_training() -> None:
    runner = fake_runner({'per_epoch': 2, 'epochs': 5})
    lr, _ = drive(YOLOv5ParamSchedulerHook(warmup_epochs=0, warmup_mim_iter=0), runner, 5)
    assert runner.logger.warning.call_count == 0
    # the last epoch runs with the factor of the one before it
    assert lr[-1][0] == pytest.approx(0.01 * ((1 - 3 / 5) * 0.99 + 0.01))


def test_a_longer_training_keeps_the_last_factor_and_warns() -> None:
    runner = fake_runner({'per_epoch': 2, 'epochs': 6})
    hook = YOLOv5ParamSchedulerHook(max_epochs=2, warmup_epochs=0, warmup_mim_iter=0)
    lr, _ = drive(hook, runner, 6)
    assert lr[-1][0] == pytest.approx(0.01 * 0.01)
    assert min(value for row in lr for value in row) > 0
    assert '2 epochs' in runner.logger.warning.call_args.args[0]


def test_it_runs_before_the_stock_hooks() -> None:
    assert YOLOv5ParamSchedulerHook.priority == 9


@pytest.mark.parametrize(
    ('settings', 'words'),
    [
        ({'scheduler_type': 'poly'}, "'poly'; choose one of linear, cosine"),
        ({'max_epochs': 0}, 'max_epochs is 0'),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        YOLOv5ParamSchedulerHook(**settings)
