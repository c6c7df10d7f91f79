"""What is known to be wrong before any data is read: misspelt fields, values that disagree."""

import difflib
import importlib
import inspect
import os.path as osp
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any

from mmengine.utils import is_abs
from torch.utils.data import DataLoader

from mmyolo_lite import registry
from mmyolo_lite.datasets.coco_checks import check_classes, shortened
from mmyolo_lite.engine.config_mistakes import Mistake, at, placed
from mmyolo_lite.engine.config_values import annotations_of, mistake

_PACKAGES = (
    'models',
    'datasets.registered',
    'engine',
    'engine.hooks',
    'evaluation',
    'visualization.vis_backends',
)
# read by mmengine's registries and runner before the constructor is called
_RESERVED = {'type', '_scope_', '_delete_', 'priority', 'constructor', 'paramwise_cfg'}
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# read by mmengine's runner, which gives PyTorch's DataLoader the other fields
_RUNNERS_LOADER_FIELDS = {'num_batch_per_epoch', 'disable_subprocess_warning', '_delete_'}


def check_config(config: Any) -> None:
    """Check a config.

    Raises:
        ConfigError: a class of this package or a data loader gets a field that it does not know or
            a value of a wrong type, a data loader's batches or workers cannot be, or numbers of
            classes disagree.
    """
    with placed(config):
        for name in LOADERS:
            _check_loader(name, config.get(name))
        known = _our_components()
        for path, node in typed_nodes(dict(config), ''):
            component = known.get(own_name(node['type']))
            if component is not None:
                check_fields(path, node, component)
        _check_num_classes(config, known)
        _check_mask_overlap(config)
        _check_input_sizes(config)


def _our_components() -> dict[str, Any]:
    """Return every component of this package by its name in configs."""
    for package in _PACKAGES:
        importlib.import_module(f'mmyolo_lite.{package}')
    tables = [
        value.module_dict
        for value in vars(registry).values()
        if isinstance(value, registry.Registry)
    ]
    return {name: component for table in tables for name, component in table.items()}


def type_name(kind: Any) -> str:
    """Return the name of a type, given as text or class, without its scope or module."""
    return (kind if isinstance(kind, str) else getattr(kind, '__name__', '')).rpartition('.')[2]


def own_name(kind: Any) -> str:
    """Return the name of a type in our scope, '' for types of other packages."""
    if not isinstance(kind, str):
        return getattr(kind, '__name__', '')
    scope, _, name = kind.rpartition('.')
    return name if scope in ('', registry.SCOPE, registry.ALIAS_SCOPE) else ''


def typed_nodes(node: Any, path: str) -> Iterator[tuple[str, dict]]:
    """Yield each dict that has a type, with its dotted path, but for those in another scope."""
    if isinstance(node, dict):
        if node.get('_scope_') not in (None, registry.SCOPE, registry.ALIAS_SCOPE):
            return
        if 'type' in node:
            yield path, node
        for key, value in node.items():
            yield from typed_nodes(value, f'{path}.{key}' if path else str(key))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from typed_nodes(value, f'{path}[{index}]')


@cache
def accepted_fields(component: Any) -> frozenset[str] | None:
    """Return the names that a constructor or function takes; None is any.

    ``**kwargs`` are followed up the parents of a class.
    """
    callables = [component]
    if inspect.isclass(component):
        callables = [vars(cls)['__init__'] for cls in component.__mro__ if '__init__' in vars(cls)]
    names: set[str] = set()
    for function in callables:
        parameters = inspect.signature(function).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return frozenset(names - {'self'})
    return None


def check_fields(
    path: str, node: dict, component: Any, given: Collection[str] = (), has_all: bool = False
) -> None:
    """Check the fields of a component.

    Args:
        path: of the dict in the config.
        node: the dict.
        component: what it builds.
        given: fields that the framework adds or takes away.
        has_all: needed fields are in the dict or `given`.

    Raises:
        Mistake: a field is unknown, missing, or of a wrong type.
    """
    accepted, name = accepted_fields(component), type_name(node.get('type', component))
    if accepted is not None:
        for field in [field for field in node if field not in {*accepted, *_RESERVED, *given}]:
            raise Mistake(
                f'{path}.{field}',
                f'{path}.{field} is unknown: {name} has no field {field!r}. '
                f'{hint_at_field(str(field), accepted - {*given})}',
                is_key=True,
            )
    for field in needed_fields(component) - {*given, *node} if has_all else ():
        raise Mistake(path, f'{path} needs the field {field!r} of {name}.', is_missing=True)
    for field, (annotation, is_ours) in annotations_of(component).items():
        expected = mistake(node[field], annotation, is_ours) if field in node else None
        if expected is not None:
            raise Mistake(
                f'{path}.{field}',
                f'{path}.{field} is {shortened_value(node[field])}; it must be {expected}',
                node[field],
            )


@cache
def needed_fields(component: Any) -> frozenset[str]:
    """Return the arguments without a default that a class or function itself names."""
    function = component.__init__ if inspect.isclass(component) else component
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return frozenset()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return frozenset()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    needed = {p.name for p in parameters if p.kind in kinds and p.default is p.empty}
    return frozenset(needed - {'self'})


def shortened_value(value: Any) -> str:
    """Return a value of a config as messages quote it."""
    text = repr(value)
    return text if len(text) <= 80 else f'{text[:76]} ...'


def hint_at_field(field: str, accepted: AbstractSet[str]) -> str:
    """Return a sentence: the accepted field most like `field`, or all of them."""
    similar = difflib.get_close_matches(field, accepted, n=1)
    return (
        f'Did you mean {similar[0]!r}?' if similar else f'It takes {", ".join(sorted(accepted))}.'
    )


