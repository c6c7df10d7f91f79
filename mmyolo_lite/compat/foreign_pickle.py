"""Reading checkpoints whose pickles name classes of other projects, without running any of them.

The pickle is read by a small machine of its own: it knows numbers, texts, plain containers and
tensors. Whatever else a file names becomes an inert
:class:`~mmyolo_lite.compat.foreign_objects.Foreign` that holds its state, if it is a class of
another project, or is refused, if it is a function or belongs to Python, NumPy or PyTorch (spec:
weights.md).
"""

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from mmyolo_lite.compat.foreign_objects import (
    Foreign,
    UnsafePickleError,
    called,
    checked_name,
    new_object,
    plain_dict,
    referenced,
)

MAX_OPERATIONS = 3_000_000
"""A pickle of the largest model has some 100,000."""


def read_pickle(stream: BinaryIO) -> Any:
    """Read one pickle and leave the stream behind it.

    Args:
        stream: seekable, at the start of the pickle.

    Returns:
        Numbers, texts, bytes, dicts (keys: numbers and texts), lists (sets too), tuples,
        and the objects of :mod:`~mmyolo_lite.compat.foreign_objects`.

    Raises:
        UnsafePickleError: it names a function, or anything of Python, NumPy or PyTorch that is not
            in a short list.
        ValueError, IndexError, KeyError, TypeError ...: it is damaged.
    """
    machine = _Machine()
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if count > MAX_OPERATIONS:
            raise ValueError('the pickle is too long')
        if operation.name == 'STOP':
            break
        machine.run(operation.name, argument)
    return machine.pop()


_MARK = object()


class _Machine:
    """The stack and memory of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError('a mark in place of a value')
        return value

    def pop_mark(self) -> list[Any]:
        """Return what lies above the last mark."""
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def run(self, operation: str, argument: Any) -> None:
        """Take one step."""
        if operation in _LITERALS:
            self.stack.append(argument)
        elif operation in _VALUES:
            self.stack.append(_VALUES[operation]())
        elif operation in _FROM_MARK:
            self.stack.append(_FROM_MARK[operation](self.pop_mark()))
        elif operation in _GETS:
            self.stack.append(self.memory[int(argument)])
        elif operation in _PUTS:
            self.memory[int(argument)] = self.stack[-1]
        elif operation in _STEPS:
            _STEPS[operation](self, argument)
        elif operation not in ('PROTO', 'FRAME'):
            raise UnsafePickleError(f'the pickle operation {operation}')

    def name(self, argument: Any) -> None:
        self.stack.append(checked_name(*argument.split(' ', 1)))

    def name_of_stack(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise ValueError('a name that is no text')
        self.stack.append(checked_name(module, name))

    def instance(self, argument: Any) -> None:
        arguments = tuple(self.pop_mark())
        self.stack.append(new_object(checked_name(*argument.split(' ', 1)), arguments))

    def instance_of_stack(self, _: Any) -> None:
        kind, *arguments = self.pop_mark()
        self.stack.append(new_object(kind, tuple(arguments)))

    def new(self, _: Any) -> None:
        arguments, kind = self.pop(), self.pop()
        self.stack.append(new_object(kind, arguments))

    def new_with_names(self, _: Any) -> None:
        self.pop()
        self.new(_)

    def call(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        self.stack.append(called(function, arguments))

    def build(self, _: Any) -> None:
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, Foreign):
            for part in state if type(state) is tuple else (state,):
                if type(part) is dict:
                    target.state.update(part)
        elif type(target) not in (dict, list):  # attributes of an OrderedDict hold no weights
            raise UnsafePickleError(f'the state of a {type(target).__name__}')

    def persistent(self, _: Any) -> None:
        self.stack.append(referenced(self.pop()))

    def append(self, _: Any) -> None:
        self._extend([self.pop()])

    def appends(self, _: Any) -> None:
        self._extend(self.pop_mark())

    def _extend(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is list:
            self.stack[-1].extend(values)
        elif not isinstance(self.stack[-1], Foreign):
            raise ValueError('items of something that is no list')

    def item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self._update([key, value])

    def items(self, _: Any) -> None:
        self._update(self.pop_mark())

    def _update(self, pairs: list[Any]) -> None:
        if type(self.stack[-1]) is dict:
            self.stack[-1].update(plain_dict(pairs))
        elif not isinstance(self.stack[-1], Foreign):
            raise ValueError('entries of something that is no dict')

    def tuple(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.stack.append(tuple(values[::-1]))

    def drop(self, _: Any) -> None:
        self.stack.pop()

    def drop_mark(self, _: Any) -> None:
        self.pop_mark()

    def repeat(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def remember(self, _: Any) -> None:
        self.memory[len(self.memory)] = self.stack[-1]


_LITERALS = {
    *('INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4', 'FLOAT', 'BINFLOAT'),
    *('STRING', 'BINSTRING', 'SHORT_BINSTRING', 'UNICODE', 'BINUNICODE', 'SHORT_BINUNICODE'),
    *('BINUNICODE8', 'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8', 'BYTEARRAY8'),
}
_VALUES: dict[str, Callable[[], Any]] = {
    'NONE': lambda: None,
    'NEWTRUE': lambda: True,
    'NEWFALSE': lambda: False,
    'EMPTY_LIST': list,
    'EMPTY_SET': list,
    'EMPTY_DICT': dict,
    'EMPTY_TUPLE': tuple,
}
_FROM_MARK: dict[str, Callable[[list[Any]], Any]] = {
    'LIST': list,
    'FROZENSET': list,
    'TUPLE': tuple,
    'DICT': plain_dict,
}
_GETS = {'GET', 'BINGET', 'LONG_BINGET'}
_PUTS = {'PUT', 'BINPUT', 'LONG_BINPUT'}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    'GLOBAL': _Machine.name,
    'STACK_GLOBAL': _Machine.name_of_stack,
    'INST': _Machine.instance,
    'OBJ': _Machine.instance_of_stack,
    'NEWOBJ': _Machine.new,
    'NEWOBJ_EX': _Machine.new_with_names,
    'REDUCE': _Machine.call,
    'BUILD': _Machine.build,
    'BINPERSID': _Machine.persistent,
    'APPEND': _Machine.append,
    'APPENDS': _Machine.appends,
    'ADDITEMS': _Machine.appends,
    'SETITEM': _Machine.item,
    'SETITEMS': _Machine.items,
    'TUPLE1': lambda machine, _: machine.tuple(1),
    'TUPLE2': lambda machine, _: machine.tuple(2),
    'TUPLE3': lambda machine, _: machine.tuple(3),
    'POP': _Machine.drop,
    'POP_MARK': _Machine.drop_mark,
    'DUP': _Machine.repeat,
    'MARK': _Machine.mark,
    'MEMOIZE': _Machine.remember,
}
