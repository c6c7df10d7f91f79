"""Connecting the processes of a training or test on CPUs."""

import atexit
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from mmengine.device import get_device
from torch import distributed

from mmyolo_lite.errors import ConfigError, UserError

DEFAULT_PORT = '29500'
# what launchers set, and what PyTorch reads
_NAMES = {
    'slurm': {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'},
    'mpi': {
        'RANK': 'OMPI_COMM_WORLD_RANK',
        'WORLD_SIZE': 'OMPI_COMM_WORLD_SIZE',
        'LOCAL_RANK': 'OMPI_COMM_WORLD_LOCAL_RANK',
    },
}
_GONE = re.compile(r'Connection (closed|reset) by peer|Broken pipe|Timed out waiting', re.I)


class ProcessLostError(UserError):
    """Another process of the run has ended."""


def join_processes(launcher: str, settings: Mapping[str, Any] | None = None) -> None:
    """Connect the processes of a run on CPUs by gloo; mmengine's own way asks CUDA for a device.

    Does nothing for one process, on an accelerator, or when they are connected.

    Args:
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        settings: ``env_cfg.dist_cfg``; its ``timeout`` in seconds counts.

    Raises:
        ConfigError: nobody says where the first process listens.
    """
    if launcher == 'none' or get_device() != 'cpu' or distributed.is_initialized():
        return
    for name, source in _NAMES.get(launcher, {}).items():
        os.environ[name] = os.environ.get(source, '0')
    if launcher != 'pytorch':
        os.environ.setdefault('MASTER_PORT', DEFAULT_PORT)
        if 'MASTER_ADDR' not in os.environ:
            os.environ['MASTER_ADDR'] = _first_host(launcher)
    seconds = (settings or {}).get('timeout')
    timeout = None if seconds is None else timedelta(seconds=seconds)
    distributed.init_process_group('gloo', timeout=timeout)


def leave(code: int) -> None:
    """End this process at once, if it is connected to others by gloo; else do nothing.

    All that is due at an exit is done, but the interpreter is not taken down: a thread of gloo that
    lets go of a Python object meanwhile is ended by force, and C++ then aborts a process that has
    done all of its work ("terminate called without an active exception").

    Args:
        code: the exit code.
    """
    if not distributed.is_initialized() or distributed.get_backend() != 'gloo':
        return
    with suppress(RuntimeError):  # others may be gone already
        distributed.destroy_process_group()
    # as the interpreter does it: wait for threads, then run what was registered
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed
            stream.flush()
    os._exit(code)


def _first_host(launcher: str) -> str:
    """Return the host of the first process.

    Raises:
        ConfigError: it is unknown.
    """
    nodes = os.environ.get('SLURM_NODELIST', '') if launcher == 'slurm' else ''
    if nodes:
        try:
            listed = subprocess.run(
                ['scontrol', 'show', 'hostnames', nodes],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            ).stdout.split()
        except (OSError, subprocess.SubprocessError):
            listed = []
        if listed:
            return listed[0]
        if re.fullmatch(r'[\w.-]+', nodes):  # a single one
            return nodes
    raise ConfigError(
        f'--launcher {launcher} does not say where the first process listens. Set the environment '
        'variable MASTER_ADDR to its host, and MASTER_PORT to a free port there.'
    )


@contextmanager
def lost_processes() -> Iterator[None]:
    """Run a part of a run.

    Raises:
        ProcessLostError: another process has gone; it is that one's message that matters.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, UserError) or not _GONE.search(str(error)):
            raise
        if not distributed.is_initialized():
            raise
        raise ProcessLostError(
            'Another process of this run has ended; its message says why. This one '
            f'(rank {distributed.get_rank()}) ends too.'
        ) from error
