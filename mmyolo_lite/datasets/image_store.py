"""Images of a training set kept at the size of mosaic tiles, so that none is decoded twice.

One block of bytes holds all of them: memory that workers share after a fork, or a file that they
map, whose pages the system shares between all processes and runs (spec: data.md 9.3, idea 1).
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log
from numpy.typing import NDArray
from tqdm import tqdm

from mmyolo_lite.datasets.download.disk import disk_errors, megabytes
from mmyolo_lite.datasets.download.locks import only_run
from mmyolo_lite.datasets.file_io import read_json, write_json
from mmyolo_lite.errors import ConfigError, DataError, UserError
from mmyolo_lite.ops.affine import fit_inside

FORMAT = 1
"""Of the file; another number makes it anew."""

MAX_FILL_THREADS = 8

Load = Callable[[str], NDArray[np.uint8]]
"""Makes the tile of the image at a path: (height, width, 3) uint8."""


@dataclass(frozen=True)
class Entry:
    """One image of the store."""

    path: str
    width: int
    """Of the tile, pixels; so is `height`."""
    height: int
    offset: int
    """Of its first byte in the block."""
    stamp: tuple[int, int] | None = None
    """Size in bytes and time of change of the image file, for a store that outlives the run."""

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return self.width * self.height * 3


class ImageStore:
    """Tiles by the path of their images.

    Args:
        entries: The images, none twice.
        block: (bytes,) uint8 that holds them.
    """

    def __init__(self, entries: Iterable[Entry], block: NDArray[np.uint8]) -> None:
        self._entries = {entry.path: entry for entry in entries}
        self._block = block

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, path: str) -> NDArray[np.uint8] | None:
        """Return the tile (height, width, 3) uint8 BGR of an image, read-only; None if it has
        none.
        """
        entry = self._entries.get(path)
        if entry is None:
            return None
        tile = self._block[entry.offset : entry.offset + entry.size]
        return tile.reshape(entry.height, entry.width, 3)

    def __deepcopy__(self, memo: dict) -> 'ImageStore':
        return self  # read-only, and too large to have twice

    def __reduce__(self) -> tuple:
        if isinstance(self._block, np.memmap):
            return _reopen, (list(self._entries.values()), str(self._block.filename))
        raise ConfigError(
            "cache='ram' shares its images with workers that start by fork alone; with "
            "env_cfg=dict(mp_cfg=dict(mp_start_method='spawn')) use cache='disk'."
        )


def _reopen(entries: list[Entry], filename: str) -> ImageStore:
    return ImageStore(entries, np.memmap(filename, dtype=np.uint8, mode='r'))


def plan(
    images: Iterable[tuple[str, int, int]], fit_wh: tuple[int, int], limit: int
) -> list[Entry]:
    """Lay the tiles of images out, one after another.

    Args:
        images: Path, width and height of each; of equal paths the first counts.
        fit_wh: Width and height that images are scaled to fit, as a mosaic does.
        limit: Most bytes of all; images that do not fit any more are left out.
    """
    entries: dict[str, Entry] = {}
    offset = 0
    for path, width, height in images:
        entry = Entry(path, *fit_inside((width, height), fit_wh)[1], offset)
        if path not in entries and offset + entry.size <= limit:
            entries[path] = entry
            offset += entry.size
    return list(entries.values())


def in_memory(entries: Sequence[Entry], load: Load) -> ImageStore:
    """Return a store in memory, filled.

    Args:
        entries: From :func:`plan`.
        load: Images that it fails on with a `UserError` are left out.
    """
    block = np.empty(sum(entry.size for entry in entries), dtype=np.uint8)
    filled = _fill(block, entries, load)
    block.flags.writeable = False
    return ImageStore(filled, block)


def on_disk(entries: Sequence[Entry], load: Load, folder: Path, name: str) -> ImageStore:
    """Return a store in a file, made now if there is none for just these images.

    The main process makes it; in a training with several processes all have to call this.

    Args:
        entries: From :func:`plan`.
        load: Images that it fails on with a `UserError` are left out.
        folder: Where the file goes.
        name: First part of its name.

    Raises:
        DataError: The folder cannot be written, an image file is missing, or another run is making
            the same file.
    """
    entries = [_stamped(entry) for entry in entries]
    layout = json.dumps([FORMAT, *(asdict(entry) for entry in entries)])
    path = folder / f'{name}-{sha256(layout.encode()).hexdigest()[:12]}.images'
    if is_main_process() and _read_index(path) is None:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with only_run(path):
            _write(path, entries, load)
    barrier()
    found = _read_index(path)
    if found is None:
        raise DataError(f'{path}: the image cache is damaged or was removed meanwhile; start again')
    return ImageStore(found, np.memmap(path, dtype=np.uint8, mode='r'))


def _stamped(entry: Entry) -> Entry:
    with disk_errors(Path(entry.path)):
        status = os.stat(entry.path)
    return Entry(**{**asdict(entry), 'stamp': (status.st_size, status.st_mtime_ns)})


def _write(path: Path, entries: Sequence[Entry], load: Load) -> None:
    """Make the file of a store under another name, then its index, which makes it valid."""
    part = path.with_name(f'.{path.name}.part')
    try:
        with disk_errors(path):
            # memory maps of no bytes cannot be made
            size = max(sum(entry.size for entry in entries), 1)
            block = np.memmap(part, dtype=np.uint8, mode='w+', shape=(size,))
        filled = _fill(block, entries, load)
        block.flush()
        del block
        with disk_errors(path):
            os.replace(part, path)
            status = path.stat()
        write_json(
            {
                'stamp': (status.st_size, status.st_mtime_ns),
                'entries': [asdict(entry) for entry in filled],
            },
            path.with_suffix('.json'),
        )
    finally:
        part.unlink(missing_ok=True)


def _read_index(path: Path) -> list[Entry] | None:
    """Return what a store holds; None if there is none, or its file was changed or cut."""
    index = path.with_suffix('.json')
    if not (index.is_file() and path.is_file()):
        return None
    try:
        content: Any = read_json(index)
        status = path.stat()
        if tuple(content['stamp']) != (status.st_size, status.st_mtime_ns):
            return None
        entries = [
            Entry(**{**entry, 'stamp': tuple(entry['stamp'])}) for entry in content['entries']
        ]
    except (DataError, KeyError, TypeError):
        return None
    fits = all(0 <= e.offset <= e.offset + e.size <= status.st_size for e in entries)
    return entries if fits else None


def _fill(block: NDArray[np.uint8], entries: Sequence[Entry], load: Load) -> list[Entry]:
    """Read the images into `block` and return the entries of those that could be read."""

    def fill(entry: Entry) -> bool:
        try:
            tile = load(entry.path)
        except UserError:
            return False  # training meets it again, and says what is wrong
        block[entry.offset : entry.offset + entry.size] = tile.reshape(-1)
        return True

    with ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_FILL_THREADS)) as pool:
        done = tqdm(pool.map(fill, entries), 'image cache', len(entries), disable=None, leave=False)
        return [entry for entry, is_read in zip(entries, done, strict=True) if is_read]


def describe(entries: Sequence[Entry], total: int, kind: str, fit_wh: tuple[int, int]) -> None:
    """Log what a cache is about to hold.

    Args:
        entries: What it holds.
        total: Number of the images of the set.
        kind: ``ram`` or ``disk``.
        fit_wh: Width and height that tiles fit.
    """
    size = megabytes(sum(entry.size for entry in entries))
    rest = '' if len(entries) == total else '; the others are read from their files each time'
    print_log(
        f'image cache ({kind}): {len(entries)} of {total} images, scaled to fit {fit_wh[0]} x '
        f'{fit_wh[1]} pixels, {size}{rest}',
        'current',
    )
