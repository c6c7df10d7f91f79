"""What the disk has to say: free space, and errors in words."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmyolo_lite.errors import DataError

FULL = {errno.ENOSPC, getattr(errno, 'EDQUOT', errno.ENOSPC)}  # no quotas on Windows


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the body into a DataError that names the path.

    Only for code that touches the disk: errors of connections and of damaged archives are OSErrors
    too.
    """
    try:
        yield
    except OSError as error:
        hint = '; make room and run the command again' if error.errno in FULL else ''
        raise DataError(f'{path}: cannot be written ({error.strerror or error}){hint}') from error


def check_free_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise DataError when the disk of a folder has less than ``needed`` bytes free."""
    with disk_errors(folder):
        free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f'{folder}: {purpose} needs {megabytes(needed)}, the disk has {megabytes(free)} free; '
            'make room or choose another --save-dir'
        )


def megabytes(count: int) -> str:
    """Return a number of bytes for people, rounded up so that nothing needed shows as 0."""
    return f'{-(-count // 100_000) / 10:,} MB'
