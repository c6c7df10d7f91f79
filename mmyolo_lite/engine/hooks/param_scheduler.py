"""The YOLOv5 schedule: warm-up by iteration, then a fall by epoch (spec: loss.md 9)."""

import math
from collections.abc import Callable
from typing import Any

from mmengine.hooks import ParamSchedulerHook
from mmengine.runner import Runner

from mmyolo_lite.engine.optimizer import BIAS_GROUP, KINDS
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import HOOKS


def linear_factor(epoch: int, max_epochs: int, final: float) -> float:
    """Fall from 1 to `final` in a straight line."""
    return (1 - epoch / max_epochs) * (1 - final) + final


def cosine_factor(epoch: int, max_epochs: int, final: float) -> float:
    """Fall from 1 to `final` along half a cosine."""
    return 1 + (final - 1) * (1 - math.cos(math.pi * epoch / max_epochs)) / 2


FACTORS: dict[str, Callable[[int, int, float], float]] = {
    'linear': linear_factor,
    'cosine': cosine_factor,
}


@HOOKS.register_module()
class YOLOv5ParamSchedulerHook(ParamSchedulerHook):
    """Set learning rate and momentum; takes the place of mmengine's hook, with ``param_scheduler =
    None``.

    During warm-up both move at every iteration towards the epoch's target; after it the learning
    rate changes between epochs only, and epoch e + 1 runs with the factor of epoch e.

    Args:
        scheduler_type: 'linear' or 'cosine'.
        lr_factor: the last factor.
        max_epochs: epochs over which the learning rate falls; None takes those of the training.
        warmup_epochs: length of the warm-up in epochs.
        warmup_bias_lr: learning rate that biases start from; all others start from 0.
        warmup_momentum: momentum at the start.
        warmup_mim_iter: the warm-up lasts at least so many iterations.
        warmup_min_iter: the same, spelt right; wins if both are given.

    Raises:
        ConfigError: an unknown `scheduler_type`, or `max_epochs` below 1.
    """

    priority = 9

    def __init__(
        self,
        scheduler_type: str = 'linear',
        lr_factor: float = 0.01,
        max_epochs: int | None = None,
        warmup_epochs: float = 3,
        warmup_bias_lr: float = 0.1,
        warmup_momentum: float = 0.8,
        warmup_mim_iter: int = 1000,
        warmup_min_iter: int | None = None,
    ) -> None:
        if scheduler_type not in FACTORS:
            raise ConfigError(
                f'default_hooks.param_scheduler.scheduler_type is {scheduler_type!r}; '
                f'choose one of {", ".join(FACTORS)}.'
            )
        if max_epochs is not None and max_epochs < 1:
            raise ConfigError(
                f'default_hooks.param_scheduler.max_epochs is {max_epochs}; it must be at least 1.'
            )
        self.factor = FACTORS[scheduler_type]
        self.lr_factor = lr_factor
        self._configured_epochs, self.max_epochs = max_epochs, max_epochs or 1
        self.warmup_epochs = warmup_epochs
        self.warmup_bias_lr, self.warmup_momentum = warmup_bias_lr, warmup_momentum
        self.warmup_min_iter = warmup_mim_iter if warmup_min_iter is None else warmup_min_iter
        self._base_lr: list[float] = []
        self._base_momentum: list[float] = []
        self._warmup_ended = False

    def warmup_iters(self, iters_per_epoch: int) -> int:
        """Return the length of the warm-up in iterations."""
        return max(round(self.warmup_epochs * iters_per_epoch), self.warmup_min_iter)

    def before_train(self, runner: Runner) -> None:
        """Remember the base values, in the groups too, so that checkpoints carry them."""
        self._base_lr, self._base_momentum = [], []
        for group in runner.optim_wrapper.param_groups:
            group.setdefault('initial_lr', group['lr'])
            group.setdefault('initial_momentum', group.get('momentum', -1))
            self._base_lr.append(group['initial_lr'])
            self._base_momentum.append(group['initial_momentum'])
        self.max_epochs = self._configured_epochs or runner.max_epochs
        self._warn(runner)

    def _warn(self, runner: Runner) -> None:
        """Warn of a schedule that does not fit the length of the training."""
        if self.max_epochs != runner.max_epochs:
            runner.logger.warning(
                f'The learning rate falls over {self.max_epochs} epochs, but the training has '
                f'{runner.max_epochs}. Leave default_hooks.param_scheduler.max_epochs out, and it '
                'follows train_cfg.max_epochs.'
            )
        warmup, total = self.warmup_iters(len(runner.train_dataloader)), runner.max_iters
        if warmup > total / 2:
            runner.logger.warning(
                f'The warm-up takes {warmup} iterations, more than half of all {total}. On little '
                'data set default_hooks.param_scheduler.warmup_mim_iter to a smaller number.'
            )

    def _factor(self, epoch: int) -> float:
        """Return the factor of an epoch; after the last one it stays."""
        return self.factor(min(epoch, self.max_epochs), self.max_epochs, self.lr_factor)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set learning rate and momentum while the warm-up lasts."""
        warmup = self.warmup_iters(len(runner.train_dataloader))
        if runner.iter > warmup:
            self._warmup_ended = True
            return
        progress = runner.iter / warmup if warmup else 1.0
        factor = self._factor(runner.epoch)
        for index, group in enumerate(runner.optim_wrapper.param_groups):
            start = self._warmup_start(index)
            group['lr'] = start + (self._base_lr[index] * factor - start) * progress
            if 'momentum' in group:
                group['momentum'] = (
                    self.warmup_momentum
                    + (self._base_momentum[index] - self.warmup_momentum) * progress
                )

    def _warmup_start(self, index: int) -> float:
        """Return the learning rate that a group warms up from; it is multiplied as its target
        is.
        """
        if index % KINDS != BIAS_GROUP:
            return 0.0
        usual = self._base_lr[BIAS_GROUP]
        return self.warmup_bias_lr * (self._base_lr[index] / usual if usual else 1.0)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Do nothing: the schedule moves before iterations and after epochs."""

    def after_train_epoch(self, runner: Runner) -> None:
        """Set the learning rate of the next epoch once the warm-up is over."""
        if self._warmup_ended:
            factor = self._factor(runner.epoch)
            for base, group in zip(self._base_lr, runner.optim_wrapper.param_groups, strict=True):
                group['lr'] = base * factor

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Do nothing: the schedule does not look at metrics."""
