"""Reading config files; what keeps one from loading is explained with the file and the line."""

import ast
import difflib
import importlib
import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from mmyolo_lite.engine import config_places as places
from mmyolo_lite.errors import ConfigError, UserError

_FORMATS = ('.py', '.json', '.yaml', '.yml')
_MAX_BYTES = 5_000_000  # the longest config of the field has some 30 kB


def read_config(path: str | Path) -> Config:
    """Read a config and what it inherits.

    Raises:
        ConfigError: a file is missing, inherits from itself, or does not run.
    """
    if not Path(path).is_file():
        raise ConfigError(f'Config not found: {path}. {similar_configs(Path(path))}')
    _check_chain(os.path.abspath(os.path.expanduser(path)))
    try:
        return Config.fromfile(str(path))
    except UserError:
        raise
    except Exception as error:  # configs are programs, which may fail in any way
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if 'temp_config_file' in frame.f_locals:  # mmengine leaves it open
                frame.f_locals['temp_config_file'].close()
        raise ConfigError(_explained(Path(path), error)) from error


def similar_configs(path: Path) -> str:
    """Return a sentence: the existing config with the name most like that of a missing one."""
    known = {
        found.name: found for found in (*Path('configs').rglob('*.py'), *path.parent.glob('*.py'))
    }
    similar = difflib.get_close_matches(path.name, known, n=1, cutoff=0.5)
    return (
        f'Did you mean {known[similar[0]]}?'
        if similar
        else 'Check the path; it is relative to the current folder.'
    )


def _check_chain(path: str, above: tuple[str, ...] = ()) -> None:
    """Check that a config and what it inherits are there and can be parsed."""
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise ConfigError(
            f'{places.shown(path)} is no config: its name must end in .py. '
            'Configs are Python files, such as those in configs/yolov5.'
        )
    text = _text(path)
    if suffix != '.py':
        _check_data(path, text)
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(_syntax(path, error)) from error
    for name, line in places.base_names(tree):
        base = places.base_path(name, path)
        place = f'Config {places.shown(path)}, line {line}'
        if not os.path.isfile(base):
            raise ConfigError(f'{place}: _base_ {name!r} does not exist. {_nearest(name, path)}')
        if base in (*above, path):
            circle = [*(*above, path)[(*above, path).index(base) :], base]
            names = ' -> '.join(os.path.basename(one) for one in circle)
            raise ConfigError(
                f'{place}: _base_ {name!r} leads back to the file itself ({names}). A config '
                'cannot inherit from itself; name the config that it should start from.'
            )
        _check_chain(base, (*above, path))


def _text(path: str) -> str:
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            raise ConfigError(
                f'{places.shown(path)} has {os.path.getsize(path)} bytes; it is no config.'
            )
        return Path(path).read_text('utf-8')
    except UnicodeDecodeError as error:
        raise ConfigError(
            f'{places.shown(path)} is no text in UTF-8 ({error.reason} at byte {error.start}), and '
            'so no config.'
        ) from error
    except OSError as error:
        raise ConfigError(
            f'{places.shown(path)} cannot be read: {error.strerror or error}.'
        ) from error


def _check_data(path: str, text: str) -> None:
    """Check a config in YAML or JSON, which may name no Python objects."""
    try:
        content = yaml.load(text, yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, 'problem_mark', None)
        reason = getattr(error, 'problem', None) or ' '.join(str(error).split())[:200]
        reason += f' (line {mark.line + 1})' if mark else ''
        raise ConfigError(
            f'{places.shown(path)} is no config in YAML or JSON: {reason}. '
            'Configs are Python files, such as those in configs/yolov5.'
        ) from error
    if not isinstance(content, dict) or not {'model', '_base_'} & set(map(str, content)):
        names = ', '.join(list(map(str, content))[:6]) if isinstance(content, dict) else ''
        raise ConfigError(
            f'{places.shown(path)} is no config of this project'
            + (f' (it has {names})' if names else '')
            + ". Write a Python file that starts with _base_ = '...' of configs/yolov5, and give "
            'your data as in docs/your_own_data.md.'
        )


def _nearest(name: str, path: str) -> str:
    """Return a sentence: the file most like a missing base, as ``_base_`` writes it."""
    folder = Path(path).parent
    if '::' in name:
        return 'Is the package installed? Its name stands before the ::.'
    wanted = Path(os.path.normpath(folder / name))
    parents = {wanted.parent, folder, *folder.parents[:2]}
    found = [one for parent in parents if parent.is_dir() for one in parent.glob('*.py')]
    found += list((folder / '..' / '_base_').resolve().glob('*.py'))
    by_name: dict[str, Path] = {}
    for one in sorted(set(found), key=lambda one: one.parent != wanted.parent):
        if os.path.normpath(one) != os.path.normpath(path):
            by_name.setdefault(one.name, one)
    similar = difflib.get_close_matches(wanted.name, by_name, n=1, cutoff=0.5)
    if not similar:
        return f'The path is seen from {places.shown(str(folder))}.'
    return f'Did you mean {Path(os.path.relpath(by_name[similar[0]], folder)).as_posix()!r}?'


