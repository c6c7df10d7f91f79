"""Trainings that are started, killed and resumed, in processes forked from one that has imported
the frameworks.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.shared_data import REPO
from tests.tools.warm_process import run_child

SIGNALS = {'kill': signal.SIGKILL, 'term': signal.SIGTERM, 'int': signal.SIGINT}
ENDS = {'kill': -9, 'term': 143, 'int': 130}
POLL_S = 0.0005
LIMIT_S = 0.1


@dataclass
class Training:
    """The command line of a training, and how long it takes.

    Attributes:
        config: path of the config.
        work_dir: of the training.
        options: for ``--cfg-options``.
        log: file for what it prints.
        start_s: seconds from its start to the first iteration, once it has run.
    """

    config: Path
    work_dir: Path
    log: Path
    options: list[str] = field(default_factory=list)
    start_s: float = 0.0

    def start(self, resume: bool = False) -> int:
        """Start it; return the id of its process."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        arguments = [str(self.config), '--work-dir', str(self.work_dir)]
        arguments += ['--resume'] * resume
        arguments += ['--cfg-options', *self.options] if self.options else []
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            run_child(
                {
                    'argv': [str(REPO / 'tools/train.py'), *arguments],
                    'cwd': str(REPO),
                    'out': str(self.log),
                    'err': str(self.log.with_suffix('.err')),
                }
            )
        return child

    def run(self, resume: bool = False) -> float:
        """Run it to its end; return the seconds.

        Raises:
            RuntimeError: it fails.
        """
        started = time.monotonic()
        child = self.start(resume)
        self.start_s = 0.0
        while (code := ended(child)) is None:
            if not self.start_s and any(self.work_dir.glob('*/vis_data/scalars.json')):
                self.start_s = time.monotonic() - started
            time.sleep(0.02)
        if code:
            raise RuntimeError(f'exit code {code}: {self.log.with_suffix(".err").read_text()}')
        return time.monotonic() - started


def wait(child: int) -> int:
    """Return the exit code of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def ended(child: int) -> int | None:
    """Return the exit code of a child, None while it runs."""
    found, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def stop_when(
    training: Training, kind: str, is_time: Callable[[], bool], resume: bool
) -> int | None:
    """Start a training, send it a signal once `is_time` says so, and wait for its end.

    Returns:
        Its exit code if the signal came before its end, None if it was complete before.

    Raises:
        RuntimeError: it failed by itself, or the signal ended it in another way than it should.
    """
    child = training.start(resume)
    while (code := ended(child)) is None and not is_time():
        time.sleep(POLL_S)
    error_file = training.log.with_suffix('.err')
    errors = error_file.read_text() if error_file.exists() else ''
    if code is None:
        with suppress(ProcessLookupError):
            os.kill(child, SIGNALS[kind])
        code = wait(child)
    if kind != 'kill':  # behind that, workers may tell that their parent is gone
        errors = error_file.read_text()
    if code == 0:
        return None
    if code not in (ENDS[kind], -SIGNALS[kind]) or 'Traceback' in errors:
        raise RuntimeError(f'exit code {code} behind SIG{kind.upper()}:\n{errors[-4000:]}')
    return code


def either(aim: Callable[[], bool], limit: Callable[[], bool]) -> Callable[[], bool]:
    """Say yes where `aim` does, or `limit`, which takes long and is asked now and then."""
    asked = time.monotonic()

    def is_time() -> bool:
        nonlocal asked
        if aim():
            return True
        if time.monotonic() - asked < LIMIT_S:
            return False
        asked = time.monotonic()
        return limit()

    return is_time


def at(seconds: float) -> Callable[[], bool]:
    """Say yes from so many seconds on."""
    due = time.monotonic() + seconds
    return lambda: time.monotonic() >= due


def in_a_write(work_dir: Path, chooser: random.Random, behind: int) -> Callable[[], bool]:
    """Say yes while a checkpoint is being written, the one behind `behind` others, at a random
    instant of it.
    """
    before = set(_parts(work_dir))
    seen: set[str] = set()
    delay = chooser.uniform(0, 0.02)
    due: list[float] = []

    def is_time() -> bool:
        if due:
            return time.monotonic() >= due[0]
        seen.update(set(_parts(work_dir)) - before)
        if len(seen) > behind:
            due.append(time.monotonic() + delay)
        return False

    return is_time


def _parts(work_dir: Path) -> list[str]:
    with os.scandir(work_dir) as entries:
        return [one.name for one in entries if '.part' in one.name and one.name.endswith('.pth')]
