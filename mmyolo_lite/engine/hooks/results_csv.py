"""One row an epoch of everything that a training says: rates, losses, scores."""

import csv
import io
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner

from mmyolo_lite.datasets.file_io import read_file, write_text
from mmyolo_lite.errors import DataError
from mmyolo_lite.registry import HOOKS

FILE_NAME = 'results.csv'
FIRST = ('epoch', 'iter', 'lr')
LAST = ('time',)
NOT_LOGGED = ('time', 'data_time', 'memory', 'lr', 'base_lr')

Row = dict[str, float | None]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a results.csv; None where a cell is empty or no number.

    Raises:
        DataError: the file cannot be read, or has no column "epoch" or "iter".
    """
    try:
        lines = list(csv.DictReader(io.StringIO(read_file(path).decode('utf-8-sig'))))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f'{path}: cannot be read ({error})') from error
    rows = [
        {name: _number(cell) for name, cell in line.items() if isinstance(name, str)}
        for line in lines
    ]
    for row in rows:
        if row.get('epoch') is None or row.get('iter') is None:
            raise DataError(f'{path} is no results.csv of a training: a row has no epoch or iter')
    return rows


def _number(cell: Any) -> float | None:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def as_csv(rows: Sequence[Mapping[str, float | None]]) -> str:
    """Return rows as text; the columns are those of all rows."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    middle = [name for name in names if name not in FIRST + LAST]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    columns = [*FIRST, *middle, *LAST]
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in columns])
    return out.getvalue()


def _cell(value: float | None) -> str:
    return '' if value is None else f'{value:.6g}' if value != int(value) else str(int(value))


@HOOKS.register_module()
class ResultsCsvHook(Hook):
    """Write ``results.csv`` in the work dir: a row an epoch, whole at any time.

    A row has the epoch and iteration (both from 1), the learning rate of the first group of
    parameters at the end of the epoch, the mean of each loss over the epoch, the scores of a
    validation behind it, and the seconds that training the epoch took. After a resume the rows up
    to there stay. In a training by iterations there is a row a validation in place of an epoch.
    A file that cannot be written is warned of once, and stops nothing.
    """

    priority = 'LOW'  # behind what logs

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._failed = False
        self._started = 0.0
        self._begin = 0  # iterations before this row

    def before_train(self, runner: Runner) -> None:
        """Take up the rows before the epoch that a resumed training starts with."""
        self._rows, self._failed = [], False
        self._started, self._begin = time.perf_counter(), runner.iter
        path = Path(runner.work_dir, FILE_NAME)
        if not is_main_process() or not runner.iter or not path.is_file():
            return
        try:
            kept = read_rows(path)
        except DataError as error:
            self._warn(f'{error}; it starts anew')
            return
        key, done = ('epoch', runner.epoch) if is_by_epoch(runner) else ('iter', runner.iter)
        self._rows = [row for row in kept if (row[key] or 0) <= done]

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clock."""
        self._started, self._begin = time.perf_counter(), runner.iter
        done = getattr(runner.train_loop, 'done', 0)  # of this epoch, by an earlier run
        if done:
            self._begin -= done
            times = runner.message_hub.log_scalars.get('train/time')
            self._started -= sum(times.data[0][-done:]) if times is not None else 0

    def after_train_epoch(self, runner: Runner) -> None:
        """Add the row of an epoch."""
        if is_by_epoch(runner):
            self._add_row(runner, runner.epoch + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        """Add the row of the iterations before a validation, in a training by iterations."""
        epoch, iteration = progress(runner)
        if iteration > self._begin and not is_by_epoch(runner):
            self._add_row(runner, epoch)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Add the scores of a validation to the last row."""
        if self._rows and metrics:
            self._rows[-1].update(
                {name: as_number(value) for name, value in metrics.items() if is_number(value)}
            )

    def after_val(self, runner: Runner) -> None:
        """Write them: behind all other hooks, so that scores in the file say that the validation is
        complete, its best checkpoint included.
        """
        if self._rows:
            self._write(runner)

    def after_train(self, runner: Runner) -> None:
        """Add the row of the last iterations, in a training by iterations."""
        if not is_by_epoch(runner) and runner.iter > self._begin:
            self._add_row(runner, runner.epoch)

    def _add_row(self, runner: Runner, epoch: int) -> None:
        if not is_main_process():
            return
        count = runner.iter - self._begin
        row: Row = {'epoch': epoch, 'iter': runner.iter, 'lr': None}
        for name, buffer in runner.message_hub.log_scalars.items():
            prefix, _, item = name.partition('/')
            if prefix != 'train' or not len(buffer.data[0]):
                continue
            if item == 'lr':
                row['lr'] = as_number(buffer.current())
            elif item not in NOT_LOGGED and count:
                row[name] = as_number(buffer.mean(min(count, len(buffer.data[0]))))
        now = time.perf_counter()
        row['time'] = round(now - self._started, 2)
        self._started, self._begin = now, runner.iter
        self._rows.append(row)
        self._write(runner)

    def _write(self, runner: Runner) -> None:
        if not is_main_process():
            return
        try:
            write_text(as_csv(self._rows), Path(runner.work_dir, FILE_NAME))
        except Exception as error:
            self._warn(f'{error}; the training goes on')

    def _warn(self, text: str) -> None:
        if not self._failed:
            print_log(text, 'current', logging.WARNING)
        self._failed = True


def has_scores(runner: Runner, epoch: int) -> bool:
    """Say whether the file in the work dir has the scores of a validation behind `epoch`, from 1;
    to be called by all processes.
    """
    answer = [False]
    if is_main_process():
        try:
            rows = read_rows(Path(runner.work_dir, FILE_NAME))
        except DataError:
            rows = []
        known = FIRST + LAST
        answer[0] = any(
            value is not None and name not in known and not name.startswith('train/')
            for row in rows
            if row['epoch'] == epoch
            for name, value in row.items()
        )
    broadcast_object_list(answer)
    return answer[0]


def progress(runner: Runner) -> tuple[int, int]:
    """Return the epochs and iterations done; 0 of a test, where asking the runner itself would
    read the training set.
    """
    loop = runner._train_loop
    return (loop.epoch, loop.iter) if isinstance(loop, BaseLoop) else (0, 0)


def is_by_epoch(runner: Runner) -> bool:
    """Say whether a training counts epochs, not iterations."""
    return isinstance(runner.train_loop, EpochBasedTrainLoop)


def is_number(value: Any) -> bool:
    """Say whether a logged value, a number or an array or tensor of one, can stand in a cell."""
    try:
        float(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True


def as_number(value: Any) -> float | None:
    """Return a logged value; None where it is not finite."""
    number = float(value)
    return number if math.isfinite(number) else None
