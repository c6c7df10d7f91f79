"""A lock between processes, so that two runs never write the same file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmyolo_lite.errors import DataError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class LockedError(DataError):
    """Another process or thread is making the file; it may be waited for."""


@contextmanager
def only_run(path: Path) -> Iterator[None]:
    """Hold the lock of a file to be made; the system frees it when the process ends in any way.

    Args:
        path: The file to be made; its folder exists. The lock is a hidden file beside it.

    Raises:
        LockedError: Another process or thread holds the lock.
        DataError: The lock file cannot be made.
    """
    lock = path.with_name(f'.{path.name}.lock')
    try:
        handle = _acquire(lock)
    except OSError as error:
        raise DataError(f'{lock}: cannot be made ({error.strerror}); check the folder') from error
    if handle is None:
        raise LockedError(
            f'{path}: another run is working on this file; wait for it to end, then try again'
        )
    try:
        yield
    finally:
        _release(lock, handle)


def _acquire(lock: Path) -> int | None:
    """Return a descriptor that holds the lock, or None where another one does."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        if not _try_lock(handle):
            os.close(handle)
            return None
        # The last holder removes the file; one that vanished meanwhile protects nothing.
        try:
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                return handle
        except FileNotFoundError:
            pass
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        if fcntl is None:
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _release(lock: Path, handle: int) -> None:
    """Remove the lock file while it is held, then let go; Windows removes no open file."""
    if fcntl is None:
        os.close(handle)
        return
    lock.unlink(missing_ok=True)
    os.close(handle)
