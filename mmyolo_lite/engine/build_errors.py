"""Turn what mmengine's registries raise for a mistake in a config into a message with its place."""

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from mmengine import registry as root_registries
from mmengine.registry import Registry

from mmyolo_lite.engine.checks import accepted_fields, hint_at_field, typed_nodes
from mmyolo_lite.engine.config_loading import failed_imports
from mmyolo_lite.engine.config_places import Places
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import ALIAS_SCOPE, SCOPE

_UNKNOWN_TYPE = re.compile(
    r'(?P<kind>\S+) is not in the (?P<scope>\S+)::(?P<registry>.+?) registry'
)
_UNKNOWN_FIELD = re.compile(r"got an unexpected keyword argument '(?P<field>\w+)'")
_MISSING_FIELD = re.compile(r'missing \d+ required .*arguments?: (?P<fields>.+)')


@contextmanager
def config_errors(config: Any) -> Iterator[None]:
    """Run a block that builds components from `config`.

    Raises:
        ConfigError: in place of mmengine's ``KeyError`` for a type that nobody registered or a
            missing ``type``, and of Python's ``TypeError`` for a field that a class does not take.
            Other errors pass unchanged.
    """
    try:
        yield
    except KeyError as error:
        message = _explain_key_error(error, config)
        if message is None:
            raise
        raise ConfigError(message) from error
    except TypeError as error:
        message = _explain_type_error(error, config)
        if message is None:
            raise
        raise ConfigError(message) from error


def _explain_key_error(error: KeyError, config: Any) -> str | None:
    text = str(error.args[0]) if error.args else ''
    match = _UNKNOWN_TYPE.search(text)
    if match:
        kind = match['kind']
        path = _path_of(config, kind)
        field = f'{path}.type' if path is not None else 'The type'
        message = unknown_type(field, kind, match['registry'], config)
        return f'{_place(config, path)}: {message}'
    if 'must contain the key "type"' in text:
        return f'Config: a component has no "type": {" ".join(text.split())[:300]}'
    return None


def unknown_type(path: str, kind: Any, registry_name: str, config: Any) -> str:
    """Return a message for a type that nobody registered.

    Args:
        path: of the field with the type.
        kind: the type.
        registry_name: of the registry that was asked, such as 'transform'.
        config: names modules in ``custom_imports``.
    """
    scope = kind.partition('.')[0] if isinstance(kind, str) and '.' in kind else None
    similar = similar_names(kind, registry_name) if isinstance(kind, str) else []
    failed = failed_imports(config, scope)
    hint = (
        f'Did you mean {" or ".join(map(repr, similar))}?'
        if similar
        else 'If it is a class of yours, name its module in custom_imports.'
    )
    if failed:
        hint = f'{hint} What failed to import: {"; ".join(failed)}.'
    is_field = path.endswith('.type')
    named = f'{path} = {kind!r}' if is_field else f'{path} {kind!r}'
    return f'{named} is unknown to the registry of {registry_name}s. {hint}'


def _explain_type_error(error: TypeError, config: Any) -> str | None:
    component = _component_being_built(error.__traceback__)
    if component is None:
        return None
    text, name = str(error), getattr(component, '__name__', str(component))
    unknown, missing = _UNKNOWN_FIELD.search(text), _MISSING_FIELD.search(text)
    path = _path_of(config, name)
    where = name if path is None else f'{path}.type = {name!r}'
    if unknown:
        accepted = accepted_fields(component) or frozenset()
        hint = hint_at_field(unknown['field'], accepted)
        field = path and f'{path}.{unknown["field"]}'
        return f'{_place(config, field)}: {where} has no field {unknown["field"]!r}. {hint}'
    if missing:
        return f'{_place(config, path)}: {where} needs the field {missing["fields"]}.'
    return None


def _place(config: Any, path: str | None) -> str:
    return Places(config).text(path, is_key=True) if path else 'Config'


def _component_being_built(trace: TracebackType | None) -> Any:
    """Return what a registry was calling when the call itself failed, None if something else."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_name != 'build_from_cfg':
        return None
    return trace.tb_frame.f_locals.get('obj_cls')


def _path_of(config: Any, kind: str) -> str | None:
    """Return the path of the first component in `config` with this type, None without any."""
    for path, node in typed_nodes(dict(config), ''):
        name = (
            node['type'] if isinstance(node['type'], str) else getattr(node['type'], '__name__', '')
        )
        if name == kind or name.rpartition('.')[2] == kind:
            return path
    return None


def similar_names(kind: str, registry_name: str, count: int = 2) -> list[str]:
    """Return registered names like `kind` as a config of our scope writes them, nearest first.

    Args:
        kind: a type in a config, maybe with a scope.
        registry_name: name of the registry, such as 'transform'.
        count: at most so many.
    """
    scope, _, wanted = kind.rpartition('.')
    choices: dict[str, set[str]] = {}
    for root in vars(root_registries).values():
        if isinstance(root, Registry) and root.name == registry_name:
            for registry in (root, *root.children.values()):
                registry.import_from_location()
                own = registry is root or registry.scope in (SCOPE, ALIAS_SCOPE)
                for name in registry.module_dict:
                    choices.setdefault(name, set()).add(name if own else f'{registry.scope}.{name}')
    nearest = difflib.get_close_matches(wanted, choices, n=count)
    if wanted in nearest:
        nearest = [wanted]
    # in the scope the user wrote first, then ours, then any other
    ranked = [
        sorted(
            choices[name],
            key=lambda full: (full.rpartition('.')[0] != scope, full.count('.'), full),
        )[0]
        for name in nearest
    ]
    return [name for name in ranked if name != kind]
