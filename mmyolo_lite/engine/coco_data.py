"""The short form of a data set in a config: one block ``coco_data``; class names that the config
does not give are read from the annotation file.
"""

import ast
import math
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from mmengine.config import ConfigDict
from mmengine.fileio import exists

from mmyolo_lite.datasets.coco_checks import check_classes, read_coco_json
from mmyolo_lite.engine.checks import (
    configured_classes,
    head_config,
    head_module_config,
    hint_at_field,
    innermost_datasets,
    join_root,
    type_name,
)
from mmyolo_lite.engine.config_places import Places, followed
from mmyolo_lite.errors import ConfigError, DataError

BLOCK = 'coco_data'
NEEDED = ('train_ann_file', 'val_ann_file')
OPTIONAL = (
    *('data_root', 'train_data_prefix', 'val_data_prefix', 'test_ann_file'),
    *('test_data_prefix', 'classes', 'palette'),
)
COCO_CLASSES = 80
NUM_CLASSES = 'model.bbox_head.head_module.num_classes'
_LOADERS = {'train': 'train_dataloader', 'val': 'val_dataloader', 'test': 'test_dataloader'}
_DATASETS = ('YOLOv5CocoDataset', 'CocoDataset')


def complete_data(config: Any, strict: bool = True, options: Collection[str] = ()) -> None:
    """Expand the block ``coco_data``, name and count the classes, and scale their loss.

    Args:
        config: changed in place.
        strict: see :func:`derive_classes`.
        options: dotted keys that the command line has set; a number of classes among them, or in
            the file that has the block, stays, to be compared with the names.

    Raises:
        ConfigError: see :func:`expand_coco_data`.
        DataError: see :func:`derive_classes`.
    """
    given = head_module_config(config).get('num_classes')
    is_meant = NUM_CLASSES in options or _is_beside_block(config)
    has_block = expand_coco_data(config)
    derive_classes(config, strict)
    if has_block and is_meant:
        head_config(config)['head_module']['num_classes'] = given
    if has_block:
        scale_class_loss(config)
        if 'metainfo' in config:  # a variable of the inherited config
            config.metainfo = next(_coco_datasets(config), config).get('metainfo')


def _is_beside_block(config: Any) -> bool:
    """Say whether a number of classes is written in the file that has the block: not inherited,
    and not computed.
    """
    if config.get(BLOCK) is None:
        return False
    places = Places(config)
    number, block = places.find(NUM_CLASSES), places.find(BLOCK)
    if number is None or block is None:
        return False
    number = followed(number)
    return number.file is block.file and isinstance(number.expression, ast.Constant)


def expand_coco_data(config: Any) -> bool:
    """Replace the block ``coco_data`` by the long form: data sets of the loaders and evaluators.

    The block has MMYOLO's names: ``data_root``, ``{train,val,test}_ann_file``,
    ``{train,val,test}_data_prefix`` (folders of images, seen from ``data_root``), ``classes`` and
    ``palette``. ``train_ann_file`` and ``val_ann_file`` are needed; test is validation unless
    given. Without ``classes`` the names are left to :func:`derive_classes`, even when the config
    that is inherited from has others.

    Returns:
        Whether there was a block.

    Raises:
        ConfigError: the block lacks a field, has an unknown one or one of a wrong type, or a loader
            does not have exactly one data set.
    """
    block = config.get(BLOCK)
    if block is None:
        return False
    _check_block(block)
    for split, loader in _LOADERS.items():
        if config.get(loader):
            _set_dataset(_only_dataset(config, loader), block, split)
    for split in ('val', 'test'):
        metrics = config.get(f'{split}_evaluator')
        for metric in [metrics] if isinstance(metrics, dict) else metrics or []:
            if 'ann_file' in metric:
                ann_file = _field(block, split, 'ann_file')
                metric['ann_file'] = join_root(block.get('data_root'), ann_file)
    module = head_config(config).get('head_module')
    if module is not None:
        classes = block.get('classes')
        module['num_classes'] = None if classes is None else len(classes)
    config.pop(BLOCK)
    for name in set(block) & set(config):  # MMYOLO's variables of these names, now out of date
        config[name] = block[name]
    return True


def block_field(block: dict, part: str) -> str:
    """Return the field of a block that names the annotations of a loader or an evaluator.

    Args:
        block: the block.
        part: such as ``val_dataloader``.
    """
    return f'{BLOCK}.{_name_of_field(block, part.partition("_")[0], "ann_file")}'


def no_file_exists(block: dict) -> bool:
    """Say whether a block names annotations none of which are there."""
    names = (name for name in (*NEEDED, 'test_ann_file') if name in block)
    return not any(exists(join_root(block.get('data_root'), block[name])) for name in names)


