"""What mmengine's runner logs for its programmers alone, in every run.

Can go when mmengine's checkpoint hook no longer asks its own deprecated ``FileClient``.
"""

import logging

FOR_PROGRAMMERS = (
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias of "LocalBackend"',
)


def is_for_users(record: logging.LogRecord) -> bool:
    """Say whether a record belongs into the log of a run; a filter of loggers."""
    return not record.getMessage().startswith(FOR_PROGRAMMERS)
