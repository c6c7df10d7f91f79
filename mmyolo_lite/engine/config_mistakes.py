"""Mistakes in a config, and how messages say where they were made."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmyolo_lite.engine.config_places import Places, followed, has_delete, shown
from mmyolo_lite.errors import ConfigError


class Mistake(ConfigError):
    """A field is wrong; :func:`placed` adds the file and the line.

    Attributes:
        path: of the field, such as ``model.neck.in_channels``.
        value: of the field, None where the message is not about it.
        is_key: the name of the field is wrong, not its value.
        is_missing: something is missing inside the field.
    """

    def __init__(
        self,
        path: str,
        message: str,
        value: Any = None,
        is_key: bool = False,
        is_missing: bool = False,
    ) -> None:
        super().__init__(message)
        self.path, self.value = path, value
        self.is_key, self.is_missing = is_key, is_missing


@contextmanager
def placed(config: Any) -> Iterator[None]:
    """Run a block that checks a config.

    Raises:
        ConfigError: in place of a :class:`Mistake`, with the place in front.
    """
    try:
        yield
    except Mistake as error:
        places = Places(config)
        text = places.text(error.path, error.value, error.is_key or error.is_missing)
        hint = _hint_of_inheritance(places, error)
        raise ConfigError(f'{text}: {error}{hint}') from error


@contextmanager
def at(path: str, value: Any = None) -> Iterator[None]:
    """Run a block that checks one field without knowing the place of it."""
    try:
        yield
    except Mistake:
        raise
    except ConfigError as error:
        raise Mistake(path, str(error), value) from error


def _hint_of_inheritance(places: Places, error: Mistake) -> str:
    """Return a sentence for what ``_delete_`` should do, or does."""
    if error.is_missing:
        node = places.find(error.path)
        if node is not None and has_delete(followed(node)):
            return ' _delete_=True has removed the inherited fields; write this one too.'
        return ''
    owner, _, _ = error.path.rpartition('.')
    field, kind = places.find(error.path), places.find(f'{owner}.type')
    if not error.is_key or field is None or kind is None or field.file is kind.file:
        return ''
    files = [] if places.file is None else [file.path for file in places.file.chain()]
    if files.index(field.file.path) > files.index(kind.file.path):
        return ''
    return (
        f' It is left over from what the type in {shown(kind.file.path)}, line {kind.line}, '
        f'replaces: write {os.path.basename(owner).rpartition(".")[2]}=dict(_delete_=True, ...) '
        'there.'
    )
