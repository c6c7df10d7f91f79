"""A hook that ends one process of a training."""

import os
import signal

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmyolo_lite.errors import DataError

MESSAGE = 'the second process cannot go on'


@HOOKS.register_module()
class FailInSecondProcessHook(Hook):
    """End the process of rank 1 in its third iteration.

    Args:
        how: 'error' of the user, 'defect' of the program, or 'kill'.
    """

    def __init__(self, how: str) -> None:
        self.how = how

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.rank != 1 or runner.iter != 2:
            return
        if self.how == 'kill':
            os.kill(os.getpid(), signal.SIGKILL)
        raise (DataError if self.how == 'error' else KeyError)(MESSAGE)
