"""The components of a config, the registry that each is looked up in, and its class."""

import importlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine import registry as roots
from mmengine.registry import Registry

from mmyolo_lite import registry as own

_LOOPS = {'train_cfg': 'EpochBasedTrainLoop', 'val_cfg': 'ValLoop', 'test_cfg': 'TestLoop'}
_NAMES_OF_PARTS = ('backbone', 'neck', 'bbox_head', 'head_module', 'data_preprocessor', 'module')
_PRIORS = ('prior_generator', 'bbox_coder')
# transforms that take transforms, and the fields
_NESTED = {
    'Mosaic': ('pre_transform',),
    'Compose': ('transforms',),
    'RandomApply': ('transforms',),
    'RandomChoice': ('transforms',),
    'TestTimeAug': ('transforms',),
    'TransformBroadcaster': ('transforms',),
}
# what the framework gives, or takes out before the class is called
_GIVEN = {
    'data sampler': {'dataset', 'sampler', 'batch_size', 'seed'},
    'hook': {'priority'},
    'loop': {'runner', 'dataloader', 'evaluator', 'by_epoch'},
    'optimizer': {'params', 'batch_size_per_gpu'},
    'optim_wrapper': {'optimizer', 'constructor', 'paramwise_cfg'},
    'parameter scheduler': {'optimizer', 'convert_to_iter_based', 'param_name'},
    'visualizer': {'name', 'save_dir'},
    'vis_backend': {'save_dir'},
}


@dataclass(frozen=True)
class Part:
    """A dict of a config that a registry builds.

    Attributes:
        path: dotted, such as ``model.backbone``.
        node: the dict; or what stands in its place, if it should be one.
        registry: of mmengine, by the name of what it holds.
        default: its type where the dict has none; None where it needs one.
        has_all: the class gets no other arguments than those of the dict and `given`.
    """

    path: str
    node: Any
    registry: Registry
    default: str | None = None
    has_all: bool = True

    @property
    def kind(self) -> Any:
        """The type: text, or a class."""
        return self.node.get('type') or self.default

    @property
    def given(self) -> set[str]:
        """Fields that the framework gives or takes."""
        return _GIVEN.get(self.registry.name, set())


def parts_of(config: Any, names: Sequence[str]) -> Iterator[Part]:
    """Yield the components of some parts of a config whose place says what they are.

    Args:
        config: the config.
        names: of parts at its top, such as 'model'; others than those known here have none.
    """
    for name in names:
        node = config.get(name)
        if node is None:
            continue
        if name == 'model':
            yield from _of_model(name, node)
        elif name.endswith('_dataloader'):
            yield from _of_loader(name, node)
        elif name.endswith('_evaluator'):
            yield from _of_evaluator(name, node)
        elif name in _LOOPS:
            by_iteration = _field(node, 'by_epoch') is False
            yield Part(
                name, node, roots.LOOPS, 'IterBasedTrainLoop' if by_iteration else _LOOPS[name]
            )
        elif name == 'optim_wrapper':
            yield from _of_optimizer(name, node)
        elif name in ('default_hooks', 'custom_hooks'):
            yield from _of_hooks(name, node)
        elif name == 'visualizer':
            yield Part(name, node, roots.VISUALIZERS)
            yield from _each(f'{name}.vis_backends', _field(node, 'vis_backends'), 'VISBACKENDS')
        elif name == 'param_scheduler' and not _is_nested_dict(node):
            yield from _each(name, node, 'PARAM_SCHEDULERS')


def _field(node: Any, name: str) -> Any:
    return node.get(name) if isinstance(node, dict) else None


def _is_nested_dict(node: Any) -> bool:
    return isinstance(node, dict) and 'type' not in node


def _each(path: str, node: Any, registry: str) -> Iterator[Part]:
    """Yield one component, or each of a list."""
    if isinstance(node, (list, tuple)):
        for index, one in enumerate(node):
            yield Part(f'{path}[{index}]', one, getattr(roots, registry))
    elif node is not None:
        yield Part(path, node, getattr(roots, registry))


def _of_model(path: str, node: Any, parent_is_ours: bool = True) -> Iterator[Part]:
    if isinstance(node, (list, tuple)):
        for index, one in enumerate(node):
            yield from _of_model(f'{path}[{index}]', one, parent_is_ours)
        return
    yield Part(path, node, roots.MODELS, has_all=parent_is_ours)
    if not isinstance(node, dict):
        return
    ours = is_own_class(node.get('type'), roots.MODELS)
    for name, inner in node.items():
        if inner is None or not isinstance(name, str):
            continue
        if name in _NAMES_OF_PARTS:
            yield from _of_model(f'{path}.{name}', inner, ours)
        elif name.startswith('loss_') and isinstance(inner, dict):
            yield Part(f'{path}.{name}', inner, roots.MODELS, has_all=ours)
        elif name in _PRIORS and isinstance(inner, dict):
            # a head may know the type, as mmdet's do
            yield Part(f'{path}.{name}', inner, roots.TASK_UTILS, has_all=ours)


