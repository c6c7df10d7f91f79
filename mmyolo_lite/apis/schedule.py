"""The learning rate or momentum over a training, computed without training."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import nn

from mmyolo_lite import registry
from mmyolo_lite.apis.datasets import build_datasets
from mmyolo_lite.engine.build_errors import config_errors
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.visualization.curve_files import save_lines

PARAMETERS = ('lr', 'momentum')
GROUPS = ('weights', 'norms', 'biases')


@dataclass(frozen=True)
class Schedule:
    """What a training would do.

    Attributes:
        values: by group of parameters, one value an iteration.
        iterations_per_epoch: of the training set.
        epochs: of the training.
    """

    values: dict[str, list[float]]
    iterations_per_epoch: int
    epochs: int


def iterations_per_epoch(config: Any, num_images: int | None, num_processes: int) -> int:
    """Return the batches of an epoch of one process.

    Args:
        config: of the training.
        num_images: of the training set; None counts those of the config's data.
        num_processes: that share the data.

    Raises:
        ConfigError: an argument cannot be.
        DataError: the annotations are unusable.
    """
    if num_images is None:
        num_images = sum(map(len, build_datasets(config)))
    if num_images < 1 or num_processes < 1:
        raise ConfigError(
            f'A schedule needs images and processes; got --dataset-size {num_images}, --ngpus '
            f'{num_processes}'
        )
    share = -(-num_images // num_processes)  # samplers give each process as many, some twice
    whole, rest = divmod(share, config.train_dataloader.get('batch_size', 1))
    return max(whole + bool(rest and not config.train_dataloader.get('drop_last')), 1)


def schedule(config: Any, per_epoch: int, parameter: str = 'lr') -> Schedule:
    """Run the schedulers of a config on a network of two layers.

    Args:
        config: of a training by epochs.
        per_epoch: iterations of an epoch.
        parameter: one of :data:`PARAMETERS`.

    Raises:
        ConfigError: the config trains otherwise, or its optimizer lacks the parameter.
    """
    epochs = (config.get('train_cfg') or {}).get('max_epochs')
    if epochs is None:
        raise ConfigError('The config has no train_cfg.max_epochs: there is no schedule by epochs.')
    if type(epochs) is not int or epochs < 1:
        raise ConfigError(
            f'train_cfg.max_epochs is {epochs!r}; it must be a whole number of at least 1'
        )
    init_default_scope(config.get('default_scope', registry.SCOPE))
    tiny = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    settings = deepcopy(config.optim_wrapper)
    # rates of single layers follow these, times their lr_mult; the tiny network has no such layers
    (settings.get('paramwise_cfg') or {}).pop('custom_keys', None)
    with config_errors(config):
        wrapper = build_optim_wrapper(tiny, settings)
        steps = list(_schedulers(config, wrapper, per_epoch))
    groups = wrapper.optimizer.param_groups
    if parameter not in groups[0]:
        known = ', '.join(name for name in PARAMETERS if name in groups[0])
        raise ConfigError(f'The optimizer has no {parameter}; it has {known}.')
    runner = SimpleNamespace(
        optim_wrapper=wrapper,
        max_epochs=epochs,
        max_iters=epochs * per_epoch,
        train_dataloader=range(per_epoch),
        logger=MMLogger.get_current_instance(),
        epoch=0,
        iter=0,
    )
    values = _run(steps, runner, parameter)
    names = GROUPS if len(groups) == len(GROUPS) else [f'group {i}' for i in range(len(groups))]
    return Schedule(dict(zip(names, values, strict=True)), per_epoch, epochs)


def _run(steps: list[Any], runner: Any, parameter: str) -> list[list[float]]:
    """Call schedulers where a training would; return the parameter of each group by iteration."""
    groups = runner.optim_wrapper.optimizer.param_groups
    values: list[list[float]] = [[] for _ in groups]
    for step in steps:
        step.before_train(runner)
    runner.optim_wrapper.step()  # without gradients: mmengine wants one before its own steps
    for epoch in range(runner.max_epochs):
        runner.epoch = epoch
        for batch in range(len(runner.train_dataloader)):
            for step in steps:
                step.before_train_iter(runner, batch)
            for group, series in zip(groups, values, strict=True):
                series.append(group[parameter])
            for step in steps:
                step.after_train_iter(runner, batch)
            runner.iter += 1
        for step in steps:
            step.after_train_epoch(runner)
    return values


class _Mmengine:
    """One of mmengine's schedulers, called at the points where its hook calls it."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    def before_train(self, runner: Any) -> None:
        """Do nothing."""

    def before_train_iter(self, runner: Any, batch_idx: int) -> None:
        """Do nothing."""

    def after_train_iter(self, runner: Any, batch_idx: int) -> None:
        """Step, if it goes by iterations."""
        if not self.scheduler.by_epoch:
            self.scheduler.step()

    def after_train_epoch(self, runner: Any) -> None:
        """Step, if it goes by epochs."""
        if self.scheduler.by_epoch:
            self.scheduler.step()


def _schedulers(config: Any, wrapper: OptimWrapper, per_epoch: int) -> Iterator[Any]:
    """Yield what sets the parameters: the hook of the config, or mmengine's schedulers."""
    hook = (config.get('default_hooks') or {}).get('param_scheduler')
    kind = registry.HOOKS.get(hook['type']) if hook else None
    if kind is not None and hasattr(kind, 'warmup_iters'):
        yield registry.HOOKS.build(hook)
        return
    given = config.get('param_scheduler') or []
    for one in [given] if isinstance(given, dict) else given:
        kind = registry.PARAM_SCHEDULERS.get(one['type'])
        arguments = {key: value for key, value in one.items() if key != 'type'}
        if arguments.pop('convert_to_iter_based', False):
            kind, arguments['epoch_length'] = kind.build_iter_from_epoch, per_epoch
        yield _Mmengine(kind(optimizer=wrapper, **arguments))


def save_schedule(found: Schedule, parameter: str, path: Path, title: str) -> None:
    """Draw a schedule over epochs.

    Raises:
        DataError: the file cannot be written.
    """
    epochs = [i / found.iterations_per_epoch for i in range(len(next(iter(found.values.values()))))]
    lines = {name: (epochs, values) for name, values in found.values.items()}
    # groups of the same course are one line
    unique: dict[str, tuple[list[float], list[float]]] = {}
    for name, line in lines.items():
        twin = next((known for known, other in unique.items() if other[1] == line[1]), None)
        if twin is None:
            unique[name] = line
        else:
            unique[f'{twin}, {name}'] = unique.pop(twin)
    save_lines(unique, path, title, ('epoch', parameter))
