"""Where a config sets a value: the file and line, found in the text through all inherited files."""

import ast
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

Keys = tuple[str | int, ...]
_STEPS = re.compile(r'\[(\d+)\]|([^.\[\]]+)')
_DEEPEST = 60  # names that stand for names, and bases of bases
BASE = '_base_'


@dataclass(frozen=True)
class Node:
    """An expression of a config.

    Attributes:
        expression: what was written.
        file: where.
        before: it sees the first so many statements of that file.
        line: of the field that it is the value of.
    """

    expression: ast.expr
    file: 'ConfigFile'
    before: int
    line: int

    @property
    def value_line(self) -> int:
        """The line that the value itself begins in."""
        return self.expression.lineno


@dataclass(eq=False)
class ConfigFile:
    """The text of a config, parsed but not run.

    Attributes:
        path: of the file.
        tree: its syntax tree.
        bases: the files that it inherits from, in order.
        statements: what is assigned to which fields, in order.
    """

    path: str
    tree: ast.Module
    bases: list['ConfigFile'] = field(default_factory=list)
    statements: list[tuple[Keys, Node]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for target, value, line in _assignments(self.tree.body):
            self.statements.append((target, Node(value, self, len(self.statements), line)))

    def chain(self) -> Iterator['ConfigFile']:
        """Yield every file that is inherited from, each before what inherits it, and this one."""
        for base in self.bases:
            yield from base.chain()
        yield self

    def sets(self, name: str | int) -> bool:
        """Say whether this file assigns to a name."""
        return any(target[0] == name for target, _ in self.statements)

    def find(self, keys: Keys) -> Node | None:
        """Return what sets a field last, in this file or in one that it inherits from."""
        found, is_final = self._find_here(keys, len(self.statements), 0)
        if found is not None or is_final:
            return found
        return self._find_in_bases(keys)

    def _find_in_bases(self, keys: Keys) -> Node | None:
        for base in reversed(self.bases):
            found = base.find(keys)
            if found is not None:
                return found
        return None

    def _find_here(self, keys: Keys, before: int, depth: int) -> tuple[Node | None, bool]:
        """Return what sets a field among the first statements, and whether nothing inherited can
        set it.
        """
        for target, node in reversed(self.statements[:before]):
            if keys[: len(target)] != target:
                continue
            found = _inside(node, keys[len(target) :], depth + 1)
            if found is not None:
                return found, True
            if len(target) == 1:
                is_dict = _is_dict(followed(node, depth + 1).expression)
                return None, not is_dict or _deletes(node, keys[1:], depth + 1)
        return None, False


def _assignments(body: Sequence[ast.stmt]) -> Iterator[tuple[Keys, ast.expr, int]]:
    """Yield the fields and values of assignments at the top of a file, and in its conditions."""
    for statement in body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                keys = _keys_of(target)
                if keys:
                    yield keys, statement.value, statement.lineno
        elif isinstance(statement, ast.AnnAssign | ast.AugAssign) and statement.value is not None:
            keys = _keys_of(statement.target)
            if keys:
                yield keys, statement.value, statement.lineno
        elif isinstance(statement, ast.If | ast.With | ast.For):
            yield from _assignments([*statement.body, *getattr(statement, 'orelse', ())])


def _keys_of(target: ast.expr) -> Keys | None:
    """Return the field that ``a['b'][2]`` or ``a.b`` names, None for anything else."""
    if isinstance(target, ast.Name):
        return (target.id,)
    if isinstance(target, ast.Attribute):
        inner: Keys | None = _keys_of(target.value)
        return None if inner is None else (*inner, target.attr)
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        inner = _keys_of(target.value)
        return None if inner is None else (*inner, target.slice.value)  # type: ignore[arg-type]
    return None


def _is_dict(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Dict) or (
        isinstance(expression, ast.Call)
        and isinstance(expression.func, ast.Name)
        and expression.func.id == 'dict'
    )


def _entries(expression: ast.expr) -> Iterator[tuple[Any, ast.expr, int]]:
    """Yield key, value and line of a dict as written; the key of what is unpacked is None."""
    if isinstance(expression, ast.Dict):
        for key, value in zip(expression.keys, expression.values, strict=True):
            name = key.value if isinstance(key, ast.Constant) else None
            if key is None or name is not None:
                yield name, value, (key or value).lineno
    elif isinstance(expression, ast.Call):
        for argument in expression.args:
            yield None, argument, argument.lineno
        for keyword in expression.keywords:
            yield keyword.arg, keyword.value, keyword.lineno


def _inside(node: Node, keys: Keys, depth: int) -> Node | None:
    """Return what sets a field inside a value; a value that is computed sets all of its fields."""
    if not keys or depth > _DEEPEST:
        return node
    reference = _reference(node.expression)
    if reference is not None and reference[0] == BASE:
        return node.file._find_in_bases((*reference[1:], *keys))
    if reference is not None:
        found, is_set = node.file._find_here((*reference, *keys), node.before, depth)
        is_set = is_set or node.file.sets(reference[0])
        return found if is_set else node
    if _is_dict(node.expression):
        for name, value, line in reversed(list(_entries(node.expression))):
            entry = replace(node, expression=value, line=line)
            if name is None:
                found = _inside(entry, keys, depth + 1)
                found = None if found is entry else found  # what is unpacked is computed
            else:
                found = _inside(entry, keys[1:], depth + 1) if name == keys[0] else None
            if found is not None:
                return found
        return None
    if isinstance(node.expression, ast.Constant):
        return None
    elements = _elements(node, depth)
    if elements is None or not isinstance(keys[0], int):
        return node
    if not -len(elements) <= keys[0] < len(elements):
        return None
    return _inside(elements[keys[0]], keys[1:], depth + 1)


def _reference(expression: ast.expr) -> Keys | None:
    """Return the steps of a name or of a field of one, such as ``_base_.model``."""
    if isinstance(expression, ast.Name | ast.Attribute | ast.Subscript):
        return _keys_of(expression)
    return None


def _deletes(node: Node, keys: Keys, depth: int) -> bool:
    """Say whether ``_delete_=True`` on the way to a field keeps inherited values out."""
    for count in range(len(keys)):
        part = _inside(node, keys[:count], depth)
        if part is None:
            return False
        if has_delete(followed(part, depth)):
            return True
    return False


def has_delete(node: Node) -> bool:
    """Say whether a dict is written with ``_delete_``."""
    return any(name == '_delete_' for name, _, _ in _entries(node.expression))


def followed(node: Node, depth: int = 0) -> Node:
    """Return what a name, a field of ``_base_`` or a place in a list stands for, if it is known."""
    expression, keys = node.expression, _reference(node.expression)
    if keys is None or depth > _DEEPEST:
        return node
    if keys[0] == BASE:
        found = node.file._find_in_bases(keys[1:])
    else:
        found, _ = node.file._find_here(keys, node.before, depth + 1)
    if found is None or found.expression is expression:
        return node
    return replace(followed(found, depth + 1), line=node.line)


def _elements(node: Node, depth: int) -> list[Node] | None:
    """Return the elements of a list or tuple, None where they are computed."""
    node, expression = followed(node, depth), followed(node, depth).expression
    if depth > _DEEPEST:
        return None
    if isinstance(expression, ast.List | ast.Tuple):
        found: list[Node] = []
        for element in expression.elts:
            one = replace(node, expression=element, line=element.lineno)
            if isinstance(element, ast.Starred):
                several = _elements(replace(one, expression=element.value), depth + 1)
                if several is None:
                    return None
                found.extend(several)
            else:
                found.append(one)
        return found
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Add):
        sides = [
            _elements(replace(node, expression=side), depth + 1)
            for side in (expression.left, expression.right)
        ]
        return None if None in sides else [one for side in sides for one in side or ()]
    if isinstance(expression, ast.Subscript) and isinstance(expression.slice, ast.Slice):
        inner = _elements(replace(node, expression=expression.value), depth + 1)
        parts = expression.slice.lower, expression.slice.upper, expression.slice.step
        try:
            bounds = [None if part is None else ast.literal_eval(part) for part in parts]
            return None if inner is None else inner[slice(*bounds)]
        except (ValueError, TypeError):
            return None
    return None


