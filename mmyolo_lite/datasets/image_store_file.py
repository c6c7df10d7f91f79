"""An image store in a file: made once, mapped by all processes and later runs, never trusted when
its images or it itself have changed.

The system shares the pages of a mapped file. Beside ``NAME-HASH.images`` an index of a few lines
``NAME-HASH.json`` makes it valid; the hash is of all that the tiles depend on.
"""

import json
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import cv2
import numpy as np
from mmengine.logging import print_log

from mmyolo_lite.datasets.download.locks import LockedError, only_run
from mmyolo_lite.datasets.file_io import read_json, write_json
from mmyolo_lite.datasets.image_store import (
    Entry,
    ImageStore,
    Tile,
    Wanted,
    describe,
    fill,
    plan,
    total_size,
)
from mmyolo_lite.errors import DataError
from mmyolo_lite.whole_files import FULL, disk_errors

FORMAT = 1
"""Of the file; another number makes it anew."""

KEPT = 2
"""So many files of one name remain, those used last: enough to compare two subsets of a set, say,
while those of images that have changed since do not pile up."""

SHARE_OF_FREE = 0.5
"""Of the free disk space a file takes no more, unless a limit is configured."""

POLL_SECONDS = 0.5
"""Between looks at a file that another process is making."""

MAX_NAME = 100
"""Characters of a name; the file system bounds those of a file."""

Stamp = tuple[int, int]
"""Size of a file in bytes, and the time of its last change in nanoseconds."""


class Index(NamedTuple):
    """What a valid file holds."""

    entries: list[Entry]
    stamp: Stamp
    """Of the file."""


class Place(NamedTuple):
    """Where the file of a store goes."""

    folder: Path
    name: str
    """First part of the file's name."""


def on_disk(wanted: Wanted, limit: int | None, place: Place) -> ImageStore:
    """Return a store in a file, made now if there is none of just these images.

    Where several processes ask for the same file at once, one makes it and the others wait. Images
    that cannot be read, or are no local files, are left out.

    Args:
        wanted: The images.
        limit: Most bytes of all; None for half of what is free when the file is made.
        place: Where the file goes.

    Raises:
        DataError: The folder cannot be written, or the disk is full.
    """
    stamped = [(image, stamp) for image in wanted.images if (stamp := _stamp_of(image[0]))]
    held = wanted._replace(images=[image for image, _ in stamped])
    # limits that leave out the same images are the same
    size = None if limit is None else total_size(plan(held, limit))
    identity = json.dumps([FORMAT, cv2.__version__, wanted.fit_wh, size, stamped])
    name = place.name[:MAX_NAME]
    path = place.folder / f'{name}-{sha256(identity.encode()).hexdigest()[:12]}.images'
    with _advice():
        found = _find_or_make(path, held, limit)
    describe(found.entries, wanted, 'disk', f', from {path}')
    with suppress(OSError):
        os.utime(path.with_suffix('.json'))  # used last, see KEPT
        _remove_old(path, name)
    return _open(path, found)


