"""Where converters find images and label files, and how they read lists of names."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mmyolo_lite.datasets.coco_checks import few_letters
from mmyolo_lite.datasets.file_io import read_file
from mmyolo_lite.errors import DataError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')


def list_files(folder: Path, suffixes: Sequence[str], *, recursive: bool = False) -> list[str]:
    """Return the files with one of the suffixes (lower case; matched in any case) in a folder.

    Args:
        folder: Where to look.
        suffixes: Endings with their dot.
        recursive: Look into sub-folders too, behind links as well, into each once.

    Returns:
        Sorted paths relative to ``folder``, with forward slashes.

    Raises:
        DataError: The folder is missing or cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f'{error.filename}: cannot be listed ({error.strerror})') from error

    found: list[str] = []
    visited: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in visited or not recursive:
            folders.clear()  # a link back to a parent would never end
        if real in visited:
            continue
        visited.add(real)
        prefix = '' if place == str(folder) else f'{os.path.relpath(place, folder)}{os.sep}'
        found += [prefix + name for name in names if name.lower().endswith(tuple(suffixes))]
    return sorted(name.replace(os.sep, '/') for name in found)


def stem(name: str) -> str:
    """Return a relative path without its suffix: what an image and its label file share."""
    return os.path.splitext(name)[0]


def safe_name(filename: Any) -> str | None:
    """Return a relative path with forward slashes, or None when it is none or leaves its folder."""
    if not isinstance(filename, str) or '\0' in filename:
        return None
    path = PurePosixPath(filename.replace('\\', '/'))
    leaves = path.is_absolute() or '..' in path.parts or ':' in str(path) or not path.name
    try:
        os.fsencode(filename)
    except UnicodeError:  # half a surrogate pair: no file can be called so
        return None
    return None if leaves else str(path)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 text file without surrounding blanks.

    Raises:
        DataError: The file is missing, a folder or not UTF-8.
    """
    try:
        text = read_file(path).decode('utf-8-sig')
        return [line.strip() for line in re.split('\r\n?|\n', text)]
    except (OSError, ValueError) as error:
        raise DataError(f'{path}: cannot be read ({error})') from error


def check_class_name(name: Any, where: str) -> str:
    """Return a class name without surrounding blanks.

    Raises:
        DataError: It is no text, empty, or has a line break or another unprintable character.
    """
    stripped = name.strip() if isinstance(name, str) else ''
    if not stripped or not stripped.isprintable():
        raise DataError(
            f'{where}: {few_letters(name)} is no class name; write a non-empty line of text'
        )
    return stripped


def read_class_names(path: Path) -> dict[str, int]:
    """Return the classes of a text file with one name a line, numbered from 0.

    Blank lines at the end are ignored; names may hold spaces.

    Raises:
        DataError: The file cannot be read, is empty, has a blank line between names or a name
            twice.
    """
    lines = read_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    return number_classes(
        ((check_class_name(line, f'{path}, line {i + 1}'), i) for i, line in enumerate(lines)), path
    )


def number_classes(pairs: Iterable[tuple[str, int]], path: Path) -> dict[str, int]:
    """Return the ids of classes by name.

    Raises:
        DataError: There is none, or a name or an id appears twice; the message names ``path``.
    """
    numbers: dict[str, int] = {}
    for name, number in pairs:
        if name in numbers or number in numbers.values():
            raise DataError(
                f'{path}: the class {few_letters(name)} or its id {number} appears twice'
            )
        numbers[name] = number
    if not numbers:
        raise DataError(f'{path}: holds no class name; write one a line')
    return numbers
