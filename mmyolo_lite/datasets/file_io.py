"""Small files read whole, and written whole or not at all."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmyolo_lite.errors import DataError
from mmyolo_lite.whole_files import write_bytes


def read_file(path: Path) -> bytes:
    """Return the content of a regular file; a pipe, say, might be waited for without end.

    Raises:
        OSError: The file is missing, no regular one or cannot be read.
    """
    if path.exists() and not path.is_file():
        raise OSError('it is no regular file')
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        DataError: The file is missing, not UTF-8 or not JSON.
    """
    try:
        return json.loads(read_file(path).decode('utf-8-sig'))  # some Windows tools put a mark
    except json.JSONDecodeError as error:
        raise DataError(
            f'{path}, line {error.lineno}: not valid JSON ({error.msg}); fetch or export the file '
            'again'
        ) from error
    except (OSError, ValueError) as error:  # UnicodeDecodeError, or a number of 5,000 digits
        raise DataError(f'{path}: cannot be read ({error})') from error
    except RecursionError as error:
        raise DataError(f'{path}: cannot be read (nested too deeply)') from error


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Raise DataError when one of the outputs exists and must not be replaced."""
    existing = [str(path) for path in paths if os.path.lexists(path)]
    if existing and not overwrite:
        raise DataError(f'{", ".join(existing)}: exists already; pass --overwrite to replace it')


def write_json(content: Any, path: Path) -> None:
    """Write a JSON file that appears whole or not at all.

    Raises:
        DataError: The folder cannot be made or written, or a number is not finite.
    """
    write_json_files({path: content})


def write_json_files(contents: Mapping[Path, Any]) -> None:
    """Write JSON files, each whole; none of them if one holds what JSON cannot.

    Raises:
        DataError: A folder cannot be made or written, or a number is not finite.
    """
    texts = {}
    for path, content in contents.items():
        try:
            texts[path] = json.dumps(content, allow_nan=False)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f'{path}: cannot be written ({error}); check_dataset.py --fix mends annotations'
            ) from error
    for path, text in texts.items():
        write_text(text, path)


def write_text(text: str, path: Path) -> None:
    """Write a UTF-8 file that appears whole or not at all: beside its place first, then renamed.

    Raises:
        DataError: The folder cannot be made or written, or the text is no valid Unicode.
    """
    try:
        content = text.encode()
    except ValueError as error:  # half of a surrogate pair
        raise DataError(f'{path} cannot be written: {error}') from error
    write_bytes(content, path)
