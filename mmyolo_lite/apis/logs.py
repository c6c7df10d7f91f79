"""What the logs of trainings say: curves of chosen values, and the time of iterations."""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.visualization.curve_files import save_lines

SCALARS = '*/vis_data/scalars.json'


@dataclass
class Log:
    """The values of a training.

    Attributes:
        name: of the work dir or file.
        training: by name, iteration and value.
        validation: by name, epoch and value.
        times: by iteration, its epoch and the seconds that it took.
        last_step: the iteration of the last entry of training.
    """

    name: str
    training: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    validation: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    times: dict[int, tuple[int, float]] = field(default_factory=dict)
    last_step: int = 0


def read_log(path: Path) -> Log:
    """Read a work dir, resumed trainings included, or one ``scalars.json``.

    Where a training was resumed from an earlier iteration, the later values count.

    Raises:
        DataError: there is no log, or it is damaged.
    """
    files = sorted(path.glob(SCALARS)) if path.is_dir() else [path]
    if not files:
        raise DataError(
            f'{path} has no {SCALARS}. Give the work dir of a training that records with '
            'LocalVisBackend, or its scalars.json.'
        )
    log = Log(path.resolve().name if path.is_dir() else str(path))
    for file in files:
        _read_file(file, log)
    if not (log.training or log.validation):
        raise DataError(f'{path}: nothing is logged')
    return log


def _read_file(path: Path, log: Log) -> None:
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f'{path}: cannot be read ({error})') from error
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                continue  # a training that runs, or was killed, may be in the middle of it
            raise DataError(f'{path}, line {number}: no entry of a log ({error})') from error
        try:
            _add(entry, log)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise DataError(
                f'{path}, line {number}: no entry of a log ({type(error).__name__}: {error})'
            ) from error


def _add(entry: dict[str, Any], log: Log) -> None:
    """Add an entry to a log.

    Raises:
        ValueError, TypeError, KeyError, OverflowError: it is malformed.
    """
    step = int(entry['step'])
    is_training = 'loss' in entry or 'lr' in entry
    epoch = int(entry['epoch']) if is_training and 'epoch' in entry else None
    if is_training:
        if step <= log.last_step:
            _forget_from(log, step, epoch)
        log.last_step = step
    table = log.training if is_training else log.validation
    for name, value in entry.items():
        if isinstance(value, (int, float)) and name != 'step':
            table[name][step] = float(value)
    if epoch is not None and 'time' in entry:
        seconds = float(entry['time'])
        if not math.isfinite(seconds):
            raise ValueError(f'"time" is {seconds}')
        log.times[step] = epoch, seconds


def _forget_from(log: Log, step: int, epoch: int | None) -> None:
    """Drop what an earlier, interrupted run has logged beyond this iteration.

    Args:
        log: of the training.
        step: the first iteration of the resumed run that is logged.
        epoch: of it; None in a training by iterations, which counts validations by these too.
    """
    log.times = {known: one for known, one in log.times.items() if known <= step}
    first = step if epoch is None else epoch  # validations follow their epoch
    for table, end in ((log.training, step), (log.validation, first - 1)):
        for name, values in list(table.items()):
            table[name] = {known: value for known, value in values.items() if known <= end}
            if not table[name]:
                del table[name]


def plot_curve(logs: Sequence[Log], keys: Sequence[str], path: Path, title: str = '') -> None:
    """Draw values of one or several trainings over iterations, or over epochs for scores.

    Args:
        logs: of the trainings.
        keys: names of values, such as ``loss_mask`` or ``segm_mAP`` (of ``coco/segm_mAP``).
        path: of the picture.
        title: of it.

    Raises:
        ConfigError: nobody logs a value of that name, or losses and scores are mixed.
        DataError: the file cannot be written.
    """
    lines = {}
    kinds = set()
    for log in logs:
        for key in keys:
            values, kind = _values(log, key)
            kinds.add(kind)
            name = key if len(logs) == 1 else f'{log.name} {key}'
            lines[name] = (list(values), list(values.values()))
    if len(kinds) > 1:
        raise ConfigError(
            f'--keys {" ".join(keys)} mixes values of iterations and of epochs; draw them apart'
        )
    save_lines(lines, path, title, (kinds.pop(), ', '.join(keys)))


def _values(log: Log, key: str) -> tuple[dict[int, float], str]:
    for table, kind in ((log.training, 'iteration'), (log.validation, 'epoch')):
        for name in (key, f'coco/{key}'):
            if name in table:
                return table[name], kind
    known = sorted({*log.training, *log.validation})
    raise ConfigError(f'{log.name} logs no {key!r}; it logs {", ".join(known)}')


def time_lines(log: Log) -> list[str]:
    """Return what a training's iterations took: the slowest and fastest epoch, spread, mean.

    Raises:
        DataError: no times are logged.
    """
    by_epoch: dict[int, list[float]] = defaultdict(list)
    for epoch, seconds in log.times.values():
        by_epoch[epoch].append(seconds)
    means = {epoch: statistics.fmean(values) for epoch, values in by_epoch.items()}
    if not means:
        raise DataError(f'{log.name}: no times of iterations are logged')
    slowest, fastest = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    spread = statistics.pstdev(means.values())
    mean = statistics.fmean(seconds for _, seconds in log.times.values())
    return [
        f'{log.name}:',
        f'slowest epoch {slowest}, average time is {means[slowest]:.4f} s/iter',
        f'fastest epoch {fastest}, average time is {means[fastest]:.4f} s/iter',
        f'time std over epochs is {spread:.4f}',
        f'average iter time: {mean:.4f} s/iter',
    ]
