"""Whether values of a config have the types that constructors are annotated with."""

import ast
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import cache
from numbers import Number
from typing import Any, Literal, Union, get_args, get_origin

import torch

_NUMBERS = (int, float, bool, complex)
_UNIONS = (Union, types.UnionType)
_ORDERED = (list, tuple, Sequence, Iterable, set, frozenset, Set)
_WORDS = {int: 'whole numbers', float: 'numbers', str: 'texts', bool: 'True and False'}
_WORD = {
    int: 'a whole number',
    float: 'a number',
    str: 'text in quotes',
    bool: 'True or False',
    dict: 'a dict',
    type(None): 'None',
}


@cache
def annotations_of(component: Any) -> dict[str, tuple[Any, bool]]:
    """Return the types of the arguments of a class or function by name, those of parents too, and
    whether this package wrote them.
    """
    callables = [component]
    if inspect.isclass(component):
        callables = [vars(cls)['__init__'] for cls in component.__mro__ if '__init__' in vars(cls)]
    found: dict[str, tuple[Any, bool]] = {}
    for function in callables:
        try:
            hints = typing.get_type_hints(function)
        except Exception:  # of another project: names that are imported for type checkers only
            hints = {}
        for name, hint in hints.items():
            found.setdefault(name, (hint, function.__module__.startswith('mmyolo_lite.')))
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            break
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def mistake(value: Any, annotation: Any, is_ours: bool) -> str | None:
    """Return what a value should be if it has the wrong type, such as 'a whole number'.

    Args:
        value: of a config.
        annotation: of the argument.
        is_ours: annotations are exact. Those of other projects are trusted in the plainest cases
            only: text where none is allowed, text or a number for a dict.
    """
    if (accepts if is_ours else _plausible)(value, annotation):
        return None
    expected = described(annotation)
    if expected is None:
        return None
    return f'{expected}. {_remedy(value, annotation)}'.rstrip()


def accepts(value: Any, annotation: Any) -> bool:
    """Say whether a value fits an annotation; of those that it cannot judge, every value does."""
    origin = get_origin(annotation)
    if origin in _UNIONS:
        return any(accepts(value, one) for one in get_args(annotation))
    if origin is Literal:
        return value in get_args(annotation)
    if annotation in (int, float, bool):
        return _is_number(value, annotation)
    if annotation is str:
        return isinstance(value, str)
    if annotation is type(None) or annotation is None:
        return value is None
    kind = origin or annotation
    if kind in (dict, Mapping):
        return isinstance(value, Mapping)
    if kind in _ORDERED:
        return _is_list(value, get_args(annotation))
    return True


def _is_number(value: Any, kind: type) -> bool:
    if isinstance(value, (str, Mapping, list, tuple)) or value is None:
        return False
    if kind is bool:
        return isinstance(value, bool) or value in (0, 1)
    if kind is int and isinstance(value, float):
        return value.is_integer()
    return not (kind is int and isinstance(value, bool))


def _is_list(value: Any, kinds: tuple) -> bool:
    if isinstance(value, (str, Mapping, Number)) or value is None:
        return False
    if not isinstance(value, (list, tuple)) or not kinds:
        return True
    if len(kinds) == 2 and kinds[1] is Ellipsis or len(kinds) == 1:
        return all(accepts(one, kinds[0]) for one in value)
    return len(value) == len(kinds) and all(map(accepts, value, kinds))


def _plausible(value: Any, annotation: Any) -> bool:
    kinds = _kinds(annotation)
    if kinds is None:
        return True
    if isinstance(value, str):
        return 'text' in kinds
    if isinstance(value, (int, float)):
        return kinds - {'none'} != {'dict'}
    return True


