"""Tests of keeping checkpoints."""

import errno
import os
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.fileio import get_file_backend
from mmengine.logging import MessageHub

from mmyolo_lite.engine.hooks import CheckpointHook
from mmyolo_lite.engine.hooks.checkpoint import explained_writing, remove_leftovers
from mmyolo_lite.errors import CheckpointError, DataError


class Saves:
    """A runner that writes empty checkpoints, and notes what is there while it does."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.work_dir, self.folder = str(folder), folder
        self.message_hub = MessageHub('saves')
        self.seen: list[list[str]] = []
        self.hook = CheckpointHook(interval=1, max_keep_ckpts=keep)
        self.hook.out_dir, self.hook.file_backend = str(folder), get_file_backend(str(folder))
        self.hook.filename_tmpl = 'epoch_{}.pth'
        self.hook.keep_ckpt_ids = deque()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob('*.pth'))

    def save_checkpoint(self, out_dir, filename, *_, **__) -> None:
        self.seen.append(self.names())
        (self.folder / filename).touch()

    def save(self, step: int) -> None:
        self.hook._save_checkpoint_with_step(self, step, {})


@pytest.mark.parametrize('keep', [1, 2])
def test_an_old_checkpoint_goes_when_the_new_one_is_written(tmp_path, keep):
    runner = Saves(tmp_path, keep)
    for step in range(1, 5):
        runner.save(step)
        runner.save(step)  # mmengine saves again behind a better validation
        assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / f'epoch_{step}.pth')
    assert all(runner.seen[1:]), 'at no time is there none'
    assert runner.names() == [f'epoch_{step}.pth' for step in range(5 - keep, 5)]
    assert runner.hook.max_keep_ckpts == keep


def test_the_best_checkpoint_goes_when_a_better_one_is_written(tmp_path):
    runner = Saves(tmp_path, -1)
    runner.logger = SimpleNamespace(info=lambda _: None)
    hook = runner.hook
    hook.__dict__.update(CheckpointHook(interval=1, save_best='ap', rule='greater').__dict__)
    hook.out_dir, hook.file_backend = str(tmp_path), get_file_backend(str(tmp_path))
    hook.filename_tmpl, hook.best_ckpt_path = 'epoch_{}.pth', None
    for epoch, score in enumerate((0.1, 0.3, 0.2, 0.4), 1):
        runner.epoch = runner.iter = epoch
        hook._save_best_checkpoint(runner, {'ap': score})
    best = [[name for name in names if name.startswith('best')] for names in runner.seen]
    assert best == [[], ['best_ap_epoch_1.pth'], ['best_ap_epoch_2.pth']], (
        'at no time is there none'
    )
    assert [name for name in runner.names() if 'best' in name] == ['best_ap_epoch_4.pth']
    assert hook.best_ckpt_path.endswith('best_ap_epoch_4.pth')


def test_all_are_kept_without_a_limit(tmp_path):
    runner = Saves(tmp_path, -1)
    for step in range(1, 4):
        runner.save(step)
    assert len(runner.names()) == 3


def test_a_resumed_run_knows_which_there_are(tmp_path, monkeypatch):
    hook = CheckpointHook(interval=1, max_keep_ckpts=2)
    parent = CheckpointHook.__mro__[1]
    monkeypatch.setattr(
        parent, 'before_train', lambda self, _: setattr(self, 'keep_ckpt_ids', deque([1, 2], 2))
    )
    runner = SimpleNamespace(
        work_dir=str(tmp_path), message_hub=MessageHub('resumed'), param_schedulers=None
    )
    hook.before_train(runner)
    assert not hook.save_param_scheduler, 'there is none'
    hook.keep_ckpt_ids.append(3)
    assert list(hook.keep_ckpt_ids) == [1, 2, 3], 'none is forgotten before its file is removed'


def test_halves_of_killed_processes_go_and_those_of_living_ones_stay(tmp_path):
    ended = 4_194_305  # above what Linux counts to
    for name in (f'.epoch_3.{ended}.part.pth', f'.epoch_3.{os.getpid()}.part.pth', '.x.part.pth'):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f'.epoch_3.{os.getpid()}.part.pth', '.x.part.pth'}


def test_a_full_disk_names_the_checkpoint_to_go_on_from(tmp_path):
    with (
        pytest.raises(CheckpointError, match='No space left on device.*start again'),
        explained_writing('out', str(tmp_path)),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    (tmp_path / 'last_checkpoint').write_text('elsewhere/epoch_2.pth')
    (tmp_path / 'epoch_2.pth').touch()
    with (
        pytest.raises(CheckpointError, match='--resume goes on from .*epoch_2.pth'),
        explained_writing('out', str(tmp_path)),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_interrupted_checkpoint_goes_when_a_newer_one_is_written(tmp_path):
    runner = Saves(tmp_path, -1)
    (tmp_path / 'interrupted.pth').touch()
    runner.save(1)
    assert runner.names() == ['epoch_1.pth']


def test_an_error_that_is_none_of_the_disk_keeps_its_words(tmp_path):
    folder = str(tmp_path)
    with pytest.raises(DataError, match='^weights are nan$'), explained_writing(folder, folder):
        raise DataError('weights are nan')
