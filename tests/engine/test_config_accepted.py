"""Configs that are right, and that a check of mistakes could take for wrong."""

from pathlib import Path

import pytest

from mmyolo_lite.engine import runner
from mmyolo_lite.engine.config import TRAIN_PARTS, load_config
from mmyolo_lite.errors import ConfigError
from tests.shared_data import REPO

BASE = REPO / 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_150e_balloon_instance.py'
RIGHT = {
    'a variable with a number': 'train_pipeline2 = train_pipeline[:2]',
    'a variable that nothing reads': 'epoch = 4',
    'a dry run': 'optim_wrapper = dict(optimizer=dict(lr=0.0))',
    'a function as a step': 'train_dataloader["dataset"]["pipeline"] = [lambda sample: sample]',
    'hooks that are left out': 'default_hooks = dict(finite_loss=None, pictures=None, timer=None)',
    'early stopping': (
        "custom_hooks = [dict(type='EarlyStoppingHook', monitor='coco/bbox_mAP', patience=5)]"
    ),
    'a data set of several': (
        "train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=2,"
        ' dataset=_base_.train_dataloader.dataset))'
    ),
    'a scope with all that is in it': (
        "model = dict(_delete_=True, _scope_='mmdet', type='FCOS',\n"
        "    data_preprocessor=dict(type='DetDataPreprocessor'),\n"
        "    backbone=dict(type='ResNet', depth=18),\n"
        "    neck=[dict(type='FPN', in_channels=[64, 128], out_channels=64, num_outs=5)],\n"
        "    bbox_head=dict(type='FCOSHead', num_classes=1, in_channels=64))"
    ),
}


def written(folder: Path, text: str) -> Path:
    path = folder / 'mine.py'
    path.write_text(f'_base_ = {str(BASE)!r}\ntrain_pipeline = _base_.train_pipeline\n')
    if 'train_dataloader[' in text:
        text = f'train_dataloader = _base_.train_dataloader\n{text}'
    path.write_text(f'{path.read_text()}{text}\n')
    return path


@pytest.mark.parametrize('name', RIGHT)
def test_a_right_config_passes(name, tmp_path):
    load_config(written(tmp_path, RIGHT[name]), None, TRAIN_PARTS)


def test_hooks_that_are_left_out_are_no_hooks(tmp_path):
    config = load_config(written(tmp_path, RIGHT['hooks that are left out']), None, TRAIN_PARTS)
    runner._leave_out_hooks(config)
    assert config.default_hooks.finite_loss == {'type': 'FiniteLossHook', 'enabled': False}
    assert 'pictures' not in config.default_hooks
    assert config.default_hooks.timer is None, 'mmengine knows this form of its own hooks'


def test_the_pipeline_of_the_last_epochs_is_checked_at_once(tmp_path):
    text = (
        "custom_hooks = [dict(type='PipelineSwitchHook', switch_epoch=2,\n"
        "    switch_pipeline=[dict(type='mmdet.PackDetInputz')])]"
    )
    with pytest.raises(ConfigError, match=r'line 4.*switch_pipeline\[0\].*PackDetInputz'):
        load_config(written(tmp_path, text), None, TRAIN_PARTS)
