"""The image cache of a training set: what may be configured, how much fits, who fills it."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.datasets import image_store
from mmyolo_lite.datasets.fast_pipeline import TileSource
from mmyolo_lite.errors import ConfigError

KINDS = (None, 'ram', 'disk')

SHARE_OF_FREE = 0.5
"""Of the free memory or disk space a cache takes no more, unless a limit is configured."""

UNKNOWN_MEMORY = 4 * 2**30
"""Bytes taken to be free where the system does not say."""


@dataclass(frozen=True)
class CacheSettings:
    """How the images of a training set are kept.

    Args:
        kind: ``ram``: in memory, filled before training, shared by the workers of a process.
            ``disk``: in a file that is made once and mapped by all processes and later runs. None:
            nowhere.
        limit_gb: Most gigabytes (10^9 bytes); None for half of what is free.
        folder: Of the file; None for ``.image_cache`` in the data root.
        reduced_decode: Read large JPEG files at a half, quarter or eighth of their size, as long as
            a tile is not larger; its pixels then differ a little. With or without a cache.

    Raises:
        ConfigError: An unknown kind, or a limit that is not positive.
    """

    kind: str | None = None
    limit_gb: float | None = None
    folder: str | None = None
    reduced_decode: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(
                f"cache={self.kind!r} of the dataset is none of 'ram', 'disk' and None"
            )
        if self.limit_gb is not None and not self.limit_gb > 0:
            raise ConfigError(
                f'cache_limit_gb={self.limit_gb!r} of the dataset must be a positive number'
            )


def set_up(
    settings: CacheSettings,
    sources: Sequence[TileSource],
    images: Iterable[tuple[str, int, int]],
    where: tuple[Path, str],
) -> None:
    """Fill the cache and give it to the loaders of images.

    Args:
        settings: What is wanted.
        sources: Where images become tiles.
        images: Path, width and height of each image.
        where: Data root, and first part of the name of the file, if one is made.

    Raises:
        ConfigError: The pipeline has no place for a cache.
        DataError: The file cannot be made.
    """
    for source in sources:
        source.loader.reduced_decode = settings.reduced_decode
    if settings.kind is None:
        return
    if not sources:
        raise ConfigError(
            f'cache={settings.kind!r} of the dataset needs a training pipeline in which a Mosaic '
            'follows LoadImageFromFile and LoadAnnotations directly. Change the pipeline, or set '
            'cache=None.'
        )
    loader, fit_wh = sources[0].loader, sources[0].fit_wh
    for source in sources:
        source.loader.fit_to = source.fit_wh
    folder, name = where
    folder = Path(settings.folder) if settings.folder else folder / '.image_cache'
    images = list(images)
    entries = image_store.plan(images, fit_wh, _limit(settings, folder))
    image_store.describe(entries, len(images), str(settings.kind), fit_wh)

    def load(path: str) -> NDArray[np.uint8]:
        width, height = sizes[path]
        loaded = loader.transform({'img_path': path, 'width': width, 'height': height})
        assert loaded is not None  # such loaders do not ignore empty files
        return loaded['img']

    sizes = {path: (width, height) for path, width, height in images}
    if settings.kind == 'ram':
        store = image_store.in_memory(entries, load)
    else:
        variant = '-reduced' if settings.reduced_decode else ''
        store = image_store.on_disk(
            entries, load, folder, f'{name}-{fit_wh[0]}x{fit_wh[1]}{variant}'
        )
    for source in sources:
        if source.fit_wh == fit_wh:
            source.loader.tiles = store


def _limit(settings: CacheSettings, folder: Path) -> int:
    """Return the bytes that the cache may take."""
    if settings.limit_gb is not None:
        return int(settings.limit_gb * 1e9)
    free = free_memory() if settings.kind == 'ram' else _free_disk(folder)
    return int(SHARE_OF_FREE * free)


def _free_disk(folder: Path) -> int:
    existing = next(
        parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists()
    )
    return shutil.disk_usage(existing).free


def free_memory() -> int:
    """Return the bytes that may be taken without swapping, also inside a container's limit."""
    free = _number_in(Path('/proc/meminfo'), 'MemAvailable:')
    found = UNKNOWN_MEMORY if free is None else free * 1024
    group = Path('/sys/fs/cgroup')
    limit, used = _number_in(group / 'memory.max'), _number_in(group / 'memory.current')
    if limit is not None and used is not None:
        found = min(found, max(limit - used, 0))
    return found


def _number_in(path: Path, key: str = '') -> int | None:
    """Return the number that follows `key` in a file of the system, if there is one."""
    try:
        words = path.read_text().split()
        return int(words[words.index(key) + 1] if key else words[0])
    except (OSError, ValueError, IndexError):
        return None
