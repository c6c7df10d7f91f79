"""Training by epochs that can be stopped and resumed at any iteration."""

import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from mmyolo_lite.engine.hooks.checkpoint import CheckpointHook, save_interrupted
from mmyolo_lite.engine.hooks.finite_loss import NotFiniteError
from mmyolo_lite.engine.hooks.results_csv import has_scores
from mmyolo_lite.engine.loop_position import Position, round_behind
from mmyolo_lite.engine.stop_signals import NAMES, StopSignals, largest_of_processes
from mmyolo_lite.errors import Interrupted


class SteadyTrainLoop(EpochBasedTrainLoop):
    """mmengine's loop, with its arguments, that obeys signals behind the current iteration, begins
    in the middle of an epoch, and makes up for a validation that a resumed run was killed in.
    """

    signals: StopSignals | None = None
    """What may stop it; None for nothing."""
    saving: Position | None = None
    """What the checkpoint that is being written holds."""
    resumed: Position | None = None
    """What the checkpoint held that was resumed from, while its epoch lasts."""

    @property
    def done(self) -> int:
        """Batches of the current epoch that an earlier run has trained on."""
        return self.resumed.done if self.resumed is not None else 0

    def begin_at(self, position: Position | None) -> None:
        """Take up the position that a resumed checkpoint holds."""
        self.resumed = None
        if position is None:
            return
        if position.fits(self.dataloader):
            self.resumed = position
            return
        print_log(
            f'The checkpoint was saved in the middle of an epoch of {position.batches} batches in '
            f'{position.world_size} processes; now there are {len(self.dataloader)} in '
            f'{get_world_size()}. That epoch starts again.',
            'current',
            logging.WARNING,
        )

    def run(self) -> nn.Module:
        """Train."""
        self.runner.call_hook('before_train')
        signals = self.signals or StopSignals()
        with signals.waiting():
            if self._lacks_validation():
                print_log(
                    f'The validation of epoch {self._epoch} is missing, and comes first.', 'current'
                )
                self._validate()
            while self._epoch < self._max_epochs and not self.stop_training:
                self.run_epoch()
                self._decide_current_val_interval()
                if self._validates():
                    self._validate()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train an epoch, or the rest of one."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        begin, count = self.done, len(self.dataloader)
        batches = round_behind(self.dataloader, begin)
        if self.resumed is not None:
            self.resumed.restore_state(self.runner)
        index = begin
        while (batch := self._fetch(batches, index)) is not None:
            self._step(index, batch)
            index += 1
            if index < count:
                self._stop_if_asked(index)
        self.resumed = None
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self._stop_if_asked(0)

    def _step(self, index: int, batch: Any) -> None:
        """Train on a batch; where the loss of any process is not finite, all stop."""
        failed: NotFiniteError | None = None
        try:
            self.run_iter(index, batch)
        except NotFiniteError as error:
            failed = error
        if largest_of_processes(failed is not None) and failed is None:
            raise NotFiniteError('The loss of another process is not finite; see its message.')
        if failed is not None:
            raise failed

    def _fetch(self, batches: Iterator[Any], done: int) -> Any:
        """Return the next batch, None behind the last one."""
        try:
            return next(batches, None)
        except RuntimeError:
            # a signal to all processes has ended the workers, which nothing else waits for
            if get_world_size() == 1:
                self._stop_if_asked(done)
            raise

    def _validates(self) -> bool:
        """Say whether the epoch that was trained last is validated."""
        return (
            self.runner.val_loop is not None
            and self._epoch >= self.val_begin
            and (self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs)
        )

    def _lacks_validation(self) -> bool:
        """Say whether a resumed run was stopped between an epoch and the end of its validation."""
        if not self._epoch or self.done:
            return False
        self._decide_current_val_interval()
        return self._validates() and not has_scores(self.runner, self._epoch)

    def _validate(self) -> None:
        try:
            self.runner.val_loop.run()
        except _ValidationLeft:
            for hook in self.runner.hooks:
                if isinstance(hook, EMAHook):
                    hook.after_val_epoch(self.runner)  # takes the averaged weights out again
        self._stop_if_asked(0)

    def _stop_if_asked(self, done: int) -> None:
        """Save and leave, if a signal came to any process.

        Args:
            done: batches of the current epoch that are trained on.

        Raises:
            Interrupted: it did.
        """
        number = self.signals.agreed() if self.signals is not None else 0
        # the checkpoint would not hold gradients that are being accumulated
        if not number or (done and not self._is_updated()):
            return
        path = self._just_saved()
        if path is None:
            # between two epochs there is none: each begins with random numbers of its own
            self.saving = Position.now(done, self.runner) if done else None
            path = save_interrupted(self.runner)
        barrier()  # a launcher kills all when one is gone
        place = f'in epoch {self._epoch + 1} behind iteration {done} of {len(self.dataloader)}'
        if not done:
            place = f'behind epoch {self._epoch}'
        text = f'Stopped by {NAMES[signal.Signals(number)]} {place}; --resume goes on from {path}.'
        raise Interrupted(text if is_main_process() else '', number)

    def _is_updated(self) -> bool:
        should_update = getattr(self.runner.optim_wrapper, 'should_update', None)
        return should_update is None or should_update()

    def _just_saved(self) -> Path | None:
        """Return the checkpoint of this very iteration, if there is one."""
        for hook in self.runner.hooks:
            if isinstance(hook, CheckpointHook) and hook.saved_at == (self._epoch, self._iter):
                return Path(hook.last_ckpt or '')
        return None


class _ValidationLeft(Exception):
    """A validation is left in the middle."""


class LeaveValidationHook(Hook):
    """Leave a validation when a signal has come.

    Several processes validate to the end, since their numbers of batches may differ, and obey then.
    """

    priority = 'LOWEST'

    def after_val_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Leave."""
        signals = getattr(runner.train_loop, 'signals', None)
        if signals is not None and signals.received and get_world_size() == 1:
            raise _ValidationLeft
