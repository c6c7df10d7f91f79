"""Files that appear under their names whole or not at all."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from mmyolo_lite.errors import DataError

FULL = {errno.ENOSPC, getattr(errno, 'EDQUOT', errno.ENOSPC)}  # no quotas on Windows


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of the body into a DataError that names the path.

    Only for code that touches the disk: errors of connections and of damaged archives are OSErrors
    too.
    """
    try:
        yield
    except OSError as error:
        hint = '; make room and run the command again' if error.errno in FULL else ''
        raise DataError(f'{path} cannot be written: {error.strerror or error}{hint}') from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; at the end that file is flushed to the disk and gets
    its own name.

    After an exception, Ctrl-C or a full disk nothing of it is left, and a file that was there
    before stays; after a kill, a hidden file ``.*.part*`` may be left beside it.

    Args:
        path: of the file; its folder is made. The name beside it has the same suffix, and differs
            in nothing else between files of one stem.

    Raises:
        OSError: the folder cannot be made, or the file not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.stem[:40]}.{os.getpid()}.part{path.suffix}')
    try:
        yield part
        with part.open('rb+') as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Do the same as :func:`replacing`, with errors for the user.

    Raises:
        DataError: the folder cannot be made, or the file not be written.
    """
    with disk_errors(path), replacing(path) as part:
        yield part


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    with whole_file(path) as part:
        part.write_bytes(content)


def check_out_dir(folder: Path) -> None:
    """Make a folder for output before the work starts.

    Raises:
        DataError: it is a file, or cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        reason = 'it is a file' if isinstance(error, FileExistsError) else error.strerror
        raise DataError(f'{folder} cannot take the output: {reason}. Name a folder.') from error
    if not writable:
        raise DataError(f'{folder} cannot take the output: it is not writable.')