def _kinds(annotation: Any) -> set[str] | None:
    """Return the kinds of values that an annotation names, None if one of them is unknown."""
    origin = get_origin(annotation)
    if origin in _UNIONS:
        parts = [_kinds(one) for one in get_args(annotation)]
        return None if None in parts else set().union(*parts)  # type: ignore[arg-type]
    if origin is Literal:
        return {'text'}
    if annotation in _NUMBERS or annotation is torch.Tensor:
        return {'number'}
    if annotation is type(None):
        return {'none'}
    kind = origin or annotation
    if kind in (dict, Mapping):
        return {'dict'}
    if kind in _ORDERED:
        return {'list'}
    return {'text'} if annotation is str else None


def described(annotation: Any) -> str | None:
    """Return an annotation in words, None if there are none for it."""
    origin = get_origin(annotation)
    if origin in _UNIONS:
        words = [described(one) for one in get_args(annotation)]
        return ' or '.join(dict.fromkeys(word for word in words if word)) or None
    if origin is Literal:
        return ' or '.join(map(repr, get_args(annotation)))
    if annotation in _WORD:
        return _WORD[annotation]
    kind, kinds = origin or annotation, get_args(annotation)
    if kind in (dict, Mapping):
        return 'a dict'
    if kind not in _ORDERED:
        return None
    name = 'a tuple' if kind is tuple else 'a list'
    if not kinds:
        return name
    inner = _WORDS.get(kinds[0])
    if len(kinds) > 1 and kinds[1] is not Ellipsis:
        return f'{name} of {len(kinds)}' + (f' {inner}' if inner else '')
    return name + (f' of {inner}' if inner else '')


def _remedy(value: Any, annotation: Any) -> str:
    """Return what to write in place of a value, where that is plain."""
    if isinstance(value, str):
        try:
            meant = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ''
        return f'Write {meant!r}, without quotes.' if accepts(meant, annotation) else ''
    pair = (value, value)
    if isinstance(value, (int, float)) and accepts(pair, annotation):
        return f'Write {pair}.'
    if isinstance(value, (list, tuple)) and len(value) == 1 and accepts(value[0], annotation):
        return f'Write {value[0]!r}.'
    return ''


def _whole(least: int) -> tuple[Callable[[Any], bool], str]:
    def fits(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    return fits, f'a whole number of at least {least}'


def _number(fits: Callable[[float], bool], words: str) -> tuple[Callable[[Any], bool], str]:
    def check(value: Any) -> bool:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and fits(value) and math.isfinite(value)

    return check, words


_AT_LEAST_0 = _number(lambda value: value >= 0, 'a number of at least 0')
_POSITIVE = _number(lambda value: value > 0, 'a number above 0')
_SHARE = _number(lambda value: 0 <= value <= 1, 'a number from 0 to 1')
RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    'train_cfg.max_epochs': _whole(1),
    'train_cfg.max_iters': _whole(1),
    'train_cfg.val_interval': (
        _whole(1)[0],
        'a whole number of at least 1. To train without validation, set val_dataloader, val_cfg '
        'and val_evaluator to None',
    ),
    'train_cfg.val_begin': _whole(0),
    'optim_wrapper.optimizer.lr': _AT_LEAST_0,
    'optim_wrapper.optimizer.weight_decay': _AT_LEAST_0,
    'optim_wrapper.optimizer.momentum': _number(lambda v: 0 <= v < 1, 'a number from 0 to below 1'),
    'optim_wrapper.accumulative_counts': _whole(1),
    'model.backbone.deepen_factor': _POSITIVE,
    'model.backbone.widen_factor': _POSITIVE,
    'model.neck.deepen_factor': _POSITIVE,
    'model.neck.widen_factor': _POSITIVE,
    'model.bbox_head.head_module.widen_factor': _POSITIVE,
    'model.bbox_head.head_module.num_classes': _whole(1),
    'model.test_cfg.score_thr': _SHARE,
    'model.test_cfg.nms.iou_threshold': _SHARE,
    'model.test_cfg.max_per_img': _whole(1),
}
"""What values of fields must be, and in words. A field that is not set or None is not judged."""
PROBABILITY = _SHARE
