"""The exceptions that a user of mmyolo_lite sees.

Each message says what was wrong (the value), where (file, key or image) and what to do about it.
The command lines print such a message alone, without a traceback, and exit with code 1
(:func:`mmyolo_lite.apis.cli`).
"""


class UserError(Exception):
    """Something outside the code is wrong: a config, a file, the environment."""


class ConfigError(UserError, ValueError):
    """A config names something unknown, or sets a value that cannot work."""


class DataError(UserError, ValueError):
    """Images or annotations are missing, damaged or do not fit the config."""


class CheckpointError(UserError, RuntimeError):
    """A checkpoint is missing, damaged, unsafe to load or does not fit the model."""


class DependencyError(UserError, ImportError):
    """A package is missing or too old; the message holds the pip line."""


class Interrupted(KeyboardInterrupt):
    """A run was stopped from outside, by Ctrl-C or SIGTERM, and left in order.

    Args:
        message: what is saved and how to go on; '' says nothing.
        signal_number: what stopped it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