def keys_of_path(path: str) -> Keys:
    """Return the steps of ``a.b[2].c``."""
    return tuple(int(index) if index else name for index, name in _STEPS.findall(path))


def shown(path: str) -> str:
    """Return a path as messages show it: seen from the current folder, if it lies inside."""
    try:
        near = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return path if near.startswith('..') else near


def parse(path: str | Path) -> ConfigFile | None:
    """Parse a config and what it inherits; None where that is not possible, as for other formats.

    What is missing or cannot be parsed among the inherited files is left out.
    """
    return _parse(os.path.abspath(os.path.expanduser(path)), ())


def _parse(path: str, above: tuple[str, ...]) -> ConfigFile | None:
    if not path.endswith('.py') or path in above or len(above) > _DEEPEST:
        return None
    try:
        found = ConfigFile(path, ast.parse(Path(path).read_text('utf-8')))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for name, _ in base_names(found.tree):
        base = _parse(base_path(name, path), (*above, path))
        if base is not None:
            found.bases.append(base)
    return found


def base_names(tree: ast.Module) -> list[tuple[str, int]]:
    """Return what ``_base_`` names, and the line of each."""
    for target, value, _ in _assignments(tree.body):
        if target == (BASE,):
            parts = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
            return [
                (part.value, part.lineno)
                for part in parts
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            ]
    return []


