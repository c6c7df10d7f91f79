"""Configs that cannot work are refused before any data is read, naming place and remedy."""

from collections.abc import Callable
from typing import Any

import pytest
from mmengine.config import Config, ConfigDict

from mmyolo_lite.engine.checks import (
    accepted_fields,
    check_config,
    configured_classes,
    head_module_config,
    join_root,
)
from mmyolo_lite.engine.config import load_config
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.models import YOLOv5Head, YOLOv5InsHead, YOLOv5InsHeadModule
from tests.shared_data import REPO

BALLOON = (
    REPO / 'configs/yolov5/ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_balloon_instance.py'
)


@pytest.fixture
def config() -> Config:
    return load_config(BALLOON)


def refused(config: Config, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        check_config(config)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('place', 'field', 'words'),
    [
        (
            lambda c: c.model.backbone,
            'widen_facter',
            r"model\.backbone\.widen_facter is unknown: YOLOv5CSPDarknet .*'widen_factor'\?",
        ),
        (
            lambda c: c.model.bbox_head.head_module,
            'mask_chanels',
            r"mask_chanels .*Did you mean 'mask_channels'",
        ),
        (
            lambda c: c.train_dataloader.dataset.pipeline[3],
            'use_mask_refin',
            r"train_dataloader\.dataset\.pipeline\[3\]\.use_mask_refin .*'use_mask_refine'",
        ),
        (
            lambda c: c.default_hooks.param_scheduler,
            'warmup_epoch',
            r"default_hooks\.param_scheduler\.warmup_epoch .*Did you mean 'warmup_epochs'",
        ),
        (
            lambda c: c.train_dataloader.dataset.pipeline[2].pre_transform[1],
            'with_bboxes',
            r"pre_transform\[1\]\.with_bboxes .*Did you mean 'with_bbox'",
        ),
        (lambda c: c.model.neck, 'xyz', r'model\.neck\.xyz is unknown.* It takes .*widen_factor'),
    ],
)
def test_unknown_fields(config: Config, place: Callable, field: str, words: str) -> None:
    place(config)[field] = 1
    refused(config, words)


@pytest.mark.parametrize('prefix', ['mmyolo.', 'mmyolo_lite.'])
def test_unknown_fields_of_types_with_prefix(config: Config, prefix: str) -> None:
    config.model.neck.type = prefix + config.model.neck.type
    check_config(config)
    config.model.neck.widen_facter = 1
    refused(config, 'widen_facter')


def test_components_of_other_packages_are_not_judged(config: Config) -> None:
    config.model.bbox_head.loss_cls.anything = 1
    config.custom_hooks.append(ConfigDict(type='SomebodysHook', anything=1))
    config.test_dataloader.dataset.pipeline.append(
        ConfigDict(type='LoadAnnotations', _scope_='mmdet', anything=1)
    )
    check_config(config)


@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader', 'test_dataloader'])
def test_numbers_of_classes_that_disagree(config: Config, loader: str) -> None:
    config[loader].dataset.metainfo = {'classes': ('balloon', 'kite')}
    refused(
        config,
        rf"num_classes is 1, but {loader}\.dataset\.metainfo\.classes has 2: 'balloon', 'kite'",
    )


def test_numbers_of_classes_inside_a_wrapped_data_set(config: Config) -> None:
    inner = config.train_dataloader.dataset
    inner.metainfo = {'classes': ('a', 'b', 'c')}
    config.train_dataloader.dataset = ConfigDict(type='RepeatDataset', times=2, dataset=inner)
    refused(config, r'train_dataloader\.dataset\.dataset\.metainfo\.classes has 3')


def test_own_number_of_classes_with_the_names_of_coco(config: Config) -> None:
    del config.train_dataloader.dataset['metainfo']
    refused(config, 'num_classes is 1, but .* has 80')


def test_classes_as_a_string(config: Config) -> None:
    config.train_dataloader.dataset.metainfo = {'classes': ('balloon')}
    refused(config, r"the string 'balloon'.* Write classes=\('balloon', \) with the comma")


def test_forms_of_the_masks_that_disagree(config: Config) -> None:
    config.model.bbox_head.mask_overlap = False
    refused(
        config, r'pipeline\[\d\]\.mask_overlap is True, but model\.bbox_head\.mask_overlap is False'
    )


