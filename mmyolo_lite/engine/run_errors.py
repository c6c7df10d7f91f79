"""Errors of a run that its user can mend: memory and disks that are full, data-loading workers that
have died.
"""

import errno
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import MessageHub

from mmyolo_lite.engine.config import training_input_wh
from mmyolo_lite.errors import ConfigError, DataError, UserError

_SHARED_MEMORY = re.compile(r'(unable to allocate|insufficient) shared memory', re.IGNORECASE)
_WORKER = re.compile(
    r'DataLoader worker \(pid(?:\(s\))? (?P<pid>[\d, ]+)\) '
    r'(?:is killed by signal: (?P<signal>[^.]*)|exited unexpectedly)'
)
_OUT_OF_MEMORY = re.compile(
    r"out of memory|DefaultCPUAllocator: (?:can't allocate|not enough) memory|ALLOC_FAILED"
)
_TRIED = re.compile(r'[Tt]ri(?:ed|ing) to allocate (\d[\d.]* ?\w+)')
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def run_errors(config: Any) -> Iterator[None]:
    """Run a training or test of `config`.

    Raises:
        UserError: in place of the errors of PyTorch and Python for what the user can mend; other
            errors pass unchanged.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        explained = explain(error, config)
        if explained is None:
            raise
        raise explained from error


def explain(error: Exception, config: Any) -> UserError | None:
    """Return the error for the user, None for a defect of the program."""
    text = ' '.join(str(error).split())
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        place = error.filename or 'the disk of the work dir, or /dev/shm'
        return DataError(
            f'{error.strerror} ({place}). Make space there; --resume goes on with a training, '
            'whose checkpoints are whole.'
        )
    if isinstance(error, RuntimeError):
        if worker := _WORKER.search(text):
            return DataError(_dead_worker(worker, config))
        if _SHARED_MEMORY.search(text) or ('unable to write to file </torch' in text):
            return DataError(_no_shared_memory(_loader(config)))
        if isinstance(error, torch.cuda.OutOfMemoryError) or _OUT_OF_MEMORY.search(text):
            return ConfigError(_out_of_memory(text, config))
    if isinstance(error, MemoryError):
        return ConfigError(_out_of_memory(text, config))
    return None


def _loader(config: Any) -> str:
    """Return the name of the loader that is in use."""
    stage = MessageHub.get_current_instance().get_info('loop_stage')
    return f'{stage if stage in ("val", "test") else "train"}_dataloader'


def _now(config: Any, *names: str) -> str:
    """Return fields of a config with their values."""
    told = []
    for name in names:
        node = config
        for part in name.split('.'):
            node = node.get(part) if hasattr(node, 'get') else None
        told.append(name if node is None else f'{name} (now {node!r})')
    return ', '.join(told)


def _dead_worker(worker: re.Match, config: Any) -> str:
    name, cause = _loader(config), (worker['signal'] or '').strip()
    start = f'A data-loading worker (process {worker["pid"]}) has died'
    if cause.startswith('Bus error'):
        return f'{start} by a bus error. {_no_shared_memory(name)}'
    fields = _now(config, f'{name}.num_workers', f'{name}.batch_size', f'{name}.dataset.cache')
    if cause and cause not in ('Killed', signal.strsignal(signal.SIGKILL)):
        return (
            f'{start} by the signal "{cause}": a library has crashed in it. {name}.num_workers=0 '
            'with persistent_workers=False shows where. --resume goes on from the newest '
            'checkpoint.'
        )
    return (
        f'{start}{", killed from outside" if cause else ""}. Mostly it is the system that kills '
        f'when memory runs out (dmesg says so). Lower {fields}, and go on with --resume.'
    )


def _no_shared_memory(name: str) -> str:
    return (
        'The shared memory of data-loading workers (/dev/shm) is full. Enlarge it (docker run '
        f'--shm-size=8g, or --ipc=host), or lower {name}.num_workers and {name}.batch_size.'
    )


def _out_of_memory(text: str, config: Any) -> str:
    name = _loader(config)
    on_gpu = 'CUDA' in text or 'GPU' in text
    tried = _TRIED.search(text)
    wanted = f' (for {tried[1]} more)' if tried else ''
    size = training_input_wh(config)
    scale = f'a smaller img_scale (now {size[0]}x{size[1]})' if size else 'a smaller img_scale'
    options = [f'a smaller {_now(config, f"{name}.batch_size")}']
    if name == 'train_dataloader' and on_gpu:
        is_mixed = (config.get('optim_wrapper') or {}).get('type') == 'AmpOptimWrapper'
        options += [] if is_mixed else ['--amp']
    if not on_gpu:
        options.append(f'fewer {_now(config, f"{name}.num_workers")}')
    memory = 'The memory of the GPU' if on_gpu else 'The main memory'
    return (
        f'{memory} is not enough{wanted}. Take {", ".join(options)} or {scale}; other programs may '
        f'use it, too{" (nvidia-smi)" if on_gpu else ""}.'
    )
