"""The image cache of a training set: what may be configured, how much fits, who fills it."""

import logging
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.logging import print_log

from mmyolo_lite.datasets.fast_pipeline import TileSource, image_loaders, tile_sources
from mmyolo_lite.datasets.image_store import Image, ImageStore, Tile, Wanted, in_memory
from mmyolo_lite.datasets.image_store_file import Place, on_disk
from mmyolo_lite.errors import ConfigError

KINDS = (None, 'ram', 'disk')

SHARE_OF_FREE = 0.5
"""Of the free memory a cache takes no more, unless a limit is configured."""

MOST_OF_FREE = 0.9
"""Nor this share if one is: the system ends processes that ask for the last of it."""

MAX_LIMIT_GB = 1e9

UNKNOWN_MEMORY = 4 * 2**30
"""Bytes taken to be free where the system does not say."""


@dataclass(frozen=True)
class CacheSettings:
    """How the images of a training set are kept.

    Args:
        kind: ``ram``: in memory, filled before training, shared by the workers of a process.
            ``disk``: in a file that is made once and mapped by all processes and later runs. None:
            nowhere.
        limit_gb: Most gigabytes (10^9 bytes) on one machine, whose training processes share it;
            None for half of what is free.
        folder: Of the file; None for ``.image_cache`` in the data root.
        reduced_decode: Read large JPEG files at a half, quarter or eighth of their size, as long as
            a tile is not larger; its pixels then differ a little. With or without a cache.

    Raises:
        ConfigError: An unknown kind, a limit that is no positive number, or a value of a wrong
            type.
    """

    kind: str | None = None
    limit_gb: float | None = None
    folder: str | os.PathLike[str] | None = None
    reduced_decode: bool = False

    def __post_init__(self) -> None:
        if not (self.kind is None or isinstance(self.kind, str)) or self.kind not in KINDS:
            raise ConfigError(
                f"cache={self.kind!r} of the dataset is none of 'ram', 'disk' and None"
            )
        if self.limit_gb is not None and not _is_limit(self.limit_gb):
            raise ConfigError(
                f'cache_limit_gb={self.limit_gb!r} of the dataset must be a positive number'
            )
        if self.folder is not None and not isinstance(self.folder, (str, os.PathLike)):
            raise ConfigError(f'cache_dir={self.folder!r} of the dataset must be a path')
        if '\0' in os.fspath(self.folder or ''):
            raise ConfigError(f'cache_dir={self.folder!r} of the dataset holds a null character')
        if not isinstance(self.reduced_decode, bool):
            raise ConfigError(
                f'reduced_decode={self.reduced_decode!r} of the dataset must be True or False'
            )


