"""Published checkpoints: one file with weights, config, classes and input size, to hand on.

The config inside is data, never code: reading it runs nothing.
"""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmyolo_lite.errors import CheckpointError, ConfigError

KEY = 'published'
"""Under which a checkpoint's ``meta`` has what :func:`mmyolo_lite.deploy.publish.publish` adds."""
SUFFIXES = ('.pth', '.pt', '.safetensors')
"""Of files that hold weights, and maybe their config."""


def is_weights(path: str | Path) -> bool:
    """Say whether a path has the name of a file with weights."""
    return Path(path).suffix.lower() in SUFFIXES


def published_config(path: str | Path) -> Config:
    """Return the config inside a published checkpoint.

    Raises:
        CheckpointError: the file is missing or damaged.
        ConfigError: it holds no config.
    """
    loaded = CheckpointLoader.load_checkpoint(str(path), map_location='cpu', logger='silent')
    meta = loaded.get('meta') if isinstance(loaded, dict) else None
    inside = meta.get(KEY) if isinstance(meta, dict) else None
    text = inside.get('config') if isinstance(inside, dict) else None
    if not isinstance(text, str):
        raise ConfigError(
            f'{path} is a checkpoint without a config inside. Give the config, or publish the '
            'checkpoint with tools/misc/publish_model.py first.'
        )
    try:
        return Config(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f'The config inside {path} is damaged: {error}') from error


def checkpoint_of(config: str, checkpoint: str | None) -> str:
    """Return the checkpoint of a command line, where a published one serves as its own config.

    Args:
        config: path of a config or of a published checkpoint.
        checkpoint: path or URL; None takes `config`.

    Raises:
        ConfigError: none is given, and the config is a config alone.
    """
    if checkpoint is None and not is_weights(config):
        raise ConfigError(
            f'No checkpoint is given beside the config {config}. Only a published checkpoint '
            '(tools/misc/publish_model.py) holds both.'
        )
    return checkpoint or config


def config_from_text(text: str) -> dict[str, Any]:
    """Return the config that a training records in its checkpoints, without running the text.

    Args:
        text: assignments of literals and of ``dict(...)`` to names, as ``Config.dump`` writes.

    Raises:
        ValueError: the text is something else.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError('it is no list of assignments') from error
    found = {}
    for statement in tree.body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise ValueError(f'line {statement.lineno} is no assignment')
        found[statement.targets[0].id] = _value(statement.value)
    return found


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [_value(one) for one in node.elts]
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = (_value(key) for key in node.keys if key is not None)
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    is_dict = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    if is_dict and node.func.id == 'dict' and not node.args:  # type: ignore[attr-defined]
        return {str(one.arg): _value(one.value) for one in node.keywords}  # type: ignore[attr-defined]
    raise ValueError(f'line {node.lineno} is more than literals')


def plain(value: Any) -> Any:
    """Return a config's value as JSON has it: tuples as lists, classes by their names.

    Raises:
        ValueError: it holds something else, such as a function.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(one) for one in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, type):
        return f'{value.__module__}.{value.__qualname__}'
    raise ValueError(f'{value!r} cannot be written down')