def _check_block(block: Any) -> None:
    if not isinstance(block, dict):
        raise ConfigError(
            f'{BLOCK} is {block!r}; it must be a dict of {", ".join((*NEEDED, *OPTIONAL))}.'
        )
    accepted = {*NEEDED, *OPTIONAL}
    for field in set(block) - accepted:
        raise ConfigError(
            f'Config: {BLOCK}.{field} is unknown. {hint_at_field(str(field), accepted)}'
        )
    for field in NEEDED:
        if field not in block:
            raise ConfigError(
                f'{BLOCK} lacks {field}, the path of a COCO json file seen from data_root. '
                'tools/misc/coco_split.py makes two files of one.'
            )
    for field in set(block) - {'classes', 'palette'}:
        if not isinstance(block[field], str):
            raise ConfigError(f'{BLOCK}.{field} is {block[field]!r}; it must be a path in quotes.')
    if block.get('classes') is not None:
        check_classes(block['classes'], f'{BLOCK}.classes')


def _name_of_field(block: dict, split: str, name: str) -> str:
    """Return the name of a field of a split; test's is validation's unless given."""
    if split == 'test' and f'test_{name}' not in block:
        split = 'val'
    return f'{split}_{name}'


def _field(block: dict, split: str, name: str, default: str = '') -> str:
    """Return a field of a split."""
    return block.get(_name_of_field(block, split, name), default)


def _only_dataset(config: Any, loader: str) -> dict:
    found = list(innermost_datasets(config, [loader]))
    if len(found) != 1:
        raise ConfigError(
            f'{BLOCK} describes one data set, but {loader}.dataset has {len(found)}. Remove the '
            'block and set data_root, ann_file and data_prefix of each of them.'
        )
    return found[0][1]


def _set_dataset(dataset: dict, block: dict, split: str) -> None:
    dataset['data_root'] = block.get('data_root', '')
    dataset['ann_file'] = _field(block, split, 'ann_file')
    dataset['data_prefix'] = ConfigDict(img=_field(block, split, 'data_prefix'))
    metainfo = {name: block[name] for name in ('classes', 'palette') if block.get(name) is not None}
    dataset['metainfo'] = ConfigDict(metainfo)


def derive_classes(config: Any, strict: bool = True) -> None:
    """Give names to the classes of COCO data sets whose config gives none, and count them.

    The names are the categories of the training annotations, in the order of that file; of the
    validation or test annotations where that file is not at hand. A config without names whose head
    has 80 classes means COCO's.

    Args:
        config: with the long form of data sets; gets ``metainfo['classes']``, and ``num_classes``
            of the head where that is None.
        strict: annotations that cannot be read are an error; otherwise a warning on stderr.

    Raises:
        DataError: the annotation file is missing or unusable.
    """
    module = head_module_config(config)
    if module.get('num_classes', COCO_CLASSES) == COCO_CLASSES:
        return
    datasets = list(_coco_datasets(config))
    nameless = [dataset for dataset in datasets if not configured_classes(dataset)]
    if nameless:
        try:
            names = _names_in_file(nameless)
        except DataError as error:
            if strict:
                raise
            print(f'warning: the names of the classes are unknown. {error}', file=sys.stderr)
            return
        for dataset in nameless:
            dataset['metainfo'] = ConfigDict(dataset.get('metainfo') or {}, classes=names)
    if module.get('num_classes') is None and datasets:
        module['num_classes'] = len(configured_classes(datasets[0]))
        if 'num_classes' in config:
            config.num_classes = module['num_classes']


def scale_class_loss(config: Any) -> None:
    """Scale the weight of the class loss to the number of classes and of levels, as COCO's configs
    do by ``loss_cls_weight * (num_classes / 80 * 3 / num_det_layers)``.

    Only a weight that is still the one for COCO's 80 classes is changed.
    """
    loss, base = head_config(config).get('loss_cls') or {}, config.get('loss_cls_weight')
    count = head_module_config(config).get('num_classes')
    if not (count and isinstance(base, (int, float)) and 'loss_weight' in loss):
        return
    for_coco = base * 3 / config.get('num_det_layers', 3)
    if math.isclose(loss['loss_weight'], for_coco):
        loss['loss_weight'] = for_coco * count / COCO_CLASSES


def _coco_datasets(config: Any) -> Iterator[dict]:
    for _, dataset in innermost_datasets(config):
        if type_name(dataset.get('type')) in _DATASETS:
            yield dataset


def _names_in_file(datasets: Sequence[dict]) -> tuple[str, ...]:
    """Return the categories of the first annotation file that exists."""
    files = [
        (join_root(one.get('data_root'), one.get('ann_file', '')), one.get('backend_args'))
        for one in datasets
    ]
    path, backend_args = next((file for file in files if exists(*file)), files[0])
    content = read_coco_json(path, backend_args, for_evaluation=True)
    return tuple(category['name'] for category in content['categories'])
