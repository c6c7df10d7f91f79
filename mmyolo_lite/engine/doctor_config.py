"""Which sets of images the dataset doctor looks at for a config."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config

from mmyolo_lite.datasets import YOLOv5CocoDataset
from mmyolo_lite.datasets.coco_checks import check_classes
from mmyolo_lite.datasets.doctor.sets import CheckedSet
from mmyolo_lite.engine.checks import (
    LOADERS,
    configured_classes,
    head_module_config,
    innermost_datasets,
    join_root,
)
from mmyolo_lite.engine.config import training_input_wh
from mmyolo_lite.errors import ConfigError


def sets_of_config(config: Config) -> list[CheckedSet]:
    """Return the COCO sets of a config; one that serves validation and test appears once.

    The sets are named after what they serve, as ``train`` and ``val/test``, with a number where
    there are several: ``train-1``.

    Raises:
        ConfigError: there is none, or class names or paths cannot be used.
    """
    scale_wh = training_input_wh(config)
    num_classes = head_module_config(config).get('num_classes', 80)
    roles: dict[tuple, list[str]] = {}
    for loader in LOADERS:
        for path, dataset in innermost_datasets(config, [loader]):
            if dataset.get('ann_file'):
                key = (*_paths(path, dataset), _classes(path, dataset, num_classes))
                role = loader.partition('_')[0]
                roles.setdefault(key, []).append(role)
    if not roles:
        raise ConfigError(
            'The config has no data set with an ann_file. Give a config for training, or the '
            'annotation file itself.'
        )
    names = _distinct('/'.join(dict.fromkeys(used)) for used in roles.values())
    return [
        CheckedSet(ann_file, image_dir, name, tuple(dict.fromkeys(used)), classes, scale_wh)
        for name, ((ann_file, image_dir, classes), used) in zip(names, roles.items(), strict=True)
    ]


def _distinct(names: Iterator[str]) -> list[str]:
    names_in_order = list(names)
    counts, seen = Counter(names_in_order), Counter[str]()
    result = []
    for name in names_in_order:
        seen[name] += 1
        result.append(f'{name}-{seen[name]}' if counts[name] > 1 else name)
    return result


def _paths(path: str, dataset: dict) -> tuple[str, str]:
    """Return the annotation file and the folder of images, as the data set joins them."""
    root, prefix = dataset.get('data_root') or '', dataset.get('data_prefix') or {}
    parts = (dataset['ann_file'], prefix.get('img', '') if isinstance(prefix, dict) else prefix)
    backend = (dataset.get('backend_args') or {}).get('backend', 'local')
    if not all(isinstance(part, str) for part in (root, *parts)):
        raise ConfigError(f'{path}: data_root, ann_file and data_prefix.img must be paths.')
    joined = [join_root(root, part) for part in parts]
    if backend not in ('local', 'LocalBackend') or any('://' in part for part in joined):
        raise ConfigError(f'{path} is not on this machine: {joined[0]}. Check a local copy.')
    return joined[0], joined[1]


def _classes(path: str, dataset: dict, num_classes: Any) -> tuple[str, ...] | None:
    """Return the configured names; those of COCO stand for a config of as many classes."""
    classes = configured_classes(dataset)
    if classes is not None:
        check_classes(classes, f'{path}.metainfo.classes')
        return tuple(classes)
    coco = tuple(YOLOv5CocoDataset.METAINFO['classes'])
    return coco if num_classes == len(coco) else None


def only_set(sets: Sequence[CheckedSet], name: str | None) -> CheckedSet:
    """Return the set of a name or of one of its parts; without a name the only set.

    Raises:
        ConfigError: there is not exactly one.
    """
    fitting = [one for one in sets if name in (None, one.name, *one.roles)]
    if len(fitting) != 1:
        names = ', '.join(one.name for one in sets)
        wanted = 'several sets' if name is None else f'{len(fitting)} sets named {name!r}'
        raise ConfigError(f'The config has {wanted}. Choose one with --set: {names}.')
    return fitting[0]