def test_input_sizes_that_do_not_fit(config: Config) -> None:
    config.test_dataloader.dataset.batch_shapes_cfg = None
    config.test_dataloader.dataset.pipeline[2].scale = (650, 640)
    refused(config, r'scale is \(650, 640\).* multiples of 32.* \(640, 640\)')


@pytest.mark.parametrize(
    ('loader', 'fields', 'words'),
    [
        ('train', {'batchsize': 4}, r"train_dataloader\.batchsize .*Did you mean 'batch_size'"),
        ('val', {'num_worker': 4}, r"val_dataloader\.num_worker .*Did you mean 'num_workers'"),
        ('train', {'xyz': 4}, 'xyz is unknown.* It takes .*batch_size'),
        ('train', {'batch_size': 0}, r'train_dataloader\.batch_size is 0; .* at least 1'),
        ('train', {'batch_size': 2.0}, r'batch_size is 2\.0; .*whole number'),
        ('test', {'batch_size': '2'}, r"test_dataloader\.batch_size is '2'"),
        ('train', {'batch_size': True}, 'batch_size is True'),
        ('train', {'num_workers': -1}, 'num_workers is -1; .* at least 0'),
        ('train', {'num_workers': None}, 'num_workers is None'),
        ('train', {'num_workers': 0}, r'persistent_workers is True, but num_workers is 0\. Set'),
    ],
)
def test_fields_of_data_loaders(config: Config, loader: str, fields: dict, words: str) -> None:
    config[f'{loader}_dataloader'].update(fields)
    refused(config, words)


@pytest.mark.parametrize('field', ['dataset', 'sampler'])
def test_data_loaders_without_a_needed_field(config: Config, field: str) -> None:
    del config.train_dataloader[field]
    refused(config, f"train_dataloader needs the field '{field}'")


def test_fields_of_the_runner_in_data_loaders(config: Config) -> None:
    config.train_dataloader.update(num_batch_per_epoch=3, prefetch_factor=2, drop_last=True)
    check_config(config)


def test_numbers_of_classes_inside_joined_data_sets(config: Config) -> None:
    inner = config.train_dataloader.dataset
    other = ConfigDict({**inner, 'metainfo': {'classes': ('a', 'b', 'c')}})
    config.train_dataloader.dataset = ConfigDict(type='ConcatDataset', datasets=[inner, other])
    refused(config, r'train_dataloader\.dataset\.datasets\[1\]\.metainfo\.classes has 3')


def test_configs_without_a_part_are_checked_as_far_as_they_go() -> None:
    check_config(Config({}))
    check_config(Config({'model': {'type': 'YOLODetector'}, 'train_dataloader': None}))


def test_fields_follow_the_parents() -> None:
    def takes_all(**kwargs: Any) -> None:
        pass

    parent, child = accepted_fields(YOLOv5Head), accepted_fields(YOLOv5InsHead)
    assert parent is not None and child is not None
    assert child - parent == {'mask_overlap', 'loss_mask', 'loss_mask_weight'}
    module = accepted_fields(YOLOv5InsHeadModule)
    assert (
        module is not None
        and {'num_classes', 'in_channels', 'proto_channels', 'init_cfg'} <= module
    )
    assert accepted_fields(takes_all) is None


@pytest.mark.parametrize(
    ('root', 'path', 'joined'),
    [
        ('data', 'train.json', 'data/train.json'),
        ('data/', 'train/', 'data/train/'),
        ('data/', '', 'data/'),
        ('', 'train.json', 'train.json'),
        (None, 'train.json', 'train.json'),
        ('data', '/else/train.json', '/else/train.json'),
        ('data', 's3://bucket/train.json', 's3://bucket/train.json'),
        ('s3://bucket/data/', 'train.json', 's3://bucket/data/train.json'),
    ],
)
def test_paths_are_joined_as_data_sets_join_them(root: str | None, path: str, joined: str) -> None:
    assert join_root(root, path) == joined


@pytest.mark.parametrize(
    'config', [{}, {'model': None}, {'model': {'bbox_head': None}}, {'model': {'bbox_head': {}}}]
)
def test_a_model_without_a_head_has_no_head_module(config: dict) -> None:
    assert head_module_config(config) == {}


@pytest.mark.parametrize('dataset', [{}, {'metainfo': None}, {'metainfo': {}}])
def test_data_sets_without_classes(dataset: dict) -> None:
    assert configured_classes(dataset) is None
