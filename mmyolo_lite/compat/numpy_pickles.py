"""Stand-ins for the classes that a runner's checkpoint names beside tensors: NumPy's and the log
history.

The restricted loading of PyTorch calls whatever its allow-list holds with arguments that the file
chooses. NumPy's own ``dtype``, ``ndarray`` and ``_reconstruct`` are not made for that: a dtype
whose state calls numbers object references makes NumPy follow any address. So the list holds these
small classes under NumPy's names; they accept plain numbers alone, make real arrays by
``numpy.frombuffer`` and refuse the rest.
"""

import pickle
from typing import Any, NoReturn

import numpy as np
import torch

# mmengine is imported in functions: its import is what has the fences installed
_HISTORY_MODULE = 'mmengine.logging.history_buffer'

CODES = frozenset(np.dtype(code).str[1:] for code in '?bBhHiIlLqQefdFD')
"""The dtypes allowed, as a pickle writes them: ``'f8'``, ``'i4'``, ``'b1'`` ..."""

REFUSED = 'is not allowed in a checkpoint'
"""Every refusal of this file ends so."""


def _refuse(what: str) -> NoReturn:
    raise pickle.UnpicklingError(f'{what} {REFUSED}')


class _DType:
    """Stands in for ``numpy.dtype``: a kind of number and its byte order."""

    __slots__ = ('code', 'order')
    code: str
    order: str

    def __new__(cls, code: Any = None, *flags: Any) -> '_DType':  # flags: align, copy
        if type(code) is not str or code not in CODES:
            _refuse(f'numpy.dtype {code!r}'[:80])
        self = object.__new__(cls)
        self.code, self.order = code, '='
        return self

    def __init__(self, *arguments: Any) -> None:  # __new__ has used them
        pass

    def __setstate__(self, state: Any) -> None:
        """Take NumPy's (version, byte order, subarray, names, fields, size, alignment, flags)."""
        plain = (
            type(state) is tuple
            and len(state) == 8
            and state[1] in ('<', '>', '=', '|')
            and state[2:5] == (None, None, None)
            and state[7] == 0
        )
        if not plain:
            _refuse('numpy.dtype with fields, a shape or flags')
        self.order = state[1]

    def real(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class _Array:
    """Stands in for ``numpy.ndarray``; `value` is the real one once its state is set."""

    __slots__ = ('value',)
    value: np.ndarray | None

    def __new__(cls, *arguments: Any) -> '_Array':
        if arguments:
            _refuse('numpy.ndarray called directly')
        self = object.__new__(cls)
        self.value = None
        return self

    def __setstate__(self, state: Any) -> None:
        """Take NumPy's (version, shape, dtype, Fortran order, bytes)."""
        if type(state) is not tuple or len(state) != 5:
            _refuse('numpy.ndarray with an unknown state')
        _, shape, dtype, fortran, raw = state
        if type(dtype) is not _DType or type(raw) is not bytes:
            _refuse('numpy.ndarray of anything but numbers')
        if type(shape) is not tuple or any(type(n) is not int or n < 0 for n in shape):
            _refuse('numpy.ndarray of that shape')
        flat = np.frombuffer(raw, dtype.real())
        self.value = flat.reshape(shape, order='F' if fortran else 'C').copy(order='K')


class _History:
    """Stands in for mmengine's ``HistoryBuffer``; `value` is the real one once its state is set."""

    __slots__ = ('value',)
    value: Any

    def __new__(cls, *arguments: Any) -> '_History':
        if arguments:
            _refuse('HistoryBuffer called directly')
        self = object.__new__(cls)
        self.value = None
        return self

    def __setstate__(self, state: Any) -> None:
        """Take the attributes, but for ``statistics_methods``: it would change the class."""
        if type(state) is not dict or type(state.get('max_length')) is not int:
            _refuse('HistoryBuffer with an unknown state')
        from mmengine.logging.history_buffer import HistoryBuffer

        history = HistoryBuffer(max_length=state['max_length'])
        for name in ('_log_history', '_count_history'):
            array = state.get(name)
            if type(array) is not _Array or array.value is None or array.value.ndim != 1:
                _refuse(f'HistoryBuffer without an array {name}')
            setattr(history, name, array.value)
        self.value = history


def _scalar(dtype: Any = None, raw: Any = None) -> Any:
    """Stand in for ``numpy.core.multiarray.scalar``."""
    if type(dtype) is not _DType or type(raw) is not bytes or len(raw) != dtype.real().itemsize:
        _refuse('numpy scalar of anything but a number')
    return np.frombuffer(raw, dtype.real())[0]


def _reconstruct(kind: Any = None, *_: Any) -> _Array:
    """Stand in for ``numpy.core.multiarray._reconstruct``."""
    if kind is not _Array:
        _refuse('subclass of numpy.ndarray')
    return _Array()


def _getattr(owner: Any = None, name: Any = None, *default: Any) -> Any:
    """Stand in for ``getattr``, which pickled log histories name their methods through."""
    if owner is not _History or name not in ('mean', 'max', 'min', 'current') or default:
        _refuse(f'getattr {name!r}'[:80])
    from mmengine.logging.history_buffer import HistoryBuffer

    return getattr(HistoryBuffer, name)


def _bytes(*arguments: Any) -> bytes:
    """Stand in for ``bytes``, which the content of an empty array is pickled as a call of."""
    if arguments:
        _refuse('bytes with arguments')
    return b''


def _encode(text: Any = None, encoding: Any = None) -> bytes:
    """Stand in for ``_codecs.encode``, which other bytes are pickled as a call of; PyTorch knows it
    by itself from 2.5 on.
    """
    if type(text) is not str or encoding != 'latin1' or (text and max(text) > '\xff'):
        _refuse('_codecs.encode of anything but bytes')
    return text.encode('latin1')


def _named(stand_in: Any, module: str, name: str) -> Any:
    """Set the name that the allow-list knows `stand_in` by (``__name__`` before PyTorch 2.5)."""
    stand_in.__module__, stand_in.__qualname__, stand_in.__name__ = module, name, name
    return stand_in


def _multiarray(core: str) -> list[Any]:
    """Return the two functions under the name of one NumPy: ``core`` of 1, ``_core`` of 2."""
    module = f'numpy.{core}.multiarray'
    return [
        _named(lambda *arguments: _scalar(*arguments), module, 'scalar'),
        _named(lambda *arguments: _reconstruct(*arguments), module, '_reconstruct'),
    ]


STAND_INS: list[Any] = [
    _named(_DType, 'numpy', 'dtype'),
    _named(_Array, 'numpy', 'ndarray'),
    _named(_History, _HISTORY_MODULE, 'HistoryBuffer'),
    _named(_getattr, 'builtins', 'getattr'),
    _named(_bytes, 'builtins', 'bytes'),
    _named(_encode, '_codecs', 'encode'),
    *_multiarray('core'),
    *_multiarray('_core'),
]
"""What the allow-list of a restricted load gets."""


def unwrap(loaded: Any) -> Any:
    """Put real arrays and histories in place of the stand-ins, in place where that can be.

    Raises:
        pickle.UnpicklingError: an array or history has no content, or nesting is too deep.
    """
    try:
        return _unwrap(loaded, {})
    except RecursionError:
        _refuse('nesting this deep')


def _unwrap(part: Any, seen: dict[int, tuple[Any, Any]]) -> Any:
    """Unwrap `part`; `seen` maps ids to (original, result): shared parts are done once."""
    if isinstance(part, _Array | _History):
        return part.value if part.value is not None else _refuse('numpy.ndarray without content')
    if isinstance(part, torch.Tensor) and (part.layout != torch.strided or part.is_meta):
        # indices of a sparse one may lead anywhere; one of the device meta has no numbers
        return _refuse(f'a tensor of {"the device meta" if part.is_meta else part.layout}')
    if id(part) in seen:
        return seen[id(part)][1]
    if isinstance(part, dict):
        seen[id(part)] = part, part
        for key in list(dict.keys(part)):  # a file can shadow methods of an OrderedDict's instance
            part[key] = _unwrap(part[key], seen)
    elif type(part) is list:
        seen[id(part)] = part, part
        part[:] = [_unwrap(value, seen) for value in part]
    elif type(part) is tuple:
        changed = tuple(_unwrap(value, seen) for value in part)
        seen[id(part)] = part, changed
        return changed
    return part
