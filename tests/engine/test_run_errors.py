"""What runs out or dies becomes a sentence that names the settings."""

import errno

import pytest
import torch
from mmengine.config import Config

from mmyolo_lite.engine.run_errors import run_errors
from mmyolo_lite.errors import DataError, UserError

CONFIG = Config(
    {
        'train_dataloader': {
            'batch_size': 16,
            'num_workers': 8,
            'dataset': {'pipeline': [{'type': 'Mosaic', 'img_scale': (640, 640)}]},
        },
        'optim_wrapper': {'type': 'OptimWrapper'},
    }
)


def message(error: Exception) -> str:
    with pytest.raises(UserError) as found, run_errors(CONFIG):
        raise error
    assert found.value is error or found.value.__cause__ is error
    return str(found.value)


@pytest.mark.parametrize(
    ('error', 'parts'),
    [
        (
            torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0'),
            ('GPU', '2.50 GiB', 'train_dataloader.batch_size (now 16)', '--amp', 'now 640x640'),
        ),
        (RuntimeError('CUDA error: out of memory'), ('GPU', '--amp')),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 b"),
            ('main memory', 'num_workers (now 8)'),
        ),
        (MemoryError(), ('main memory',)),
        (
            RuntimeError('DataLoader worker (pid 77) is killed by signal: Killed. '),
            ('process 77', 'num_workers (now 8)', '--resume'),
        ),
        (
            RuntimeError('DataLoader worker (pid(s) 7, 8) exited unexpectedly'),
            ('process 7, 8', 'num_workers (now 8)'),
        ),
        (
            RuntimeError(
                'DataLoader worker (pid 7) is killed by signal: Bus error. It is possible'
            ),
            ('/dev/shm', '--shm-size'),
        ),
        (
            RuntimeError('DataLoader worker (pid 7) is killed by signal: Segmentation fault. '),
            ('Segmentation fault', 'num_workers=0'),
        ),
        (
            RuntimeError('unable to write to file </torch_1_2>: No space left on device (28)'),
            ('/dev/shm',),
        ),
        (OSError(errno.ENOSPC, 'No space left on device', 'work/a'), ('No space', 'work/a')),
    ],
)
def test_what_the_user_can_mend_is_explained(error, parts):
    text = message(error)
    assert all(part in text for part in parts), text


def test_amp_is_not_advised_twice():
    config = Config({**CONFIG, 'optim_wrapper': {'type': 'AmpOptimWrapper'}})
    with pytest.raises(UserError) as found, run_errors(config):
        raise torch.cuda.OutOfMemoryError('CUDA out of memory.')
    assert '--amp' not in str(found.value)


@pytest.mark.parametrize('error', [RuntimeError('shape'), OSError(errno.EIO, 'x'), KeyError('x')])
def test_defects_pass(error):
    with pytest.raises(type(error)) as found, run_errors(CONFIG):
        raise error
    assert found.value is error


def test_errors_for_users_pass():
    assert message(DataError('all said: out of memory')) == 'all said: out of memory'
