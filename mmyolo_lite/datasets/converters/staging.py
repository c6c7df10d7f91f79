"""Data sets of many files: built in a hidden folder first, then moved into their place."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from mmyolo_lite.errors import DataError

Images = Literal['link', 'copy', 'list']


def place_image(source: Path, target: Path, how: Images) -> None:
    """Link or copy an image that is not there yet; a link is hard where possible, else symbolic,
    else a copy.
    """
    if os.path.lexists(target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if how == 'link':
        for link in (os.link, os.symlink):
            try:
                link(source, target)
                return
            except OSError:  # another file system, or links are not allowed there
                continue
    shutil.copyfile(source, target)


def keep_sources(out: Path, targets: Iterable[str], sources: Iterable[Path]) -> None:
    """Refuse to replace what the conversion reads from.

    Args:
        out: Folder of the data set.
        targets: Files and folders in it that will be replaced if they exist.
        sources: Files and folders that are read.

    Raises:
        DataError: An existing target holds a source, or images may be read from an existing
            target.
    """
    for target in targets:
        if not os.path.lexists(out / target):
            continue
        place = (out / target).resolve()
        for source in map(Path.resolve, sources):
            holds_images = target.startswith('images/') and place.is_relative_to(source)
            if holds_images or source.is_relative_to(place):
                raise DataError(
                    f'{out / target}: would be replaced, but {source} is read; choose another '
                    'folder for the output'
                )


@contextlib.contextmanager
def staged(out: Path, targets: Sequence[str]) -> Iterator[Path]:
    """Give a hidden folder in ``out``; its content takes its place at the end if nothing fails.

    Args:
        out: Folder of the data set; it is made if needed.
        targets: Files and folders that are moved, as far as they were made; what was there before
            is removed.

    Raises:
        DataError: Something cannot be written.
    """
    stage = out / f'.part-{os.getpid()}'
    try:
        stage.mkdir(parents=True)
        yield stage
        for target in targets:
            if (stage / target).exists():
                _replace(stage / target, out / target, stage / 'replaced' / target)
    except (OSError, UnicodeError) as error:
        raise DataError(f'{out}: cannot be written ({error})') from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        with contextlib.suppress(OSError):
            out.rmdir()  # if nothing was written


def _replace(new: Path, place: Path, old: Path) -> None:
    """Move a file or folder to its place, and what was there to another; nothing if that fails."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(place):
        os.replace(new, place)
        return
    old.parent.mkdir(parents=True, exist_ok=True)
    os.replace(place, old)
    try:
        os.replace(new, place)
    except OSError:
        os.replace(old, place)
        raise
