"""Images of a training set kept at the size of mosaic tiles, so that none is decoded twice.

One block of bytes holds all of them: memory that workers share after a fork, or a file that they
map, see :mod:`mmyolo_lite.datasets.image_store_file` (spec: data.md 9.3, idea 1).
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from mmengine.logging import print_log
from numpy.typing import NDArray
from tqdm import tqdm

from mmyolo_lite.datasets.download.disk import megabytes
from mmyolo_lite.errors import ConfigError, UserError
from mmyolo_lite.ops.affine import fit_inside

MAX_FILL_THREADS = 8

Image = tuple[str, int, int]
"""Path, width and height, both in pixels as the annotation file states them."""

Tile = NDArray[np.uint8]
"""(height, width, 3) BGR."""


class Wanted(NamedTuple):
    """What a store is to hold."""

    images: Sequence[Image]
    """None twice."""
    fit_wh: tuple[int, int]
    """Width and height that tiles fit, as in a mosaic."""
    load: Callable[[Image], Tile]
    """Makes the tile of an image, or fails with a `UserError`."""


@dataclass(frozen=True)
class Entry:
    """The place of one tile in the block."""

    image: Image
    tile_wh: tuple[int, int]
    offset: int
    """Of its first byte."""

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return self.tile_wh[0] * self.tile_wh[1] * 3


class ImageStore:
    """Tiles by their images; read-only.

    Args:
        entries: Where each tile is.
        block: (bytes,) uint8 that holds them.
        reopen: Returns the same store in another process; None where only a fork can share it.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        block: NDArray[np.uint8],
        reopen: 'partial[ImageStore] | None' = None,
    ) -> None:
        self._entries = {entry.image: entry for entry in entries}
        self._block = block.view(np.ndarray)
        self._block.flags.writeable = False
        self._reopen = reopen

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, path: str, size_wh: tuple[int, int]) -> Tile | None:
        """Return the tile of an image, read-only; None if it has none.

        Args:
            path: Of the image.
            size_wh: Its width and height as the annotation file states them; a file that two
                entries of the annotation file describe differently is wrong in one.
        """
        entry = self._entries.get((path, *size_wh))
        if entry is None:
            return None
        tile = self._block[entry.offset : entry.offset + entry.size]
        return tile.reshape(*entry.tile_wh[::-1], 3)

    def __deepcopy__(self, memo: dict) -> 'ImageStore':
        return self  # read-only, and too large to have twice

    def __reduce__(self) -> tuple:
        if self._reopen is not None:
            return self._reopen.func, self._reopen.args
        raise ConfigError(
            "cache='ram' of the dataset shares its images with workers that start by fork alone; "
            "with env_cfg=dict(mp_cfg=dict(mp_start_method='spawn')) set cache='disk'."
        )


def plan(wanted: Wanted, limit: int) -> list[Entry]:
    """Lay tiles out, one after another; the same for the same arguments.

    Args:
        wanted: The images.
        limit: Most bytes of all; tiles that do not fit any more are left out.
    """
    entries: list[Entry] = []
    offset = 0
    for image in wanted.images:
        entry = Entry(image, fit_inside(image[1:], wanted.fit_wh)[1], offset)
        if offset + entry.size <= limit:
            entries.append(entry)
            offset += entry.size
    return entries


def total_size(entries: Iterable[Entry]) -> int:
    """Return the bytes that the tiles take together."""
    return sum(entry.size for entry in entries)


def in_memory(wanted: Wanted, limit: int) -> ImageStore:
    """Return a store in memory, filled; images that cannot be read are left out.

    Args:
        wanted: The images.
        limit: Most bytes of all.

    Raises:
        ConfigError: The system does not grant the memory.
    """
    entries = plan(wanted, limit)
    describe(entries, wanted, 'ram')
    try:
        block = np.empty(total_size(entries), dtype=np.uint8)
    except MemoryError as error:
        raise ConfigError(
            f"cache='ram' of the dataset: {megabytes(total_size(entries))} of memory cannot be "
            'had. Set a smaller cache_limit_gb, or cache=None.'
        ) from error

    def put(entry: Entry, tile: Tile) -> None:
        block[entry.offset : entry.offset + entry.size] = tile.reshape(-1)

    return ImageStore(fill(entries, wanted.load, put), block)


def fill(
    entries: Sequence[Entry], load: Callable[[Image], Tile], put: Callable[[Entry, Tile], None]
) -> list[Entry]:
    """Read images, several at a time, and return the entries of those that could be read.

    Args:
        entries: From :func:`plan`.
        load: See :class:`Wanted`.
        put: Stores the tile of an entry; called from several threads.
    """

    def fill_one(entry: Entry) -> bool:
        try:
            tile = load(entry.image)
        except UserError:
            return False  # training meets it again, and says what is wrong
        put(entry, tile)
        return True

    with ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_FILL_THREADS)) as pool:
        done = tqdm(
            pool.map(fill_one, entries), 'image cache', len(entries), disable=None, leave=False
        )
        return [entry for entry, is_read in zip(entries, done, strict=True) if is_read]


def describe(entries: Sequence[Entry], wanted: Wanted, kind: str, where: str = '') -> None:
    """Log what a cache holds or is about to hold.

    Args:
        entries: What it holds.
        wanted: What it would hold without a limit.
        kind: ``ram`` or ``disk``.
        where: Name of its file, and what happens to it.
    """
    size, total = megabytes(total_size(entries)), len(wanted.images)
    rest = '' if len(entries) == total else '; the others are read from their files each time'
    print_log(
        f'image cache ({kind}): {len(entries)} of {total} images, scaled to fit '
        f'{wanted.fit_wh[0]} x {wanted.fit_wh[1]} pixels, {size}{where}{rest}',
        'current',
    )