def _is_limit(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 < value <= MAX_LIMIT_GB  # type: ignore[operator]


def set_up(
    settings: CacheSettings,
    pipeline: Sequence[Any],
    images: Iterable[Image],
    where: tuple[Path, str],
) -> None:
    """Fill the cache and give it to the loaders of images.

    Args:
        settings: What is wanted.
        pipeline: The steps of the dataset's pipeline; loaders before a mosaic are changed.
        images: Path, width and height of each image.
        where: Data root, and first part of the name of the file, if one is made.

    Raises:
        ConfigError: The pipeline has no place for a cache.
        DataError: The file cannot be made.
    """
    if settings.kind is None and not settings.reduced_decode:
        return
    sources = list(tile_sources(pipeline))
    if not sources:
        wish = 'reduced_decode=True' if settings.kind is None else f'cache={settings.kind!r}'
        raise ConfigError(
            f'{wish} of the dataset needs a training pipeline in which a Mosaic follows '
            'LoadImageFromFile, with no arguments but backend_args, and LoadAnnotations directly. '
            'Change the pipeline, or leave the setting out.'
        )
    for source in sources:
        source.loader.reduced_decode = settings.reduced_decode
        source.loader.fit_to = source.fit_wh
    if settings.kind is None:
        return
    store = _make_store(settings, sources[0], images, where)
    served = [source.loader for source in sources if source.fit_wh == sources[0].fit_wh]
    for loader in served:
        loader.tiles = store
    count = len(list(image_loaders(pipeline)))
    if len(served) < count:
        print_log(
            f'image cache: {count - len(served)} of {count} steps of the pipeline that load images '
            'go on reading files: other steps, or another scale, come between them and a Mosaic',
            'current',
            logging.WARNING,
        )


def _make_store(
    settings: CacheSettings, source: TileSource, images: Iterable[Image], where: tuple[Path, str]
) -> ImageStore:
    def load(image: Image) -> Tile:
        path, width, height = image
        tile = source.loader.read_tile(path, (width, height))
        assert tile is not None  # such loaders do not ignore empty files
        return tile

    # a path twice is one image; a path with two sizes is a mistake that training reports
    wanted = Wanted(list(dict.fromkeys(images)), source.fit_wh, load)
    limit = None if settings.limit_gb is None else int(settings.limit_gb * 1e9)
    if settings.kind == 'ram' and workers_fork():
        return in_memory(wanted, memory_limit(limit))
    root, stem = where
    folder = Path(settings.folder) if settings.folder else root / '.image_cache'
    variant = '-reduced' if settings.reduced_decode else ''
    size = f'{source.fit_wh[0]}x{source.fit_wh[1]}'
    # the name of the root tells the sets of a common folder apart
    return on_disk(
        wanted, limit, Place(folder, f'{root.absolute().name}-{stem}'[-60:] + f'-{size}{variant}')
    )


def workers_fork() -> bool:
    """Say whether workers share the memory of this process; if not, say that a file is used."""
    method = multiprocessing.get_start_method(allow_none=True)
    method = method or multiprocessing.get_all_start_methods()[0]
    if method != 'fork':
        print_log(
            f'image cache: workers start by {method!r} and share no memory with this process, so '
            "cache='ram' becomes 'disk'",
            'current',
        )
    return method == 'fork'


def memory_limit(configured: int | None) -> int:
    """Return the bytes of memory that one process may take for its cache.

    Args:
        configured: Bytes for all processes of a machine; None for half of what is free.
    """
    free = free_memory()
    most = SHARE_OF_FREE * free if configured is None else min(configured, MOST_OF_FREE * free)
    return int(most) // local_processes()


def local_processes() -> int:
    """Return how many training processes share this machine, at least one."""
    told = os.environ.get('LOCAL_WORLD_SIZE', '')  # by torchrun
    if told.isdecimal() and int(told) > 0:
        return int(told)
    # other launchers: one process a GPU
    return min(get_world_size(), max(torch.cuda.device_count(), 1))


def free_memory() -> int:
    """Return the bytes that may be taken without swapping, also inside a container's limit."""
    free = _number_in(Path('/proc/meminfo'), 'MemAvailable:')
    found = UNKNOWN_MEMORY if free is None else free * 1024
    return min([found, *_rooms_of_groups(Path('/proc/self/cgroup'), Path('/sys/fs/cgroup'))])


def _rooms_of_groups(membership: Path, mount: Path) -> Iterator[int]:
    """Yield the free bytes of each control group that this process is in, and of those above.

    Args:
        membership: ``/proc/self/cgroup``: lines of number, controllers and path.
        mount: Where the groups are.
    """
    try:
        lines = membership.read_text().splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, path = (*line.split(':', 2), '', '')[:3]
        if controllers == '':  # version 2
            top, names = mount, ('memory.max', 'memory.current', '')
        elif 'memory' in controllers.split(','):
            names = ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_')
            top = mount / 'memory'
        else:
            continue
        group = top / path.strip('/')
        for folder in (group, *group.parents):
            if folder.is_relative_to(top):
                yield from _room_of_group(folder, names)


def _room_of_group(folder: Path, names: tuple[str, str, str]) -> Iterator[int]:
    """Yield the free bytes of a control group, if it has a limit.

    Args:
        folder: Of the group.
        names: Files of its limit and use, and what precedes the keys of its statistics.
    """
    limit, used = (_number_in(folder / name) for name in names[:2])
    if limit is not None and used is not None:
        # files that were read count as used, though the system drops them on demand
        kept = (
            _number_in(folder / 'memory.stat', f'{names[2]}{key}_file') or 0
            for key in ('active', 'inactive')
        )
        yield max(limit - max(used - sum(kept), 0), 0)


def _number_in(path: Path, key: str = '') -> int | None:
    """Return the number that follows `key` in a file of the system, if there is one."""
    try:
        words = path.read_text().split()
        return int(words[words.index(key) + 1] if key else words[0])
    except (OSError, ValueError, IndexError):
        return None