def _syntax(path: str, error: Exception) -> str:
    if not isinstance(error, SyntaxError):
        return f'Config {places.shown(path)} cannot be parsed: {error or type(error).__name__}.'
    line = (error.text or '').strip()
    column = f', column {error.offset}' if error.offset else ''
    return (
        f'Config {places.shown(path)}, line {error.lineno}{column}: SyntaxError: '
        f'{error.msg}{"" if error.msg.endswith("?") else "."}'
        + (f' The line is: {line[:120]}' if line else '')
    )


def _explained(path: Path, error: Exception) -> str:
    """Return a message for what running a config raised."""
    text = ' '.join(str(error).split())
    file = places.parse(path)
    chain = list(file.chain()) if file else []
    if isinstance(error, KeyError) and 'Duplicate key' in text:
        return _duplicates(path, chain)
    if isinstance(error, ImportError) and 'Failed to import custom modules' in text:
        return _custom_imports(path, file, error)
    if isinstance(error, TypeError) and 'cannot inherit from base' in text:
        return _merge(path, chain, text)
    paths = {one.path for one in chain}
    lines = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in paths
    ]
    place = (
        f'{places.shown(lines[-1].filename)}, line {lines[-1].lineno},'
        if lines
        else places.shown(str(path))
    )
    return f'Config {place} does not load: {type(error).__name__}: {text[:300]}'


def _duplicates(path: Path, chain: Sequence[places.ConfigFile]) -> str:
    for file in chain:
        tops = [{t[0] for one in base.chain() for t, _ in one.statements} for base in file.bases]
        for second, base in enumerate(file.bases):
            for first in range(second):
                twice = sorted(map(str, tops[first] & tops[second] - {places.BASE}))
                if twice:
                    names = [places.shown(one.path) for one in (file.bases[first], base)]
                    return (
                        f'Config {places.shown(file.path)}: {names[0]} and {names[1]} of its '
                        f'_base_ both set {", ".join(twice[:5])}. Keep one of the two in _base_, '
                        'and write what you want of the other below it.'
                    )
    return f'Config {path}: two files of _base_ set the same name.'


def _custom_imports(path: Path, file: places.ConfigFile | None, error: ImportError) -> str:
    why: BaseException = error
    while (inner := why.__cause__ or why.__context__) is not None:
        why = inner
    node = file.find(('custom_imports',)) if file else None
    place = (
        f'Config {places.shown(node.file.path)}, line {node.line}'
        if node
        else f'Config {places.shown(str(path))}'
    )
    return (
        f'{place}: custom_imports does not import: {type(why).__name__}: '
        f'{" ".join(str(why).split())[:200]}. Modules are found in the current folder with '
        'PYTHONPATH=. before the command; names have dots and no .py.'
    )


def _merge(path: Path, chain: Sequence[places.ConfigFile], text: str) -> str:
    """Explain that a dict meets something else in the inherited config."""
    name = text.partition('=')[0]
    kind = text.partition('of type <class ')[2].partition('>')[0].strip("'")
    kind = 'None' if kind == 'NoneType' else f'a {kind}'
    place = f'Config {places.shown(str(path))}'
    for file in chain:
        for target, node in file.statements:
            line = _line_of_dict(target, node, name)
            if line and file.bases:
                place = f'Config {places.shown(file.path)}, line {line}'
    return (
        f'{place}: {name} is a dict, but {kind} in the inherited config, so the two cannot be '
        f'merged. Write {name}=dict(_delete_=True, ...) to replace it.'
    )


def _line_of_dict(target: places.Keys, node: places.Node, name: str) -> int | None:
    """Return the line of a dict in a field of that name, None if the statement has none."""
    if target[-1] == name:
        return node.line
    for part in ast.walk(node.expression):
        if isinstance(part, ast.keyword) and part.arg == name:
            return part.value.lineno
    return None


def failed_imports(config: Any, scope: str | None) -> list[str]:
    """Return which modules that could have registered a type failed to import, and why.

    Args:
        config: names modules in ``custom_imports``, maybe with ``allow_failed_imports``.
        scope: what stands before the dot of the type, None without one.
    """
    custom = config.get('custom_imports') or {}
    modules = custom.get('imports') or [] if isinstance(custom, dict) else []
    modules = [modules] if isinstance(modules, str) else list(modules)
    found = []
    for module in [f'{scope}.registry'] * bool(scope) + modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever a module raises is why it is missing
            found.append(f'{module} ({type(error).__name__}: {" ".join(str(error).split())[:150]})')
    return found
