"""What a file of results must look like to be shown: its shape, checked once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmyolo_lite.datasets.coco_checks import few_letters
from mmyolo_lite.errors import DataError

MAX_SIDE = 100_000
"""Pixels of a photo's side; what is longer is a damaged number."""


@dataclass(frozen=True)
class _Value:
    """A value that a test holds for; `wanted` completes "it must be"."""

    wanted: str
    holds: Callable[[Any], bool]


_Shape = Any
"""A :class:`_Value`, ``[shape]`` for a list of such, ``{key: shape}`` for an object that has
these keys and may have others."""


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**63


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (type(value) is float and math.isfinite(value))


def _is_optional(value: Any) -> bool:
    return value is None or _is_number(value)


_TEXT = _Value('a text', lambda value: isinstance(value, str))
_WHOLE = _Value('a whole number', _is_whole)
_NUMBER = _Value('a finite number', _is_number)
_OPTIONAL = _Value('a finite number or null', _is_optional)
_PATH = _Value('a path or null', lambda value: value is None or isinstance(value, str))
_SIDE = _Value(
    f'a whole number of 1 to {MAX_SIDE}', lambda value: _is_whole(value) and 1 <= value <= MAX_SIDE
)
_BOX = _Value(
    'four finite numbers',
    lambda value: isinstance(value, list) and len(value) == 4 and all(map(_is_number, value)),
)
# one value each, not a list of shapes: curves hold many numbers
_SERIES = _Value(
    'a list of finite numbers and nulls',
    lambda value: isinstance(value, list) and all(map(_is_optional, value)),
)
_SCORES = _Value(
    'an object of finite numbers and nulls',
    lambda value: isinstance(value, dict) and all(map(_is_optional, value.values())),
)
_KINDS = _Value(
    'a list of "bbox", "segm" or both',
    lambda value: isinstance(value, list) and value in (['bbox'], ['segm'], ['bbox', 'segm']),
)
_COUNTS = _Value(
    'an object of "tp", "fp" and "fn" by kind',
    lambda value: (
        isinstance(value, dict)
        and all(
            isinstance(one, dict) and all(_is_whole(one.get(name)) for name in ('tp', 'fp', 'fn'))
            for one in value.values()
        )
    ),
)

_CONTENT: _Shape = {
    'epoch': _WHOLE,
    'iter': _WHOLE,
    'scores': _SCORES,
    'classes': [_TEXT],
    'kinds': _KINDS,
    'images': [
        {
            'path': _PATH,
            'height': _SIDE,
            'width': _SIDE,
            'gt': [{'bbox': _BOX, 'label': _WHOLE, 'crowd': _WHOLE}],
            'pred': [{'bbox': _BOX, 'label': _WHOLE, 'score': _NUMBER, 'match': {}}],
            'errors': _COUNTS,
        }
    ],
}
_OF_KIND: dict[str, _Shape] = {
    'curves': {
        'best_confidence': _OPTIONAL,
        'classes': [
            {
                'name': _TEXT,
                'ap50': _OPTIONAL,
                **dict.fromkeys(('confidence', 'precision', 'recall', 'f1'), _SERIES),
                **dict.fromkeys(('pr_recall', 'pr_precision'), _SERIES),
            }
        ],
    },
    'confusion': {
        'labels': [_TEXT],
        'matrix': [_SERIES],
        'score_thr': _NUMBER,
        'iou_thr': _NUMBER,
    },
    'per_class': [
        {
            'name': _TEXT,
            'images': _WHOLE,
            'objects': _WHOLE,
            **dict.fromkeys(('precision', 'recall', 'f1', 'ap', 'ap50', 'ap75'), _OPTIONAL),
            **dict.fromkeys(('ap_small', 'ap_medium', 'ap_large'), _OPTIONAL),
        }
    ],
    'per_size': [{'size': _TEXT, 'objects': _WHOLE, 'ap': _OPTIONAL, 'recall': _OPTIONAL}],
}


def refuse_malformed(content: Any, path: Path) -> None:
    """Check all that a report reads of a file of results.

    Args:
        content: of the file.
        path: of the file, for messages.

    Raises:
        DataError: something is missing or malformed; the message names the place.
    """
    problem = _problem(content, _CONTENT, '')
    problem = problem or _problem_of_kinds(content) or _problem_of_images(content)
    if problem:
        raise DataError(f'{path}: {problem}. The file is damaged; validate again.')


def _problem(value: Any, shape: _Shape, place: str) -> str | None:
    """Return the first place where a value has not its shape, and why; None if it has."""
    if isinstance(shape, _Value):
        return None if shape.holds(value) else _wrong(place, value, shape.wanted)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _wrong(place, value, 'a list')
        found = (_problem(one, shape[0], f'{place}[{i}]') for i, one in enumerate(value))
        return next(filter(None, found), None)
    if not isinstance(value, dict):
        return _wrong(place, value, 'an object')
    for key, of in shape.items():
        inner = f'{place}.{key}' if place else key
        problem = _problem(value[key], of, inner) if key in value else f'{inner} is missing'
        if problem:
            return problem
    return None


def _wrong(place: str, value: Any, wanted: str) -> str:
    return f'{place or "the content"} is {few_letters(value)}; it must be {wanted}'


def _problem_of_kinds(content: dict[str, Any]) -> str | None:
    kinds = content['kinds']
    shape = {name: dict.fromkeys(kinds, of) for name, of in _OF_KIND.items()}
    problem = _problem(content, shape, '')
    if problem:
        return problem
    for kind in kinds:
        matrix, size = (
            content['confusion'][kind]['matrix'],
            len(content['confusion'][kind]['labels']),
        )
        if len(matrix) != size or any(len(row) != size or None in row for row in matrix):
            return f'confusion.{kind}.matrix is no matrix of {size} by {size} counts'
    return None


def _problem_of_images(content: dict[str, Any]) -> str | None:
    """Return where an object names a class or another object that there is not."""
    labels = range(len(content['classes']))
    for number, image in enumerate(content['images']):
        objects = range(-2, len(image['gt']))  # -1 none, -2 does not count
        for name in ('gt', 'pred'):
            for place, one in enumerate(image[name]):
                where = f'images[{number}].{name}[{place}]'
                if one['label'] not in labels:
                    return _wrong(f'{where}.label', one['label'], f'below {len(labels)}')
                for match in one.get('match', {}).values() if name == 'pred' else ():
                    if not _is_whole(match) or match not in objects:
                        return _wrong(f'{where}.match', match, f'below {len(image["gt"])}')
    return None
