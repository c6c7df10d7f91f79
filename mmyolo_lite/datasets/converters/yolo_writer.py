"""Puts a YOLO data set in its place: built beside it first, then moved."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import yaml

from mmyolo_lite.errors import DataError

Images = Literal['link', 'copy', 'list']


def place_image(source: Path, target: Path, how: Images) -> None:
    """Link or copy an image; a link is hard where possible, else symbolic, else a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if how == 'link':
        for link in (os.link, os.symlink):
            try:
                link(source, target)
                return
            except OSError:  # another file system, or links are not allowed there
                continue
    shutil.copyfile(source, target)


def write_index(
    stage: Path, out: Path, numbers: Mapping[str, int], splits: Sequence[str], *, listed: bool
) -> None:
    """Write ``classes.txt`` and ``data.yaml``.

    Args:
        stage: Folder to write to.
        out: Folder where the data set will lie; the key ``path`` names it.
        numbers: Class ids from 0 by name.
        splits: Names of the splits.
        listed: Images are listed in ``<split>.txt``, not in ``images/<split>``.
    """
    content = {
        'path': os.path.abspath(out),
        **{split: f'{split}.txt' if listed else f'images/{split}' for split in splits},
        'nc': len(numbers),
        'names': {number: name for name, number in numbers.items()},
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (stage / 'data.yaml').write_text(text, encoding='utf-8')
    names = ''.join(f'{name}\n' for name in numbers)
    (stage / 'classes.txt').write_text(names, encoding='utf-8')


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


def publish(stage: Path, out: Path, targets: Iterable[str]) -> None:
    """Move finished files and folders from ``stage``, a sub-folder of ``out``, to ``out``; what was
    there before ends up in ``stage``.
    """
    for target in targets:
        new, place, old = stage / target, out / target, stage / 'replaced' / target
        if not new.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(place):
            old.parent.mkdir(parents=True, exist_ok=True)
            os.replace(place, old)
        os.replace(new, place)
