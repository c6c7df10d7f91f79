"""Tests of choosing where curves go."""

from mmengine.config import Config

from mmyolo_lite.engine.watching import choose_backends


def kinds(config: Config) -> list[str]:
    return [backend.type for backend in config.visualizer.vis_backends]


def test_names_replace_the_backends_and_keep_what_the_config_sets_up():
    wandb = dict(type='WandbVisBackend', init_kwargs=dict(project='fruit'))
    config = Config(dict(visualizer=dict(type='V', vis_backends=[dict(type='A'), wandb])))
    choose_backends(config, None)
    assert kinds(config) == ['A', 'WandbVisBackend']
    choose_backends(config, ['tensorboard', 'wandb', 'tensorboard'])
    assert kinds(config) == ['TensorboardVisBackend', 'WandbVisBackend']
    assert config.visualizer.vis_backends[1].init_kwargs.project == 'fruit'
    assert config.visualizer.type == 'V'


def test_a_config_without_a_visualizer_gets_one():
    config = Config({})
    choose_backends(config, ['local'])
    assert kinds(config) == ['LocalVisBackend']
    assert config.visualizer.type == 'mmdet.DetLocalVisualizer'
