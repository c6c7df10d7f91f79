"""Tests of choosing the checkpoint to resume from."""

import shutil

import pytest
import torch

from mmyolo_lite.engine.newest_checkpoint import newest_checkpoint
from mmyolo_lite.errors import CheckpointError


@pytest.fixture
def work_dir(tmp_path):
    """Epochs 1 to 3, the second saved last, as behind an earlier, longer training."""
    folder = tmp_path / 'run'
    folder.mkdir()
    for epoch in (1, 2, 3):
        torch.save({'state_dict': {}}, folder / f'epoch_{epoch}.pth')
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_2.pth'))
    return folder


def test_the_one_that_was_saved_last_counts(work_dir):
    assert newest_checkpoint(work_dir).name == 'epoch_2.pth'
    (work_dir / 'last_checkpoint').unlink()
    assert newest_checkpoint(work_dir).name == 'epoch_3.pth'


def test_a_copied_work_dir_goes_on_with_its_own(work_dir, tmp_path):
    copy = tmp_path / 'copy'
    shutil.copytree(work_dir, copy)
    assert newest_checkpoint(copy) == (copy / 'epoch_2.pth').resolve()


def test_damaged_ones_are_passed_over_downwards(work_dir):
    (work_dir / 'epoch_2.pth').write_bytes(b'damaged')
    assert newest_checkpoint(work_dir).name == 'epoch_1.pth'


def test_damaged_ones_are_counted_once(work_dir):
    for path in work_dir.glob('*.pth'):
        path.write_bytes(b'damaged')
    with pytest.raises(CheckpointError, match='None of the 2 checkpoints'):
        newest_checkpoint(work_dir)


def test_nothing_is_nothing(tmp_path):
    assert newest_checkpoint(tmp_path) is None


def test_an_interrupted_training_goes_on_where_it_was(work_dir):
    torch.save({'state_dict': {}}, work_dir / 'interrupted.pth')
    assert newest_checkpoint(work_dir).name == 'epoch_2.pth', 'a newer one was saved behind it'
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'interrupted.pth'))
    assert newest_checkpoint(work_dir).name == 'interrupted.pth'
    (work_dir / 'interrupted.pth').write_bytes(b'damaged')
    assert newest_checkpoint(work_dir).name == 'epoch_3.pth'
