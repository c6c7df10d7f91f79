"""What a whole run's config is checked for before anything is read or made: types, fields, values,
files.
"""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.fileio import exists

from mmyolo_lite import registry
from mmyolo_lite.compat.checkpoints import checkpoints_beside
from mmyolo_lite.engine.build_errors import unknown_type
from mmyolo_lite.engine.checks import (
    LOADERS,
    check_config,
    check_fields,
    innermost_datasets,
    join_root,
    own_name,
    shortened_value,
    type_name,
    typed_nodes,
)
from mmyolo_lite.engine.coco_data import BLOCK, block_field
from mmyolo_lite.engine.config_mistakes import Mistake, placed
from mmyolo_lite.engine.config_parts import Part, parts_of, resolved
from mmyolo_lite.engine.config_values import PROBABILITY, RANGES

_ALWAYS = ('model', 'default_hooks', 'custom_hooks', 'visualizer')
RUNS = {
    'train': (
        *_ALWAYS,
        *('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'),
        *('val_dataloader', 'val_cfg', 'val_evaluator'),
    ),
    'test': (*_ALWAYS, 'test_dataloader', 'test_cfg', 'test_evaluator'),
}
"""The parts of a config that training and test read."""
_DICTS = (
    *('model', 'model.backbone', 'model.neck', 'model.bbox_head', 'model.bbox_head.head_module'),
    *('model.data_preprocessor', 'model.test_cfg', 'model.train_cfg'),
    *(f'{loader}{rest}' for loader in LOADERS for rest in ('', '.dataset', '.dataset.metainfo')),
    *('optim_wrapper', 'optim_wrapper.optimizer', 'train_cfg', 'val_cfg', 'test_cfg'),
    *('default_hooks', 'visualizer', 'env_cfg', 'randomness', 'log_processor', 'custom_imports'),
)
_LISTS = (*(f'{loader}.dataset.pipeline' for loader in LOADERS), 'custom_hooks')
_FILES = ('YOLOv5CocoDataset', 'CocoDataset', 'BatchShapePolicyDataset')


def check_shape(config: Any) -> None:
    """Check that the great parts of a config are dicts and lists, as reading it takes for granted.

    Raises:
        ConfigError: one is something else.
    """
    with placed(config):
        for paths, kinds, words in ((_DICTS, dict, 'a dict'), (_LISTS, (list, tuple), 'a list')):
            for path in paths:
                if path.startswith('model.') and _is_foreign(config.get('model')):
                    continue  # others take a list of necks, say
                value = value_at(config, path)
                is_plain = isinstance(value, (dict, list, tuple, str, int, float))
                if is_plain and not isinstance(value, kinds):
                    form = 'dict(...)' if kinds is dict else '[...]'
                    raise Mistake(
                        path,
                        f'{path} is {shortened_value(value)}; it must be {words}, such as '
                        f'{path.rpartition(".")[2]}={form}.',
                        value,
                    )


def _is_foreign(model: Any) -> bool:
    """Say whether a model is of another package."""
    if not isinstance(model, dict):
        return False
    own_scopes = (None, registry.SCOPE, registry.ALIAS_SCOPE)
    return model.get('_scope_') not in own_scopes or not own_name(model.get('type'))


def value_at(config: Any, path: str) -> Any:
    """Return the value of a dotted path through dicts, None if there is none."""
    for key in path.split('.'):
        config = config.get(key) if hasattr(config, 'get') else None
    return config


def check_run(config: Any, run: str) -> None:
    """Check what can be known of the config of a training or test without a look at its files.

    Args:
        config: the config.
        run: a key of :data:`RUNS`.

    Raises:
        ConfigError: a type or a field is unknown, a needed one is missing, a value is of a wrong
            type or out of range.
    """
    with placed(config):
        for part in parts_of(config, RUNS[run]):
            _check_part(part, config)
        _check_ranges(config)
    check_config(config)


def check_annotation_files(config: Any, run: str, block: dict | None = None) -> None:
    """Check that the annotation files that a run reads exist.

    Args:
        config: the config.
        run: a key of :data:`RUNS`.
        block: ``coco_data``, from which the files come, if they do.

    Raises:
        ConfigError: one does not.
    """
    with placed(config):
        for path, file, root in _annotation_files(config, run):
            if block is None:
                _check_file(path, file, path.replace('.ann_file', '.data_root'), root)
            else:
                _check_file(block_field(block, path), file, f'{BLOCK}.data_root', root)


