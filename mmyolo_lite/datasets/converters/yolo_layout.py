"""Where a YOLO data set keeps its classes, images, labels and splits (spec: tools_data.md 4)."""

import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mmyolo_lite.datasets.coco_checks import few_letters
from mmyolo_lite.datasets.converters.coco_json import ConversionReport
from mmyolo_lite.datasets.converters.files import (
    IMAGE_SUFFIXES,
    check_class_name,
    list_files,
    number_classes,
    read_class_names,
    read_lines,
    stem,
)
from mmyolo_lite.datasets.file_io import read_file
from mmyolo_lite.errors import DataError

SPLITS = ('train', 'val', 'test')
CLASS_FILES = ('classes.txt', 'labels/classes.txt', 'data.yaml', 'data.yml', 'dataset.yaml')
MAX_YAML_BYTES = 2**20


@dataclass(frozen=True)
class YoloLayout:
    """A YOLO data set on disk; all names are relative to ``root``, with forward slashes.

    Attributes:
        root: The folder of the data set.
        classes: Ids of the classes by name.
        image_root: Folder that ``file_name`` in the COCO file is relative to, such as ``images``.
        images: All images.
        splits: Images of every split in the order of the lists; one split ``result`` if there are
            none.
    """

    root: Path
    classes: dict[str, int]
    image_root: str
    images: list[str]
    splits: dict[str, list[str]]


def label_name(image: str) -> str:
    """Return the label file of an image: in ``labels`` for the last ``images`` of its path, or
    beside it.
    """
    parts = stem(image).split('/')
    if 'images' in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index('images')
        parts[last] = 'labels'
    return '/'.join(parts) + '.txt'


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a ``data.yaml``.

    Raises:
        DataError: The file cannot be read, is larger than a megabyte or no YAML dictionary.
    """
    try:
        if path.stat().st_size > MAX_YAML_BYTES:
            raise DataError(f'{path}: too large for a list of classes; pass the data.yaml')
        content = yaml.safe_load(read_file(path).decode('utf-8-sig'))
    except DataError:
        raise
    except Exception as error:  # the parser lets KeyError, ValueError and others of its own through
        raise DataError(f'{path}: not valid YAML ({error or type(error).__name__})') from error
    if not isinstance(content, dict):
        raise DataError(f'{path}: not a data.yaml, which has the keys "names", "train" and "val"')
    return content


def read_names(path: Path) -> dict[str, int]:
    """Return the ids of classes of a text file, one a line, or of the key ``names`` of a YAML file,
    a list or a dictionary of names by id.

    Raises:
        DataError: The file is damaged or names no class.
    """
    if path.suffix.lower() not in ('.yaml', '.yml'):
        return read_class_names(path)
    names = read_yaml(path).get('names')
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        raise DataError(f'{path}: the key "names" must be a list or a dictionary of class names')
    for number in names:
        if type(number) is not int or number < 0:
            raise DataError(
                f'{path}: the class id {few_letters(number)} of "names" is no whole number'
            )
    return number_classes(
        (
            (check_class_name(str(name) if type(name) is int else name, str(path)), number)
            for number, name in sorted(names.items())
        ),
        path,
    )


def find_classes(root: Path, names_file: Path | None) -> tuple[dict[str, int], Path]:
    """Return the ids of classes by name, and the file they come from.

    Raises:
        DataError: There is no such file, or it is damaged.
    """
    candidates = [names_file] if names_file else [root / name for name in CLASS_FILES]
    for path in candidates:
        if path.is_file():
            return read_names(path), path
    listed = ', '.join(map(str, candidates))
    raise DataError(f'{listed}: no such file; pass the classes with --names FILE')


def read_layout(
    root: Path, names_file: Path | None, report: ConversionReport, rest: str | None = None
) -> YoloLayout:
    """Find classes, images and splits of a YOLO data set.

    Splits come from ``train.txt``, ``val.txt``, ``test.txt``; else from the keys of these names in
    the YAML file; else from sub-folders of ``images`` of these names, if all images lie in such.

    Args:
        root: Folder with ``images`` and ``labels``; or with images and labels side by side.
        names_file: File of the classes; the usual names in ``root`` if None.
        report: Gets what is left out.
        rest: Name of the split of images that no list names; left out if None.

    Raises:
        DataError: Something is missing or damaged.
    """
    if not root.is_dir():
        raise DataError(f'{root}: no such folder; pass the one that holds images/ and labels/')
    classes, class_file = find_classes(root, names_file)
    yaml_file = next(
        (
            p
            for p in (class_file, root / 'data.yaml', root / 'data.yml')
            if p.suffix in ('.yaml', '.yml') and p.is_file()
        ),
        None,
    )
    image_root = 'images' if (root / 'images').is_dir() else ''
    below = list_files(root / image_root, IMAGE_SUFFIXES, recursive=True)
    images = [posixpath.join(image_root, name) for name in below]
    lists = {split: root / f'{split}.txt' for split in SPLITS}
    lists = {split: path for split, path in lists.items() if path.is_file()}
    if lists:
        index = ImageIndex(root, images)
        splits = {split: index.listed(path, report) for split, path in lists.items()}
    else:
        splits = yaml_splits(root, yaml_file, images, report) if yaml_file else {}
        splits = splits or folder_splits(images)
    if splits:
        add_rest(splits, images, rest, report)
    else:
        splits = {'result': images}
    for split in [split for split, named in splits.items() if not named]:
        report.notes[f'split without images: {split}'] += 1
        del splits[split]
    if not splits:
        raise DataError(f'{root / image_root}: no image found, or the lists of the splits fit none')
    return YoloLayout(root, classes, image_root, images, splits)


def folder_splits(images: Iterable[str]) -> dict[str, list[str]]:
    """Return images by the folder ``images/<split>`` they lie in; none unless all lie in such."""
    splits: dict[str, list[str]] = {}
    for image in images:
        parts = image.split('/')
        if len(parts) < 3 or parts[1] not in SPLITS:
            return {}
        splits.setdefault(parts[1], []).append(image)
    return splits


def add_rest(
    splits: dict[str, list[str]], images: list[str], rest: str | None, report: ConversionReport
) -> None:
    """Count the images that no split names, or make a split of them."""
    taken = {image for split in splits.values() for image in split}
    left = [image for image in images if image not in taken]
    if repeated := sum(map(len, splits.values())) - len(taken):
        report.notes['images named by more than one split'] += repeated
    if left and rest:
        splits[rest] = sorted({*splits.get(rest, []), *left})
    elif left:
        report.notes['images in no split left out (--rest NAME collects them)'] += len(left)


def yaml_splits(
    root: Path, path: Path, images: list[str], report: ConversionReport
) -> dict[str, list[str]]:
    """Return the images of the keys ``train``, ``val`` and ``test`` of a YAML file.

    A value is a folder, a list file, or a list of these, relative to the key ``path``, to the data
    set or to the YAML file.

    Raises:
        DataError: A value is no path, or lies nowhere in the data set.
    """
    content = read_yaml(path)
    base = content.get('path')
    bases = [root, path.parent]
    if isinstance(base, str):
        bases += [path.parent / base, Path(base)]
    index = ImageIndex(root, images)
    splits: dict[str, list[str]] = {}
    for split in SPLITS:
        value = content.get(split)
        for entry in value if isinstance(value, list) else [value]:
            if entry is None:
                continue
            where = f'{path}, key "{split}"'
            if not isinstance(entry, str) or '\0' in entry:
                raise DataError(f'{where}: {few_letters(entry)} is no path')
            found = _inside(root, bases, entry, where)
            folder = '' if found == '.' else f'{found}/'
            named = (
                index.listed(root / found, report)
                if (root / found).is_file()
                else [image for image in images if image.startswith(folder)]
            )
            splits[split] = list(dict.fromkeys([*splits.get(split, []), *named]))
    return splits


def _inside(root: Path, bases: Iterable[Path], entry: str, where: str) -> str:
    """Return an existing path of a YAML file relative to the data set's folder."""
    top = os.path.abspath(root)
    # exports of some sites say ../train/images where train/images is meant
    places = [root / entry.replace('\\', '/').lstrip('./')] + [base / entry for base in bases]
    for place in map(os.path.abspath, places):
        relative = os.path.relpath(place, top).replace(os.sep, '/')
        if os.path.exists(place) and not relative.startswith('../'):
            return relative
    raise DataError(
        f'{where}: {few_letters(entry)} is not found in {root}; pass the folder that '
        'holds it as data set'
    )


