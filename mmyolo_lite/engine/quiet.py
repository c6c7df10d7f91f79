"""Fewer words in the log."""

import contextlib
import logging
from collections.abc import Iterator

from mmengine.logging import MMLogger


@contextlib.contextmanager
def errors_alone() -> Iterator[None]:
    """Let nothing below an error through mmengine's log while the body runs."""
    logger: MMLogger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
