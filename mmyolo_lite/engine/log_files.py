"""Log files on a full disk: one warning in place of a traceback a line."""

import logging
import sys
from contextlib import suppress
from typing import Any


def guard_log_files(logger: logging.Logger) -> None:
    """Have the file handlers of a logger give up, with one line on stderr, when the file cannot be
    written.
    """
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = _GiveUp(logger, handler)  # type: ignore[method-assign]


class _GiveUp:
    """Takes a handler out of its logger."""

    def __init__(self, logger: logging.Logger, handler: logging.FileHandler) -> None:
        self.logger, self.handler = logger, handler

    def __call__(self, record: Any) -> None:
        error = sys.exc_info()[1]
        self.logger.removeHandler(self.handler)
        with suppress(OSError, ValueError):
            self.handler.close()  # what it could not write is lost
        reason = getattr(error, 'strerror', None) or error
        print(
            f'warning: the log {self.handler.baseFilename} cannot be written ({reason}), and ends '
            'here; the run goes on.',
            file=sys.stderr,
        )