class ImageIndex:
    """Finds the images that a list names: by path, else by a base name that only one has."""

    def __init__(self, root: Path, images: Iterable[str]) -> None:
        self.top = os.path.abspath(root).replace(os.sep, '/')
        self.paths = set(images)
        self.by_name: dict[str, list[str]] = {}
        for image in self.paths:
            name = posixpath.basename(image)
            for key in {name, stem(name)}:
                self.by_name.setdefault(key, []).append(image)

    def listed(self, path: Path, report: ConversionReport) -> list[str]:
        """Return the images that a list file names, each once, in the list's order.

        Raises:
            DataError: The file cannot be read, or, unless the report collects such errors, a name
                fits several images.
        """
        found: dict[str, None] = {}
        for number, line in enumerate(read_lines(path)):
            if not line:
                continue
            matches = self.matches(line)
            where = f'{path}, line {number + 1}'
            if len(matches) == 1:
                found[matches[0]] = None
            elif matches:
                report.structural(
                    f'{few_letters(line)} is the name of {len(matches)} images', where
                )
            else:
                report.skip(f'listed image not found: {few_letters(line)}', where)
        return list(found)

    def matches(self, line: str) -> list[str]:
        """Return the images that a line of a list may mean."""
        name = posixpath.normpath(line.replace('\\', '/'))
        inside = name.removeprefix(f'{self.top}/')
        for candidate in (inside, f'images/{inside}'):
            if candidate in self.paths:
                return [candidate]
        return self.by_name.get(posixpath.basename(name), [])
