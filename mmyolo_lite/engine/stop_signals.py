"""Ctrl-C and SIGTERM: noted while a training is between two of its safe points, obeyed at the next
one.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size

from mmyolo_lite.engine.hooks.checkpoint import last_saved
from mmyolo_lite.errors import Interrupted

ECHO_S = 2.0
"""Launchers hand on a Ctrl-C that the terminal has sent to all processes already: a repetition in
this time is the same one, where there are several processes."""
PATIENCE_S = 20.0
"""So long processes wait for each other; launchers kill after 30 seconds."""
NAMES = {signal.SIGINT: 'Ctrl-C', signal.SIGTERM: 'SIGTERM'}


class StopSignals:
    """Notes Ctrl-C and SIGTERM within a ``with`` block.

    Inside :meth:`waiting` the first one is noted alone, and the second one leaves at once; outside
    the first one does. In other threads than the main one nothing is noted.

    Raises:
        Interrupted: from whatever runs, to leave at once.
    """

    def __init__(self) -> None:
        self.received = 0
        """The signal that came, 0 for none."""
        self.work_dir: Path | None = None
        self._since = 0.0
        self._waits = False
        self._pid = os.getpid()
        self._before: dict[int, Any] = {}
        self._watchdog: threading.Timer | None = None

    def __enter__(self) -> 'StopSignals':
        if threading.current_thread() is threading.main_thread():
            for number in NAMES:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and & set it
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop_watchdog()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let signals wait for the body to ask for them."""
        self._waits = True
        try:
            yield
        finally:
            self._waits = False

    def agreed(self) -> int:
        """Return the signal that came to this process or any other, 0 for none.

        All processes have to ask at the same time, and all get the same answer.
        """
        number = largest_of_processes(self.received)
        if number:
            self._stop_watchdog()
        return number

    def _note(self, number: int, frame: Any) -> None:
        if os.getpid() != self._pid:
            # Workers get the terminal's Ctrl-C too, and are told by the main process when to end.
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        several = get_world_size() > 1
        if self.received and several and time.monotonic() - self._since < ECHO_S:
            return
        if self.received or not self._waits:
            self._waits, self.received = True, self.received or number
            raise Interrupted(self.leave_text(number), number)
        self.received, self._since = number, time.monotonic()
        self._let_workers_end()
        name = NAMES[signal.Signals(number)]
        _say(f'{name}: stopping behind this iteration; once more stops at once')
        if several:
            self._watchdog = threading.Timer(PATIENCE_S, self._give_up, (number,))
            self._watchdog.daemon = True
            self._watchdog.start()

    def _let_workers_end(self) -> None:
        """Keep PyTorch from raising an error in the middle of a step when data-loading workers,
        which get the same signal, end.
        """
        child = getattr(signal, 'SIGCHLD', None)  # not on Windows
        if child is not None and callable(before := signal.getsignal(child)):
            self._before.setdefault(child, before)
            signal.signal(child, lambda *_: None)

    def _stop_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()

    def _give_up(self, number: int) -> None:
        """Leave when another process, which is gone, is waited for in vain."""
        _say(self.leave_text(number))
        os._exit(128 + number)

    def leave_text(self, number: int) -> str:
        """Return what a run that leaves at once says."""
        newest = last_saved(self.work_dir) if self.work_dir is not None else None
        saved = (
            f'--resume goes on from {newest}.' if newest else 'There is no checkpoint of it yet.'
        )
        return f'Stopped at once by {NAMES[signal.Signals(number)]}. {saved}'


def largest_of_processes(number: int) -> int:
    """Return the largest number of all processes, which ask at the same time."""
    if get_world_size() == 1:
        return int(number)
    largest = torch.tensor(int(number))
    all_reduce(largest, 'max')
    return int(largest)


def _say(text: str) -> None:
    """Write a line to stderr from a handler, where Python's own streams may be in use."""
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f'{text}\n'.encode())