def check_start(config: Any) -> None:
    """Check that the weights which a training starts from, ``load_from``, are there, unless they
    are a URL, or what is to be resumed.

    Raises:
        ConfigError: it is the path of a file that does not exist.
    """
    start = config.get('load_from')
    if config.get('resume') or not isinstance(start, str) or not start or '://' in start:
        return
    path = os.path.expanduser(start)
    if os.path.exists(path):
        return
    with placed(config):
        raise Mistake(
            'load_from',
            f'Checkpoint not found: {start}, from which the training is to start. '
            f'{checkpoints_beside(path)} Official weights (.pt) become one with '
            'tools/model_converters/yolov5_to_mmyolo.py; --cfg-options load_from=FILE takes '
            'another, and load_from=None starts from random weights.',
            start,
        )


def _check_part(part: Part, config: Any) -> None:
    path, node = part.path, part.node
    if not isinstance(node, dict):
        raise Mistake(
            path, f"{path} is {shortened_value(node)}; it must be a dict(type='...', ...).", node
        )
    if part.kind is None:
        raise Mistake(path, f'{path} has no type. Write dict(type=...): the name of what to build.')
    component = resolved(part.kind, part.registry, _scope_at(path, config))
    if component is None:
        message = unknown_type(f'{path}.type', part.kind, part.registry.name, config)
        raise Mistake(f'{path}.type', message, node.get('type'))
    if '_delete_' in node:
        raise Mistake(
            f'{path}._delete_',
            f'{path} has _delete_, but inherits nothing that could be deleted. Leave _delete_ out.',
            is_key=True,
        )
    check_fields(path, node, component, part.given, part.has_all)


def _scope_at(path: str, config: Any) -> str | None:
    """Return the scope that holds for a component: the innermost one that it stands in."""
    scope = config.get('default_scope')
    for key in re.findall(r'[^.\[\]]+', path):
        config = config[int(key)] if isinstance(config, (list, tuple)) else config.get(key)
        scope = (isinstance(config, dict) and config.get('_scope_')) or scope
    return scope


def _check_ranges(config: Any) -> None:
    for path, (fits, words) in RANGES.items():
        value = value_at(config, path)
        if value is not None and not fits(value):
            raise Mistake(path, f'{path} is {value!r}; it must be {words}.', value)
    for path, node in typed_nodes(dict(config), ''):
        value = node.get('prob')
        if isinstance(value, (int, float)) and not PROBABILITY[0](value):
            field = f'{path}.prob'
            raise Mistake(field, f'{field} is {value!r}; it must be {PROBABILITY[1]}.', value)


def _annotation_files(config: Any, run: str) -> Iterator[tuple[str, str, str]]:
    """Yield the paths of fields that name annotation files, the files, and their ``data_root``."""
    used: Sequence[str] = [loader for loader in LOADERS if loader in RUNS[run]]
    for path, dataset in innermost_datasets(config, used):
        file, root = dataset.get('ann_file'), dataset.get('data_root')
        is_local = not dataset.get('backend_args')
        if type_name(dataset.get('type')) in _FILES and is_local and isinstance(file, str) and file:
            yield f'{path}.ann_file', join_root(root, file), root or ''
    for name in (part for part in RUNS[run] if part.endswith('_evaluator')):
        metrics = config.get(name)
        for metric in [metrics] if isinstance(metrics, dict) else metrics or ():
            file, is_local = metric.get('ann_file'), not metric.get('backend_args')
            is_coco = type_name(metric.get('type')) == 'CocoMetric'
            if is_coco and is_local and isinstance(file, str):
                yield f'{name}.ann_file', file, ''


def _check_file(path: str, file: str, root_path: str, root: str) -> None:
    """Raise a :class:`Mistake` unless an annotation file exists; `path` and `root_path` are the
    fields of its name and of the folder that it is seen from.
    """
    if '://' in file or exists(file):
        return
    folder = os.path.dirname(file)
    while folder and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    there = sorted(name for name in os.listdir(folder or '.') if not name.startswith('.'))[:6]
    in_root = root and not os.path.isdir(root)
    field = root_path if in_root else path
    what = f'{field} {root} is no folder' if in_root else f'{path} does not exist'
    raise Mistake(
        field,
        f'Annotation file not found: {file}; {what}. {folder or os.getcwd()} has '
        f'{", ".join(there) or "nothing in it"}. Set data_root and ann_file, seen from the folder '
        'that the command runs in.',
        root if in_root else None,
    )
