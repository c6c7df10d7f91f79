"""What stops a training leaves a message and whole files, and --resume goes on exactly."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.long.kill_test import kill_test, tiny_config
from tests.long.same_runs import differences, torn_files
from tests.tools import journey
from tests.tools.journey import ITERS_PER_EPOCH, Done, WarmTools

EPOCHS = 3
# batches of one make epochs long enough to be stopped in the middle
LIVELY = """
train_dataloader.update(num_workers=2, persistent_workers=True, batch_size=1)
default_hooks['checkpoint'].update(max_keep_ckpts=2)
sizes = dict(type='YOLOXBatchSyncRandomResize', random_size_range=(96, 160), interval=3)
model['data_preprocessor'] = dict(batch_augments=[sizes])
custom_imports = dict(imports=['tests.tools.stopping_hook'], allow_failed_imports=False)
"""
ITERS = 4 * ITERS_PER_EPOCH


class Trainings:
    """Trainings of one config, each in its own work dir."""

    def __init__(self, tools: WarmTools, folder: Path, data: Path) -> None:
        self.tools, self.folder = tools, folder
        hook = "custom_hooks = [*_base_.custom_hooks, dict(type='MishapHook', kind='', after=0)]\n"
        extra = LIVELY + hook
        self.config = journey.write_config(folder / 'tiny.py', data, extra=extra, epochs=EPOCHS)

    def train(self, name: str, kind: str, after: int, *arguments: str) -> Done:
        place = f'custom_hooks.{len(self.base_hooks())}'
        return self.tools.run(
            self.folder,
            'tools/train.py',
            self.config,
            *('--work-dir', name, *arguments),
            *('--cfg-options', f'{place}.kind={kind}', f'{place}.after={after}'),
        )

    def base_hooks(self) -> list:
        from mmengine.config import Config

        return Config.fromfile(str(self.config)).custom_hooks[:-1]

    def work_dir(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope='module')
def trainings(tools, data, tmp_path_factory) -> Trainings:
    made = Trainings(tools, tmp_path_factory.mktemp('stops'), data)
    made.train('straight', 'none', 0).check()
    return made


def assert_exact(trainings: Trainings, name: str) -> None:
    trainings.train(name, 'none', 0, '--resume').check()
    assert list(differences(trainings.work_dir('straight'), trainings.work_dir(name))) == []
    assert list(torn_files(trainings.work_dir(name))) == []


def last_line(done: Done) -> str:
    assert 'Traceback' not in done.err, done.err
    return done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ('kind', 'after', 'code', 'place'),
    [
        ('term', ITERS + 3, 143, f'SIGTERM in epoch 2 behind iteration 4 of {ITERS}'),
        ('int', 2 * ITERS - 1, 130, 'Ctrl-C behind epoch 2'),
        ('term_in_validation', 2 * ITERS, 143, 'SIGTERM behind epoch 2'),
    ],
)
def test_a_signal_saves_and_resuming_is_exact(trainings, kind, after, code, place):
    done = trainings.train(kind, kind, after)
    assert done.code == code
    in_epoch = kind == 'term'
    saved = 'interrupted.pth' if in_epoch else 'epoch_2.pth'
    assert last_line(done).startswith(f'Stopped by {place}; --resume goes on from ')
    assert last_line(done).endswith(f'{saved}.')
    assert (trainings.work_dir(kind) / 'interrupted.pth').is_file() == in_epoch
    assert_exact(trainings, kind)
    assert not (trainings.work_dir(kind) / 'interrupted.pth').exists(), 'a newer one is there'


def test_a_second_ctrl_c_leaves_at_once(trainings):
    done = trainings.train('twice', 'int_twice', ITERS + 3)
    assert done.code == 130
    assert last_line(done).startswith('Stopped at once by Ctrl-C. --resume goes on from ')
    assert last_line(done).endswith('epoch_1.pth.')
    assert not (trainings.work_dir('twice') / 'interrupted.pth').exists()


def test_batches_of_another_size_start_the_epoch_again(trainings):
    trainings.train('resized', 'term', ITERS + 3)
    options = (trainings.folder, 'tools/train.py', trainings.config, '--work-dir', 'resized')
    cfg = ('--cfg-options', 'train_dataloader.batch_size=2', 'train_cfg.max_epochs=2')
    done = trainings.tools.run(*options, '--resume', *cfg).check()
    assert 'That epoch starts again' in done.out + done.err


def test_a_loss_that_is_not_finite_names_term_iteration_and_images(trainings):
    done = trainings.train('nan', 'nan', ITERS + 3)
    assert done.code == 1
    line = last_line(done)
    assert line.startswith(f'error: The training stops in epoch 2 at iteration 4 of {ITERS} (')
    assert (
        'loss_mask is nan' in line and '/train/sample_train_' in line and '.lr (now 0.01)' in line
    )
    assert sorted(path.name for path in trainings.work_dir('nan').glob('epoch*')) == ['epoch_1.pth']


def test_the_check_of_losses_can_be_switched_off(trainings):
    options = ('--work-dir', 'regardless', '--cfg-options')
    place = f'custom_hooks.{len(trainings.base_hooks())}'
    done = trainings.tools.run(
        *(trainings.folder, 'tools/train.py', trainings.config, *options, 'train_cfg.max_epochs=1'),
        *(f'{place}.kind=nan', f'{place}.after=1', 'default_hooks.finite_loss.enabled=False'),
    )
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ('kind', 'parts'),
    [
        ('dead_worker', ('killed from outside', 'train_dataloader.num_workers (now 2)')),
        (
            'out_of_memory',
            (
                '20.00 MiB',
                'train_dataloader.batch_size (now 1)',
                '--amp',
                'img_scale (now 128x128)',
            ),
        ),
        ('full_disk', ('No space left on device', '--resume goes on from', 'epoch_1.pth')),
    ],
)
def test_what_runs_out_is_one_error_and_the_checkpoint_stays(trainings, kind, parts):
    done = trainings.train(kind, kind, ITERS + 3)
    assert done.code == 1
    line = last_line(done)
    assert line.startswith('error: ') and all(part in line for part in parts)
    assert list(torn_files(trainings.work_dir(kind))) == []
    if kind == 'full_disk':
        assert_exact(trainings, kind)


def test_a_missing_validation_is_made_up_for(trainings):
    """As of a run that was killed in the validation behind epoch 1, the best one."""
    work_dir = trainings.work_dir('killed')
    trainings.train('killed', 'term_in_validation', ITERS)
    assert not list(work_dir.glob('best*'))
    done = trainings.train('killed', 'none', 0, '--resume').check()
    assert 'The validation of epoch 1 is missing, and comes first.' in done.out
    assert list(differences(trainings.work_dir('straight'), work_dir)) == []
    done = trainings.train('killed', 'none', 0, '--resume').check()
    assert 'is missing' not in done.out, 'of a complete training'


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A folder of 40 megabytes."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip('there is no mount')
    if done.returncode:
        pytest.skip(f'mounting is not allowed: {done.stderr.strip()}')
    yield folder
    subprocess.run(['umount', '-l', str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_for_all_files(trainings, small_disk):
    work_dir = small_disk / 'run'
    arguments = (trainings.folder, 'tools/train.py', trainings.config, '--work-dir', work_dir)
    trainings.tools.run(*arguments, '--cfg-options', 'train_cfg.max_epochs=1').check()
    free = shutil.disk_usage(small_disk).free
    (small_disk / 'other').write_bytes(bytes(free - 150_000))  # so much is left for logs at start
    done = trainings.tools.run(*arguments, '--resume', '--vis', 'local', 'tensorboard')
    assert done.code == 1
    assert 'No space left on device' in last_line(done) and 'epoch_1.pth' in last_line(done)
    (small_disk / 'other').unlink()
    trainings.tools.run(*arguments, '--resume').check()
    assert list(differences(trainings.work_dir('straight'), work_dir)) == []
    assert list(torn_files(work_dir)) == []


@pytest.mark.slow
def test_kills_at_random_instants(tmp_path):
    plain = ('default_hooks.pictures.enabled=False',)
    config = tiny_config(tmp_path, epochs=6)
    report = kill_test(config, tmp_path, kills=3, seed=0, options=plain)
    assert report.differences == [] and report.torn == [] and not report.leftovers
    assert sum(report.stops.values()) == 3