def _check_loader(name: str, loader: Any) -> None:
    """Check the fields of a data loader; other things than a dict are left to the runner."""
    if not isinstance(loader, dict):
        return
    accepted = (accepted_fields(DataLoader) or frozenset()) | _RUNNERS_LOADER_FIELDS
    for field in set(loader) - accepted:
        hint = hint_at_field(field, accepted)
        path = f'{name}.{field}'
        raise Mistake(path, f'{path} is unknown to data loaders. {hint}', is_key=True)
    for field in ('dataset', 'sampler'):
        if field not in loader:
            raise Mistake(name, f'{name} needs the field {field!r}.', is_missing=True)
    for field, least in (('batch_size', 1), ('num_workers', 0)):
        value = loader.get(field, least)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise Mistake(
                f'{name}.{field}',
                f'{name}.{field} is {value!r}; it must be a whole number of at least {least}.',
                value,
            )
    if loader.get('persistent_workers') and not loader.get('num_workers'):
        raise Mistake(
            f'{name}.persistent_workers',
            f'{name}.persistent_workers is True, but num_workers is 0. Set '
            f'{name}.persistent_workers=False too.',
        )


def innermost_datasets(config: Any, loaders: Sequence[str] = LOADERS) -> Iterator[tuple[str, dict]]:
    """Yield the data sets that read files, inside any wrappers, each with its dotted path."""
    for loader in loaders:
        yield from _unwrapped(f'{loader}.dataset', (config.get(loader) or {}).get('dataset'))


def _unwrapped(path: str, dataset: Any) -> Iterator[tuple[str, dict]]:
    if not isinstance(dataset, dict):
        return
    if 'dataset' in dataset:
        yield from _unwrapped(f'{path}.dataset', dataset['dataset'])
    elif 'datasets' in dataset:
        for index, one in enumerate(dataset['datasets']):
            yield from _unwrapped(f'{path}.datasets[{index}]', one)
    else:
        yield path, dataset


def head_config(config: Any) -> dict:
    """Return the config of the model's dense head, empty for models without one."""
    return (config.get('model') or {}).get('bbox_head') or {}


def head_module_config(config: Any) -> dict:
    """Return the config of the head's network, empty for models without one."""
    return head_config(config).get('head_module') or {}


def configured_classes(dataset: dict) -> Any:
    """Return the class names that the config of a data set gives, None without any."""
    return (dataset.get('metainfo') or {}).get('classes')


def join_root(root: str | None, path: str) -> str:
    """Return a path as data sets join it to their ``data_root``; absolute ones stay."""
    if not root or is_abs(path):
        return path
    return f'{root.rstrip("/")}/{path}' if '://' in root else osp.join(root, path)


def _check_num_classes(config: Any, known: dict[str, Any]) -> None:
    """Compare the head's number of classes with the class names of each data set."""
    num_classes = head_module_config(config).get('num_classes')
    if num_classes is None:
        return
    for path, dataset in innermost_datasets(config):
        classes = configured_classes(dataset)
        if classes is None:
            component = known.get(own_name(dataset.get('type')))
            classes = getattr(component, 'METAINFO', {}).get('classes')
        if classes is None:
            continue
        with at(f'{path}.metainfo.classes', classes):
            check_classes(classes, f'{path}.metainfo.classes')
        if len(classes) != num_classes:
            raise Mistake(
                'model.bbox_head.head_module.num_classes',
                f'model.bbox_head.head_module.num_classes is {num_classes}, but '
                f'{path}.metainfo.classes has {len(classes)}: {shortened(classes)}. Set '
                f'num_classes to {len(classes)}, or the classes of the data set.',
            )


def _check_mask_overlap(config: Any) -> None:
    """Compare the form of the training masks in the pipeline with the one that the head expects."""
    head = head_config(config)
    if own_name(head.get('type')) != 'YOLOv5InsHead':
        return
    expected = head.get('mask_overlap', True)
    for path, step in typed_nodes(config.get('train_dataloader') or {}, 'train_dataloader'):
        if own_name(step['type']) == 'Polygon2Mask' and step.get('mask_overlap', True) != expected:
            raise Mistake(
                f'{path}.mask_overlap',
                f'{path}.mask_overlap is {step.get("mask_overlap", True)}, but '
                f'model.bbox_head.mask_overlap is {expected}. Give both the same value.',
            )


def _check_input_sizes(config: Any) -> None:
    """Check that letterboxed images of fixed size fit the strides.

    Other sizes show at the first batch.
    """
    divisor = max(head_module_config(config).get('featmap_strides', [32]))
    for path, dataset in innermost_datasets(config):
        if dataset.get('batch_shapes_cfg'):
            continue
        for index, step in enumerate(dataset.get('pipeline') or ()):
            if not isinstance(step, dict):  # mmengine takes functions too
                continue
            scale = step.get('scale')
            if (
                own_name(step.get('type')) != 'LetterResize'
                or step.get('use_mini_pad')
                or scale is None
            ):
                continue
            sides = (scale, scale) if isinstance(scale, int) else tuple(scale)
            if any(side % divisor for side in sides):
                nearest = tuple(max(round(side / divisor), 1) * divisor for side in sides)
                raise Mistake(
                    f'{path}.pipeline[{index}].scale',
                    f'{path}.pipeline[{index}].scale is {sides}, but width and height of the '
                    f'network input must be multiples of {divisor}. The nearest is {nearest}.',
                )
