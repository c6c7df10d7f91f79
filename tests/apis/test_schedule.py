"""Tests of schedules computed without training."""

import pytest
from mmengine.config import Config

from mmyolo_lite.apis.schedule import iterations_per_epoch, save_schedule, schedule
from mmyolo_lite.errors import ConfigError

OPTIMIZER = dict(type='SGD', lr=0.01, momentum=0.937, weight_decay=0.0005)


def config(**options) -> Config:
    hook = dict(type='YOLOv5ParamSchedulerHook', warmup_mim_iter=10, warmup_epochs=0)
    given = dict(
        default_scope='mmyolo_lite',
        train_cfg=dict(max_epochs=10),
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=dict(**OPTIMIZER, batch_size_per_gpu=4),
            constructor='YOLOv5OptimizerConstructor',
        ),
        default_hooks=dict(param_scheduler=hook),
        train_dataloader=dict(batch_size=4),
    )
    return Config({**given, **options})


def test_warm_up_and_fall_are_those_of_the_training():
    found = schedule(config(), 5)
    weights, biases = found.values['weights'], found.values['biases']
    assert len(weights) == 50 and weights[0] == 0 and biases[0] == pytest.approx(0.1)
    assert weights[10] == pytest.approx(0.01 * (1 - 2 / 10 * 0.99)), 'the target of epoch 2'
    assert weights[-1] < weights[20] and weights[-1] == biases[-1]
    momentum = schedule(config(), 5, 'momentum').values['weights']
    assert (momentum[0], momentum[-1]) == (pytest.approx(0.8), pytest.approx(0.937))


def test_rates_of_single_layers_do_not_matter():
    plain = config()
    layers = config()
    layers.optim_wrapper['paramwise_cfg'] = dict(custom_keys={'backbone': dict(lr_mult=0.1)})
    assert schedule(layers, 5).values == schedule(plain, 5).values
    assert 'custom_keys' in layers.optim_wrapper.paramwise_cfg


def test_schedulers_of_mmengine_are_followed_too():
    steps = [
        dict(type='LinearLR', start_factor=0.5, by_epoch=False, begin=0, end=4),
        dict(type='MultiStepLR', milestones=[5], by_epoch=True, gamma=0.1),
    ]
    plain = dict(type='OptimWrapper', optimizer=OPTIMIZER)
    given = config(param_scheduler=steps, default_hooks={}, optim_wrapper=plain)
    (values,) = schedule(given, 4).values.values()
    assert values[0] == pytest.approx(0.005) and values[8] == pytest.approx(0.01)
    assert values[-1] == pytest.approx(0.001)


def test_batches_of_an_epoch():
    assert iterations_per_epoch(config(), 61, 1) == 16
    assert iterations_per_epoch(config(), 61, 2) == 8
    dropping = config(train_dataloader=dict(batch_size=4, drop_last=True))
    assert iterations_per_epoch(dropping, 61, 1) == 15
    assert iterations_per_epoch(dropping, 63, 2) == 8, '32 images each, one of them twice'
    with pytest.raises(ConfigError, match='--dataset-size 0'):
        iterations_per_epoch(config(), 0, 1)


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(ConfigError, match='max_epochs'):
        schedule(config(train_cfg={}), 4)
    for epochs in ('abc', -3, 0, 1.5):
        with pytest.raises(ConfigError, match='must be a whole number of at least 1'):
            schedule(config(train_cfg=dict(max_epochs=epochs)), 4)
    adam = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.1))
    with pytest.raises(ConfigError, match='has no momentum; it has lr'):
        schedule(config(optim_wrapper=adam), 4, 'momentum')
    with pytest.raises(ConfigError, match='pictures are written as'):
        save_schedule(schedule(config(), 4), 'lr', tmp_path / 'a.txt', 'a')


def test_the_picture_is_written(tmp_path):
    save_schedule(schedule(config(), 4), 'lr', tmp_path / 'sub/lr.png', '$x_{$ a')
    assert (tmp_path / 'sub/lr.png').stat().st_size > 1000
