"""What stands for the objects of a foreign pickle: plain containers, tensors that are still in the
file, and inert holders. No name is looked up here, and nothing is called (spec: weights.md).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mmyolo_lite.errors import CheckpointError

ITEMSIZES = {
    'Float': 4,
    'Half': 2,
    'BFloat16': 2,
    'Double': 8,
    'Bool': 1,
    'Long': 8,
    'Int': 4,
    'Short': 2,
    'Char': 1,
    'Byte': 1,
}
"""Bytes of an element by the kind of storage."""

_NUMPY = ('numpy', 'numpy.core.multiarray', 'numpy._core.multiarray')
# what training scripts leave in their checkpoints beside weights; held as it is, never made
_INERT = {
    *((module, name) for module in _NUMPY for name in ('scalar', '_reconstruct')),
    *(('numpy', name) for name in ('dtype', 'ndarray', 'float64', 'float32', 'int64', 'bool_')),
    *(
        (module, name)
        for module in ('pathlib', 'pathlib._local')
        for name in ('Path', 'PosixPath', 'WindowsPath', 'PurePosixPath', 'PureWindowsPath')
    ),
    ('_codecs', 'encode'),
    ('argparse', 'Namespace'),
    ('types', 'SimpleNamespace'),
    ('datetime', 'datetime'),
    *(('torch', name) for name in ('device', 'Tensor', 'Size', 'float16', 'float32', 'float64')),
    *(('torch', name) for name in ('bfloat16', 'int64', 'int32', 'uint8', 'bool')),
    *(('torch', f'{kind}Storage') for kind in ITEMSIZES),
}
_BUILTINS = ('builtins', '__builtin__')
_CONTAINERS: dict[tuple[str, str], Callable[..., Any]] = {
    ('collections', 'OrderedDict'): dict,
    ('collections', 'defaultdict'): lambda *_: {},
    **{(module, name): list for module in _BUILTINS for name in ('set', 'frozenset', 'list')},
    **{(module, 'dict'): dict for module in _BUILTINS},
}
_TENSORS = {'_rebuild_tensor', '_rebuild_tensor_v2'}
_PARAMETERS = {'_rebuild_parameter', '_rebuild_parameter_with_state'}
_RECONSTRUCTOR = {('copyreg', '_reconstructor'), ('copy_reg', '_reconstructor')}


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names; it is not looked up."""

    module: str
    name: str

    @property
    def key(self) -> tuple[str, str]:
        """Module and name."""
        return self.module, self.name

    def __str__(self) -> str:
        return repr(f'{self.module}.{self.name}'[:80])[1:-1]


@dataclass(eq=False)
class Foreign:
    """Stands in for an object of a foreign class.

    Attributes:
        kind: its class, None for a key of a dict that is no number or text.
        arguments: what it was to be made from.
        state: its attributes.
    """

    kind: Name | None
    arguments: tuple = ()
    state: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Storage:
    """Where the elements of tensors lie in the file: kind (as in ITEMSIZES), key and number."""

    kind: str
    key: str
    numel: int


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that has not been read: its storage, first element, shape and strides."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class UnsafePickleError(CheckpointError):
    """A pickle names what only a program would need."""


def _is_foreign(name: Name) -> bool:
    """Say whether a class of another project is named, or a module of ``torch.nn``."""
    top = name.module.partition('.')[0]
    if top == 'torch':
        return name.module.startswith('torch.nn.')
    known = {*sys.stdlib_module_names, *_BUILTINS, 'copy_reg', 'exceptions', 'numpy', 'nt'}
    parts = f'{name.module}.{name.name}'.split('.')
    return top not in known and all(part.isidentifier() for part in parts)


_ALLOWED = (
    _INERT
    | set(_CONTAINERS)
    | _RECONSTRUCTOR
    | {('torch._utils', name) for name in _TENSORS | _PARAMETERS}
    | {(module, 'object') for module in _BUILTINS}
)


def plain_dict(pairs: list[Any]) -> dict[Any, Any]:
    """Return a dict of keys and values in turn.

    A key that is no plain one gets a stand-in: nested tuples can take for ever to hash.
    """
    if len(pairs) % 2:
        raise ValueError('a key without a value')
    return {
        key if key is None or type(key) in (int, float, bool, str, bytes) else Foreign(None): value
        for key, value in zip(pairs[::2], pairs[1::2], strict=True)
    }


def checked_name(module: str, name: str) -> Name:
    """Return a name, unless it is refused."""
    found = Name(module, name)
    if found.key not in _ALLOWED and not _is_foreign(found):
        raise UnsafePickleError(str(found))
    return found


def new_object(kind: Any, arguments: Any) -> Any:
    """Return what stands for a new object of a class."""
    if not isinstance(kind, Name):
        raise ValueError('an object of something that is no class')
    if kind.key in _ALLOWED:
        return called(kind, arguments)
    return Foreign(kind, arguments if type(arguments) is tuple else ())


def called(function: Any, arguments: Any) -> Any:
    """Return what a call would have made, for the few that weights need."""
    if not isinstance(function, Name):
        raise ValueError('a call of something that is no function')
    if type(arguments) is not tuple:
        raise ValueError('a call without arguments')
    if function.key in _CONTAINERS:
        return _container(function, arguments)
    if function.module == 'torch._utils':
        return arguments[0] if function.name in _PARAMETERS else _tensor(*arguments[:4])
    if function.key == ('torch', 'Size'):
        return tuple(arguments[0])
    if function.key in _RECONSTRUCTOR:
        return new_object(arguments[0], ())
    if function.key in _INERT:
        return Foreign(function, arguments)
    raise UnsafePickleError(f'a call of {function}')


def _container(kind: Name, arguments: tuple) -> dict | list:
    if kind.name == 'defaultdict' or not arguments:
        return _CONTAINERS[kind.key]()
    (content,) = arguments
    if type(content) not in (list, tuple, dict):
        raise ValueError(f'a {kind.name} of something that is no list')
    if _CONTAINERS[kind.key] is list:
        return list(content)
    if type(content) is dict:
        return dict(content)
    return plain_dict([part for key, value in content for part in (key, value)])


def _whole_numbers(values: Any) -> tuple[int, ...]:
    if type(values) not in (tuple, list) or any(type(n) is not int or n < 0 for n in values):
        raise ValueError('a shape that is none')
    return tuple(values)


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any) -> StoredTensor:
    shape, stride = _whole_numbers(shape), _whole_numbers(stride)
    if not isinstance(storage, Storage) or len(shape) != len(stride):
        raise ValueError('a tensor without a storage')
    (offset,) = _whole_numbers([offset])
    last, numel = offset, 1
    for size, step in zip(shape, stride, strict=True):
        last, numel = last + (size - 1) * step, numel * size
    if numel and (last >= storage.numel or numel > storage.numel):
        raise ValueError('a tensor that is larger than its storage')
    return StoredTensor(storage, offset, shape, stride)


def referenced(content: Any) -> Any:
    """Return the storage, or in old files the class, that a persistent id describes."""
    if type(content) is not tuple or not content:
        raise ValueError('an unknown reference')
    if content[0] == 'module' and len(content) >= 2:  # (., class, path and text of its source)
        return content[1]
    _, kind, key, _, numel, *view = content
    if content[0] != 'storage' or not isinstance(kind, Name) or any(view):
        raise ValueError('an unknown reference')
    name = kind.name.removesuffix('Storage')
    if kind.module != 'torch' or name not in ITEMSIZES or type(key) is not str:
        raise ValueError(f'a storage of {kind}')
    return Storage(name, key, _whole_numbers([numel])[0])
