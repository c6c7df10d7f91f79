"""Published checkpoints hold what predicts, and nothing else."""

import hashlib

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmyolo_lite.apis.model import load_model
from mmyolo_lite.apis.predictor import Predictor
from mmyolo_lite.deploy.publish import publish
from mmyolo_lite.engine.published import config_from_text, published_config
from mmyolo_lite.errors import CheckpointError, ConfigError, DataError


@pytest.fixture(scope='module')
def trained(toy, tmp_path_factory):
    """A checkpoint as a training writes it."""
    path = tmp_path_factory.mktemp('trained') / 'epoch_3.pth'
    config = Config.fromfile(str(toy.config))
    config.work_dir = '/home/somebody/secret'
    weights = torch.load(toy.checkpoint, weights_only=True)['state_dict']
    other = {f'module.{name}': value + 1.0 for name, value in weights.items()}
    torch.save(
        {
            'meta': {
                'epoch': 3,
                'cfg': config.pretty_text,
                'dataset_meta': {'classes': ('balloon',), 'palette': [(1, 2, 3)]},
            },
            'state_dict': weights,
            'ema_state_dict': {'steps': torch.tensor(3), **other},
            'optimizer': {'state': {0: {'momentum_buffer': torch.zeros(100_000)}}},
            'message_hub': {},
        },
        path,
    )
    return path


@pytest.mark.parametrize('safetensors', [False, True])
@pytest.mark.parametrize('half', [False, True])
def test_it_predicts_the_same_without_a_config(trained, toy, tmp_path, half, safetensors):
    if safetensors:
        pytest.importorskip('safetensors', reason='pip install safetensors')
    done = publish(trained, tmp_path, half=half, safetensors=safetensors)
    sha = hashlib.sha256(done.path.read_bytes()).hexdigest()[:8]
    assert done.path.name == f'epoch_3-{sha}.{"safetensors" if safetensors else "pth"}'
    assert [done.path] == list(tmp_path.iterdir())
    size = sum(
        v.nbytes for v in torch.load(toy.checkpoint, weights_only=True)['state_dict'].values()
    )
    assert done.bytes_after < size / (2 if half else 1) + 200_000 < done.bytes_before
    assert b'somebody' not in done.path.read_bytes()

    predictor = Predictor(done.path, str(done.path), 'cpu', score_thr=0.33)
    assert predictor.class_names == ('balloon',)
    assert predictor.model.palette == ((1, 2, 3),)
    wanted = Predictor(toy.config, toy.checkpoint, 'cpu', score_thr=0.33)
    for found, other in zip(predictor(toy.images), wanted(toy.images), strict=True):
        best = slice(0, 5)
        np.testing.assert_allclose(
            found.scores[best], other.scores[best], atol=0.01 if half else 1e-6
        )
        if not half:
            np.testing.assert_allclose(found.boxes, other.boxes, atol=1e-4)


def test_it_can_be_published_again(trained, tmp_path):
    first = publish(trained, tmp_path / 'a').path
    second = publish(first, tmp_path / 'b', half=True).path
    assert first.name.startswith('a-') and second.name.startswith('b-')
    inside = torch.load(second, weights_only=True)['meta']['published']
    assert inside['input_hw'] == [128, 128]
    assert inside['task'] == 'instance segmentation'
    assert load_model(second, str(second), 'cpu').has_masks


def test_a_config_of_ones_own(trained, toy, tmp_path):
    loaded = torch.load(trained, weights_only=True)
    del loaded['meta']['cfg']
    torch.save(loaded, tmp_path / 'bare.pth')
    with pytest.raises(ConfigError, match='--config'):
        publish(tmp_path / 'bare.pth')
    done = publish(tmp_path / 'bare.pth', config=toy.config)
    assert published_config(done.path).model.bbox_head.head_module.num_classes == 1


def test_what_is_refused(trained, toy, tmp_path):
    with pytest.raises(CheckpointError, match='not found'):
        publish(tmp_path / 'none.pth')
    (tmp_path / 'file').write_text('')
    with pytest.raises(DataError):
        publish(trained, tmp_path / 'file/out')
    with pytest.raises(ConfigError, match='without a config'):
        published_config(toy.checkpoint)
    loaded = torch.load(trained, weights_only=True)
    loaded['meta']['cfg'] = '__import__("os").system("touch /tmp/hacked")'
    torch.save(loaded, tmp_path / 'evil.pth')
    with pytest.raises(ConfigError, match='no assignment'):
        publish(tmp_path / 'evil.pth')


@pytest.mark.parametrize(
    'text',
    [
        'a = f(1)',
        'a = [x for x in b]',
        'import os',
        'a = (',
        'a = 1 + 2',
        'a = dict(1)',
        'a, b = 1',
    ],
)
def test_configs_in_checkpoints_are_never_run(text):
    with pytest.raises(ValueError):
        config_from_text(text)


def test_configs_in_checkpoints_are_read():
    text = "a = dict(b=(1, -2.5), c=[None, True], d={'x': 'y'})\ne = 'f'\n"
    assert config_from_text(text) == {
        'a': {'b': [1, -2.5], 'c': [None, True], 'd': {'x': 'y'}},
        'e': 'f',
    }


def test_the_config_of_a_training_survives(toy):
    config = Config.fromfile(str(toy.config))
    from mmyolo_lite.engine.published import plain

    assert config_from_text(config.pretty_text) == plain(config.to_dict())
