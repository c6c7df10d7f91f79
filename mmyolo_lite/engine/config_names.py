"""Names at the top of a config that nothing reads: misspelt ones, and variables used too early."""

import ast
import difflib
import inspect
import re
from collections.abc import Collection, Iterator
from typing import Any

from mmengine.runner import Runner

from mmyolo_lite.engine.config_fields import value_at
from mmyolo_lite.engine.config_places import BASE, ConfigFile, Node, shown
from mmyolo_lite.errors import ConfigError

# what mmengine's runner and this package read at the top of a config
READ = set(inspect.signature(Runner).parameters) - {'cfg'} | {
    *('activation_checkpointing', 'compile', 'custom_imports', 'efficient_conv_bn_eval'),
    *('env_cfg', 'find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'sync_bn'),
    *('tta_model', 'tta_pipeline', 'coco_data'),
}
# fields that configs fill from a variable of this name
FIELDS_OF_VARIABLES = {
    'base_lr': 'optim_wrapper.optimizer.lr',
    'batch_size': 'train_dataloader.batch_size',
    'data_root': 'train_dataloader.dataset.data_root',
    'deepen_factor': 'model.backbone.deepen_factor and model.neck.deepen_factor',
    'epochs': 'train_cfg.max_epochs',
    'image_cache': 'train_dataloader.dataset.cache',
    'log_interval': 'default_hooks.logger.interval',
    'lr': 'optim_wrapper.optimizer.lr',
    'max_epochs': 'train_cfg.max_epochs',
    'max_keep_ckpts': 'default_hooks.checkpoint.max_keep_ckpts',
    'metainfo': 'train_dataloader.dataset.metainfo',
    'num_classes': 'model.bbox_head.head_module.num_classes',
    'num_workers': 'train_dataloader.num_workers',
    'persistent_workers': 'train_dataloader.persistent_workers',
    'save_epoch_intervals': 'default_hooks.checkpoint.interval',
    'test_pipeline': 'test_dataloader.dataset.pipeline',
    'train_ann_file': 'train_dataloader.dataset.ann_file',
    'train_batch_size_per_gpu': 'train_dataloader.batch_size',
    'train_data_prefix': 'train_dataloader.dataset.data_prefix.img',
    'train_num_workers': 'train_dataloader.num_workers',
    'train_pipeline': 'train_dataloader.dataset.pipeline',
    'val_ann_file': 'val_dataloader.dataset.ann_file and val_evaluator.ann_file',
    'val_batch_size_per_gpu': 'val_dataloader.batch_size',
    'val_data_prefix': 'val_dataloader.dataset.data_prefix.img',
    'val_interval': 'train_cfg.val_interval',
    'val_num_workers': 'val_dataloader.num_workers',
    'weight_decay': 'optim_wrapper.optimizer.weight_decay',
}
# of MMDetection 2 and its like -> what to write now
_FORMER = {
    'checkpoint_config': 'default_hooks=dict(checkpoint=...)',
    'data': 'train_dataloader, val_dataloader and test_dataloader',
    'evaluation': 'val_evaluator, and train_cfg=dict(val_interval=...)',
    'log_config': 'default_hooks=dict(logger=...) and visualizer=dict(vis_backends=...)',
    'lr_config': 'param_scheduler or default_hooks=dict(param_scheduler=...)',
    'optimizer': 'optim_wrapper=dict(optimizer=...)',
    'optimizer_config': 'optim_wrapper=dict(clip_grad=...)',
    'runner': 'train_cfg=dict(max_epochs=...)',
    'total_epochs': 'train_cfg=dict(max_epochs=...)',
}
_PLACEHOLDER = re.compile(r'\{\{\s*_base_\.([\w.]+)')
_ALIKE = 0.85  # train_dataloder and train_dataloader; not val_loader and val_dataloader_2


def check_names(file: ConfigFile) -> None:
    """Check the names that a config sets.

    Raises:
        ConfigError: one is misspelt or of older frameworks, and nothing reads it.
    """
    names = list(_unread(file, everywhere=True))
    set_names = {str(target[0]) for one in file.chain() for target, _ in one.statements}
    unread = {name for name, _ in names}
    for name, node in names:
        place = f'Config {shown(node.file.path)}, line {node.line}'
        if name in _FORMER:
            raise ConfigError(
                f'{place}: {name} is of an older form of configs, and nothing reads it. Write '
                f'{_FORMER[name]}.'
            )
        known = {*READ, *(set_names - unread)} - {name}
        similar = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)
        is_numbered = name.rstrip('0123456789_') in known  # train_pipeline2: a variable of its own
        if similar and not is_numbered and name not in FIELDS_OF_VARIABLES:
            raise ConfigError(
                f'{place}: {name} is unknown: nothing reads it. Did you mean '
                f'{_best(similar[0], node)}?'
            )


def _best(name: str, node: Node) -> str:
    """Return the name, or the field behind it where setting it again would come too late."""
    field = FIELDS_OF_VARIABLES.get(name)
    return repr(name) if field is None or not node.file.bases else f'{name!r}, that is {field}'


def ineffective_names(file: ConfigFile, config: Any, parts: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each variable that is set after the inherited config has used it.

    Args:
        file: the config.
        config: as loaded; a field that has the value already needs no warning.
        parts: of configs that matter now, such as 'train_cfg'.
    """
    for name, node in _unread(file, everywhere=False):
        field = FIELDS_OF_VARIABLES.get(name)
        if field is None or field.partition('.')[0] not in parts:
            continue
        if value_at(config, field.partition(' ')[0]) != config.get(name):
            yield (
                f'{name} in {shown(node.file.path)}, line {node.line}, has no effect: the '
                f'inherited config has used its own {name!r} already. Set {field} instead.'
            )


def _unread(file: ConfigFile, everywhere: bool) -> Iterator[tuple[str, Node]]:
    """Yield the names that a config sets and that neither the framework nor a config reads.

    Args:
        file: the config.
        everywhere: reading by an inherited file, which comes too early, counts too.
    """
    used: set[str] = set()
    files = list(file.chain())
    if everywhere:
        for one in files:
            used |= _loaded(one)
    for one in reversed(files):  # what comes later may read what comes earlier
        used |= _loaded(one)
        last = {str(target[0]): node for target, node in one.statements if len(target) == 1}
        for name, node in last.items():
            if name not in used and name not in READ and not name.startswith('_'):
                yield name, node


def _loaded(file: ConfigFile) -> set[str]:
    """Return the names that a file reads, its own and those of ``_base_``."""
    found = set()
    for part in ast.walk(file.tree):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            found.add(part.id)
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            if part.value.id == BASE:
                found.add(part.attr)
        elif isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Constant):
            found.add(str(part.slice.value))  # _base_['name'], globals()['name']
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.update(name.split('.')[0] for name in _PLACEHOLDER.findall(part.value))
    return found