def _stamp_of(path: str | Path) -> Stamp | None:
    """Return the stamp of a regular file; None for anything else, and where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


@contextmanager
def _advice() -> Iterator[None]:
    """Add to a DataError what to do about it."""
    try:
        yield
    except DataError as error:
        raise DataError(
            f"cache='disk' of the dataset: {error}. Set cache_dir to a folder that can be written "
            'and has room, or cache=None.'
        ) from error


def _open(path: Path, index: Index) -> ImageStore:
    """Map a file that was found valid; return an empty store if it is another one by now."""
    reopen = partial(_open, path, index)
    try:
        block = np.memmap(path, dtype=np.uint8, mode='r')
    except (OSError, ValueError):  # removed, or cut to nothing
        return ImageStore([], np.empty(0, dtype=np.uint8), reopen)
    return ImageStore(index.entries if _stamp_of(path) == index.stamp else [], block, reopen)


def _read_index(path: Path, wanted: Wanted) -> Index | None:
    """Return what a store holds; None if there is none, or its file was changed or cut."""
    stamp = _stamp_of(path)
    if stamp is None:
        return None
    try:
        content: Any = read_json(path.with_suffix('.json'))
    except DataError:
        return None
    if not isinstance(content, dict) or content.get('stamp') != list(stamp):
        return None
    limit, left_out = content.get('limit'), content.get('left_out')
    if not (
        type(limit) is int
        and isinstance(left_out, list)
        and all(type(position) is int for position in left_out)
    ):
        return None
    entries = plan(wanted, limit)
    if stamp[0] != _file_size(entries):
        return None
    missing = set(left_out)
    held = [entry for position, entry in enumerate(entries) if position not in missing]
    return Index(held, stamp)


def _file_size(entries: Sequence[Entry]) -> int:
    return max(total_size(entries), 1)  # files of no bytes cannot be mapped


def _find_or_make(path: Path, wanted: Wanted, limit: int | None) -> Index:
    """Return what the file holds; make it, or wait while another process does, if there is none."""
    is_told = False
    while (found := _read_index(path, wanted)) is None:
        with disk_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with only_run(path):
                # another process may have made it since the last look
                return _read_index(path, wanted) or _write(path, wanted, limit)
        except LockedError:
            if not is_told:
                print_log(f'image cache (disk): waiting for the run that makes {path}', 'current')
            is_told = True
            time.sleep(POLL_SECONDS)
    return found


def _write(path: Path, wanted: Wanted, limit: int | None) -> Index:
    """Make the file under another name, rename it, and write the index, which makes it valid."""
    if limit is None:
        with disk_errors(path.parent):
            limit = int(SHARE_OF_FREE * shutil.disk_usage(path.parent).free)
    entries = plan(wanted, limit)
    describe(entries, wanted, 'disk', f', making {path}')
    filled = set(_write_tiles(path, entries, wanted))
    left_out = [position for position, entry in enumerate(entries) if entry not in filled]
    content = {'stamp': _stamp_of(path), 'limit': limit, 'left_out': left_out}
    write_json(content, path.with_suffix('.json'))
    index = _read_index(path, wanted)
    if index is None:
        raise DataError(f'{path}: was changed or removed as soon as it was made')
    return index


def _write_tiles(path: Path, entries: Sequence[Entry], wanted: Wanted) -> list[Entry]:
    """Write the block and return the entries that could be filled."""
    part, turn = _part_of(path), threading.Lock()
    try:
        # a mapping would end the process with a bus error once the disk is full
        with disk_errors(path), part.open('wb') as file:
            _reserve(file, _file_size(entries))

            def put(entry: Entry, tile: Tile) -> None:
                with turn:
                    file.seek(entry.offset)
                    file.write(tile.tobytes())

            filled = fill(entries, wanted.load, put)
            file.flush()
            os.fsync(file.fileno())
        with disk_errors(path):
            os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink()
    return filled


def _reserve(file: BinaryIO, size: int) -> None:
    """Give a file its size, so that a full disk shows before the work is done."""
    file.truncate(size)
    if hasattr(os, 'posix_fallocate'):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno in FULL:
                raise  # others: the file system cannot reserve


def _part_of(path: Path) -> Path:
    return path.with_name(f'.{path.name}.part')


def _remove_old(path: Path, name: str) -> None:
    """Remove the files of the same name but for the last used, unless somebody is making them.

    A process that maps a removed file keeps it.
    """
    pattern = re.compile(rf'\.?({re.escape(name)}-[0-9a-f]{{12}}\.images)(\.part)?')
    found = (pattern.fullmatch(entry.name) for entry in path.parent.iterdir())
    stores = {path.with_name(match[1]) for match in found if match} - {path}
    by_use = sorted(stores, key=_last_use, reverse=True)
    for old in by_use[KEPT - 1 :]:
        with suppress(DataError, OSError), only_run(old):
            for leftover in (old.with_suffix('.json'), old, _part_of(old)):
                leftover.unlink(missing_ok=True)


def _last_use(path: Path) -> int:
    """Return when a store was used last; 0 for what is left of one that was never finished."""
    stamp = _stamp_of(path.with_suffix('.json'))
    return stamp[1] if stamp else 0