def base_path(name: str, path: str) -> str:
    """Return the path of what the config at `path` calls `name`; '' if there is no such package."""
    try:
        return os.path.normpath(Config._get_cfg_path(name, path)[0])
    except Exception:  # a package or a file of one that is not there
        return ''


class Places:
    """Finds what sets the fields of a config that was loaded.

    Args:
        config: as :func:`mmyolo_lite.engine.config.load_config` gives it.
    """

    def __init__(self, config: Any) -> None:
        self.filename = getattr(config, 'filename', None)
        self.options = getattr(config, '_cfg_options', None) or {}
        self._file: ConfigFile | None = None

    @property
    def file(self) -> ConfigFile | None:
        """The parsed config, None where there is none."""
        if self._file is None and self.filename:
            self._file = parse(self.filename)
        return self._file

    def find(self, path: str) -> Node | None:
        """Return what sets a field of the config file."""
        keys = keys_of_path(path)
        return self.file.find(keys) if self.file is not None and keys else None

    def of_option(self, path: str) -> bool:
        """Say whether the command line has set a field, or a part that it lies in."""
        keys = [str(key) for key in keys_of_path(path)]
        return any(keys[: len(parts)] == parts for parts in (o.split('.') for o in self.options))

    def text(self, path: str, value: Any = None, is_key: bool = False) -> str:
        """Return where a field is set, in words.

        Args:
            path: such as ``model.neck.in_channels[0]``.
            value: of the field; a line that plainly says something else is not named.
            is_key: the line of the field's name is wanted, not the one of its value.

        Returns:
            Such as ``Config a.py, line 3``, or ``--cfg-options``.
        """
        if self.of_option(path):
            return '--cfg-options'
        if not self.filename:
            return 'Config'
        node = self.find(path)
        if node is not None and not is_key:
            node = followed(node)
        if node is None or not (is_key or _may_be(node.expression, value)):
            return f'Config {shown(str(self.filename))}'
        line = node.line if is_key else node.value_line
        return f'Config {shown(node.file.path)}, line {line}'


def _may_be(expression: ast.expr, value: Any) -> bool:
    try:
        written = ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return True
    return value is None or _plain(written) == _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
