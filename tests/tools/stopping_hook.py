"""A hook that does to a training what its surroundings may do."""

import errno
import multiprocessing
import os
import signal
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmyolo_lite import whole_files
from mmyolo_lite.registry import HOOKS

OUT_OF_MEMORY = (
    'CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 139.81 GiB'
)


@HOOKS.register_module()
class MishapHook(Hook):
    """Have a mishap behind so many iterations of the whole training."""

    priority = 'VERY_LOW'

    def __init__(self, kind: str, after: int) -> None:
        self.kind, self.after = kind, after

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Have it, as the next iteration begins."""
        if runner.iter == self.after:
            getattr(self, f'_{self.kind}', lambda *_: None)(data_batch)

    def after_val_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Have it in a validation."""
        if self.kind == 'term_in_validation' and runner.iter == self.after:
            self._term(None)

    def _term(self, batch: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def _int(self, batch: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    def _int_twice(self, batch: Any) -> None:
        self._int(batch)
        self._int(batch)

    def _nan(self, batch: Any) -> None:
        batch['inputs'] = batch['inputs'].float() * float('nan')

    def _dead_worker(self, batch: Any) -> None:
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    def _out_of_memory(self, batch: Any) -> None:
        raise torch.cuda.OutOfMemoryError(OUT_OF_MEMORY)

    def _full_disk(self, batch: Any) -> None:
        def fsync(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        whole_files.os = _Overlay(os, fsync=fsync)


class _Overlay:
    """A module with some other functions."""

    def __init__(self, module: Any, **other: Any) -> None:
        self._module = module
        vars(self).update(other)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