def is_own_class(kind: Any, registry: Registry) -> bool:
    """Say whether a type is a class of this package."""
    found = resolved(kind, registry)
    return getattr(found, '__module__', '').startswith(f'{own.SCOPE}.')


def _of_loader(path: str, node: Any) -> Iterator[Part]:
    if not isinstance(node, dict):
        return
    for name in ('sampler', 'batch_sampler'):
        if node.get(name) is not None:
            yield Part(f'{path}.{name}', node[name], roots.DATA_SAMPLERS)
    if 'dataset' in node:
        yield from _of_dataset(f'{path}.dataset', node['dataset'])


def _of_dataset(path: str, node: Any) -> Iterator[Part]:
    yield Part(path, node, roots.DATASETS)
    if not isinstance(node, dict):
        return
    if isinstance(node.get('dataset'), dict):
        yield from _of_dataset(f'{path}.dataset', node['dataset'])
    for index, inner in enumerate(node.get('datasets') or ()):
        yield from _of_dataset(f'{path}.datasets[{index}]', inner)
    pipeline = node.get('pipeline')
    if isinstance(pipeline, (list, tuple)):
        yield from _of_pipeline(f'{path}.pipeline', pipeline)


def _of_pipeline(path: str, steps: Sequence[Any]) -> Iterator[Part]:
    for index, step in enumerate(steps):
        place = f'{path}[{index}]'
        if isinstance(step, (list, tuple)):  # of TestTimeAug
            yield from _of_pipeline(place, step)
            continue
        if callable(step):  # mmengine takes functions too
            continue
        yield Part(place, step, roots.TRANSFORMS)
        kind = _field(step, 'type')
        for field in _NESTED.get(str(kind).rpartition('.')[2], ()):
            inner = _field(step, field)
            if isinstance(inner, (list, tuple)):
                yield from _of_pipeline(f'{place}.{field}', inner)


def _of_evaluator(path: str, node: Any) -> Iterator[Part]:
    if isinstance(node, dict) and ('metrics' in node or str(node.get('type')).endswith('or')):
        yield from _each(f'{path}.metrics', node.get('metrics'), 'METRICS')
    else:
        yield from _each(path, node, 'METRICS')


def _of_optimizer(path: str, node: Any) -> Iterator[Part]:
    is_plain = isinstance(node, dict) and node.get('constructor') in (
        *(None, 'DefaultOptimWrapperConstructor', 'YOLOv5OptimizerConstructor'),
        *(f'{scope}.YOLOv5OptimizerConstructor' for scope in (own.SCOPE, own.ALIAS_SCOPE)),
    )
    if is_plain or not isinstance(node, dict):
        yield Part(path, node, roots.OPTIM_WRAPPERS, 'OptimWrapper')
        optimizer = _field(node, 'optimizer')
        if optimizer is not None:
            yield Part(f'{path}.optimizer', optimizer, roots.OPTIMIZERS)


def _of_hooks(path: str, node: Any) -> Iterator[Part]:
    if isinstance(node, dict):
        for name, inner in node.items():
            if isinstance(inner, (dict, str, list, tuple, int)):
                yield from _of_hook(f'{path}.{name}', inner)
    elif isinstance(node, (list, tuple)):
        for index, inner in enumerate(node):
            if not isinstance(inner, roots.HOOKS.get('Hook') or ()):
                yield from _of_hook(f'{path}[{index}]', inner)


def _of_hook(path: str, node: Any) -> Iterator[Part]:
    yield Part(path, node, roots.HOOKS)
    later = _field(node, 'switch_pipeline')
    if isinstance(later, (list, tuple)):
        yield from _of_pipeline(f'{path}.switch_pipeline', later)


def resolved(kind: Any, registry: Registry, scope: str | None = None) -> Any:
    """Return what a registry has under a type, None if it has nothing.

    Args:
        kind: text, or a class or function, which is itself.
        registry: of mmengine.
        scope: that the config looks names up in, beside ours.
    """
    if not isinstance(kind, str):
        return kind if inspect.isclass(kind) or callable(kind) else None
    named, _, _ = kind.rpartition('.')
    if '.' in named:  # a path to import
        return registry.get(kind)
    for one in [named] if named else [scope or own.SCOPE, own.SCOPE]:
        child = _child(registry, one)
        found = child.get(kind) if child is not None else None
        if found is not None:
            return found
    return None


def _child(registry: Registry, scope: str) -> Registry | None:
    """Return the registry of a scope, None if there is no such scope."""
    if scope == registry.scope:
        return registry
    try:
        importlib.import_module(f'{scope}.registry')
    except ImportError:
        return None
    return registry.children.get(scope, registry)  # an empty one is false
