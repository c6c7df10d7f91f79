"""Pictures and videos that appear under their names whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.errors import DataError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; at the end the file gets its own name.

    After an exception, or Ctrl-C, nothing of it is left, and a file that was there before stays.

    Raises:
        DataError: the folder cannot be made, or the file not be written.
    """
    part = path.with_name(f'.{os.getpid()}.part{path.suffix}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        raise DataError(f'{path} cannot be written: {error.strerror or error}') from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    with whole_file(path) as part:
        part.write_bytes(content)


def encode_image(picture: NDArray[np.uint8], path: Path) -> bytes:
    """Return a BGR picture (H, W, 3) in the format that a path's suffix names.

    Raises:
        DataError: OpenCV writes no such format, or not of that size.
    """
    try:
        done, content = cv2.imencode(path.suffix or '.', picture)
    except cv2.error:
        done = False
    if not done:
        raise DataError(f'{path} cannot be written: name it .jpg or .png')
    return content.tobytes()


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
