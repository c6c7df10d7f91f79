"""Tests of the hook that gives the last epochs another pipeline."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from mmyolo_lite.datasets.transforms.mosaic_affine import MosaicAffine
from mmyolo_lite.engine.config import load_config
from mmyolo_lite.engine.hooks import PipelineSwitchHook
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import DATASETS
from tests.shared_data import REPO, shared_path

CONFIG = REPO / 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_150e_balloon_instance.py'
SINGLE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='YOLOv5KeepRatioResize', scale=(320, 320)),
    dict(type='PackDetInputs', meta_keys=('img_path',)),
]


def kinds(dataset: Any) -> list[str]:
    return [type(step).__name__ for step in dataset.pipeline.transforms]


@pytest.fixture
def runner(tmp_path) -> Any:
    settings = load_config(CONFIG).train_dataloader.dataset
    root = shared_path('data/coco_mini')
    settings.update(
        data_root=str(root),
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        cache=None,
    )
    settings.pop('metainfo')
    with DefaultScope.overwrite_default_scope('mmyolo_lite'):
        dataset = DATASETS.build(settings)
    loader = DataLoader(dataset, batch_size=None)
    log = logging.getLogger('switch')
    return SimpleNamespace(train_dataloader=loader, epoch=0, logger=log)


def test_the_pipeline_changes_at_its_epoch_and_once(runner):
    hook = PipelineSwitchHook(2, SINGLE)
    hook.before_train(runner)
    dataset = runner.train_dataloader.dataset
    before = kinds(dataset)
    assert MosaicAffine.__name__ in before
    for runner.epoch in (0, 1):
        hook.before_train_epoch(runner)
        assert kinds(dataset) == before
    runner.train_dataloader._iterator = workers = object()
    for runner.epoch in (2, 3):
        hook.before_train_epoch(runner)
        assert kinds(dataset) == [step['type'] for step in SINGLE]
        assert runner.train_dataloader._iterator is (None if runner.epoch == 2 else workers)
        runner.train_dataloader._iterator = workers
    assert max(dataset[0]['inputs'].shape) == 320


def test_a_pipeline_with_a_mosaic_is_made_fast_as_well(runner):
    steps = load_config(CONFIG).train_pipeline
    runner.train_dataloader.dataset.set_pipeline(steps)
    assert MosaicAffine.__name__ in kinds(runner.train_dataloader.dataset)


def test_another_data_set_is_refused(runner):
    runner.train_dataloader = DataLoader([1, 2, 3])
    with pytest.raises(ConfigError, match='is a list, whose pipeline cannot be replaced'):
        PipelineSwitchHook(2, SINGLE).before_train(runner)


@pytest.mark.parametrize(('epoch', 'steps'), [(-1, SINGLE), (3, [])])
def test_settings_that_cannot_be(epoch, steps):
    with pytest.raises(ConfigError, match='switch_epoch'):
        PipelineSwitchHook(epoch, steps)
