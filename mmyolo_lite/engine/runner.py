"""Building a runner from a config, and running it."""

import logging
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger, print_log
from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from mmengine.visualization import Visualizer

from mmyolo_lite.compat.log_noise import is_for_users
from mmyolo_lite.engine.build_errors import config_errors
from mmyolo_lite.engine.checks import LOADERS, check_config
from mmyolo_lite.engine.hooks.checkpoint_fit import CheckpointFitHook
from mmyolo_lite.engine.hooks.exact_epochs import ExactEpochsHook
from mmyolo_lite.engine.hooks.finite_loss import FiniteLossHook
from mmyolo_lite.engine.hooks.results_csv import ResultsCsvHook
from mmyolo_lite.engine.hooks.resume_notes import ResumeNotesHook
from mmyolo_lite.engine.hooks.sync_buffers import SyncModelBuffersHook
from mmyolo_lite.engine.hooks.validation_time import register_validation_time
from mmyolo_lite.engine.log_files import guard_log_files
from mmyolo_lite.engine.newest_checkpoint import newest_checkpoint
from mmyolo_lite.engine.processes import join_processes, lost_processes
from mmyolo_lite.engine.run_errors import run_errors
from mmyolo_lite.engine.stop_signals import StopSignals
from mmyolo_lite.engine.train_loop import LeaveValidationHook, SteadyTrainLoop
from mmyolo_lite.engine.watching import check_backends
from mmyolo_lite.startup import settle
from mmyolo_lite.visualization.guarded_backend import guard_backends

_MMENGINES_HOOKS = {
    *('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint'),
}
_EPOCH_LOOPS = ('EpochBasedTrainLoop', 'mmengine.EpochBasedTrainLoop', EpochBasedTrainLoop)


class SteadyRunner(Runner):
    """mmengine's runner, whose visualization backends may fail without ending the run, which
    resumes from the newest checkpoint that is whole, and which may stop at any iteration of a
    training by epochs.
    """

    _load_from: str | None
    _resume: bool

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger, which leaves out what is for programmers of mmengine."""
        logger = super().build_logger(*args, **kwargs)
        logger.addFilter(is_for_users)
        return logger

    def build_visualizer(self, visualizer: Any = None) -> Visualizer:
        """Build the visualizer and guard its backends."""
        built = super().build_visualizer(visualizer)
        guard_backends(built, resumes=bool(self.cfg.get('resume')))
        return built

    def build_train_loop(self, loop: Any) -> BaseLoop:
        """Build the loop, one of ours in the place of mmengine's for training by epochs."""
        if isinstance(loop, dict):
            kind = loop.get('type')
            by_epoch = loop.get('by_epoch', kind is None and 'max_epochs' in loop)
            if by_epoch or kind in _EPOCH_LOOPS:
                fields = {key: value for key, value in loop.items() if key != 'by_epoch'}
                loop = {**fields, 'type': SteadyTrainLoop}
        return super().build_train_loop(loop)

    def load_or_resume(self) -> None:
        """Load or resume a checkpoint.

        Raises:
            CheckpointError: it is damaged or does not fit; of several, all are damaged.
        """
        if self._resume and self._load_from is None and not self._has_loaded:
            newest = newest_checkpoint(Path(self.work_dir))
            if newest is None:
                start = self.cfg.get('start_from')
                print_log(
                    f'no checkpoint in {self.work_dir}: training starts from '
                    f'{start or "the beginning"}',
                    'current',
                    logging.WARNING,
                )
                if start is None:
                    return
                self._resume = False
            self._load_from = str(newest or start)
        super().load_or_resume()


def build_runner(config: Config) -> Runner:
    """Check a config and build its runner; data and weights are read when the runner starts.

    Raises:
        ConfigError: a field or a type that nobody knows, or a visualization backend that does
            not start.
        DependencyError: the package of a visualization backend is missing.
    """
    check_config(config)
    check_backends(config)
    _leave_out_hooks(config)
    if get_device() == 'cpu':
        for loader in filter(None, map(config.get, LOADERS)):
            loader.pop('pin_memory', None)  # PyTorch warns of it at every epoch
    settings = config.get('env_cfg', {}).get('dist_cfg')
    join_processes(config.get('launcher', 'none'), settings)
    with config_errors(config):
        build = RUNNERS.build if 'runner_type' in config else SteadyRunner.from_cfg
        runner = build(config)
    guard_log_files(runner.logger)
    register_validation_time(runner)
    settle()
    return runner


def _leave_out_hooks(config: Config) -> None:
    """Leave out default hooks that are None; mmengine knows that form of its own ones only."""
    hooks = config.get('default_hooks') or {}
    if 'finite_loss' in hooks and hooks['finite_loss'] is None:
        hooks['finite_loss'] = {'type': 'FiniteLossHook', 'enabled': False}
    for name in [name for name, hook in hooks.items() if hook is None]:
        if name not in _MMENGINES_HOOKS:
            del hooks[name]


def train(config: Config) -> Any:
    """Train as `config` says and return the model.

    Ctrl-C and SIGTERM save and leave behind the current iteration; see
    :class:`~mmyolo_lite.engine.stop_signals.StopSignals`.

    Raises:
        UserError: config, data or checkpoint are wrong, memory or a disk is full, a loss is not
            finite.
        Interrupted: the training was stopped by a signal.
    """
    with StopSignals() as signals, run_errors(config), lost_processes():
        signals.work_dir = Path(config.work_dir) if config.get('work_dir') else None
        runner = build_runner(config)
        runner.register_hook(CheckpointFitHook(strict=False))
        runner.register_hook(SyncModelBuffersHook())
        runner.register_hook(ResultsCsvHook())
        runner.register_hook(ExactEpochsHook())
        runner.register_hook(ResumeNotesHook())
        runner.register_hook(LeaveValidationHook())
        if not any(isinstance(hook, FiniteLossHook) for hook in runner.hooks):
            runner.register_hook(FiniteLossHook())
        with config_errors(config):
            if isinstance(runner.train_loop, SteadyTrainLoop):
                runner.train_loop.signals = signals
            return runner.train()


def test(config: Config) -> dict[str, float]:
    """Test as `config` says and return the metrics.

    Raises:
        UserError: config, data or checkpoint are wrong, memory or a disk is full.
    """
    with run_errors(config), lost_processes():
        runner = build_runner(config)
        runner.register_hook(CheckpointFitHook())
        with config_errors(config):
            metrics = runner.test()
        hook = (config.get('default_hooks') or {}).get('visualization') or {}
        if hook.get('draw') and hook.get('test_out_dir'):
            folder = Path(runner.work_dir) / runner.timestamp / hook['test_out_dir']
            print_log(f'pictures: {folder}', 'current')
        return metrics
