"""The data sets of a config, for tools that look at data without training."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from mmengine.registry import init_default_scope

import mmyolo_lite.datasets.registered  # noqa: F401
from mmyolo_lite import registry
from mmyolo_lite.datasets.coco import BatchShapePolicyDataset
from mmyolo_lite.datasets.statistics import box_table
from mmyolo_lite.engine.build_errors import config_errors
from mmyolo_lite.engine.checks import innermost_datasets
from mmyolo_lite.errors import ConfigError, DataError


def build_datasets(
    config: Any, loader: str = 'train_dataloader', pipeline: Sequence | None = ()
) -> list[Any]:
    """Build the data sets of a loader, inside any wrappers, without looking for image files.

    Args:
        config: as :func:`mmyolo_lite.engine.config.load_config` returns it.
        loader: ``train_dataloader``, ``val_dataloader`` or ``test_dataloader``.
        pipeline: in place of the config's; None keeps that.

    Raises:
        ConfigError: the loader or its data set is missing or cannot be built.
        DataError: the annotation file is missing or unusable, or nothing is left of it.
    """
    found = [dataset for _, dataset in innermost_datasets(config, [loader])]
    if not found:
        raise ConfigError(f'The config has no {loader}.dataset.')
    init_default_scope(config.get('default_scope', registry.SCOPE))
    built = []
    for node in found:
        node = deepcopy(node)
        node['lazy_init'] = True
        # nobody decodes a set twice here, and each step is to be seen by itself
        for setting in ('cache', 'cache_dir', 'cache_limit_gb', 'reduced_decode'):
            node.pop(setting, None)
        kind = registry.DATASETS.get(node.get('type'))
        if isinstance(kind, type) and issubclass(kind, BatchShapePolicyDataset):
            node['fast_pipeline'] = False
        if pipeline is not None:
            node['pipeline'] = list(pipeline)
        with config_errors(config):
            dataset = registry.DATASETS.build(node)
            dataset.full_init()
        built.append(dataset)
    return built


def box_sizes(datasets: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return sizes (width, height) in pixels of all boxes (N, 2), crowds included, and of the image
    of each (N, 2).

    Raises:
        DataError: there is no box.
    """
    tables = [box_table(dataset) for dataset in datasets]
    if not any(len(table.labels) for table in tables):
        files = ', '.join(str(dataset.ann_file) for dataset in datasets)
        raise DataError(
            f'{files} has no box of the configured classes '
            f'{", ".join(map(repr, datasets[0].metainfo["classes"]))}. Check metainfo.'
        )
    boxes_wh = np.concatenate([table.boxes_wh for table in tables])
    return boxes_wh, np.concatenate([table.owners_wh for table in tables])
