"""Tests of files that appear whole or not at all."""

import errno
import os

import pytest
from mmengine import fileio

from mmyolo_lite.compat.whole_files import WholeFilesBackend


def test_mmengine_writes_through_it(tmp_path):
    assert isinstance(fileio.get_file_backend(str(tmp_path / 'a')), WholeFilesBackend)
    fileio.put(b'bytes', tmp_path / 'sub/a.bin')
    fileio.put_text('text', tmp_path / 'sub/b.txt')
    assert (tmp_path / 'sub/a.bin').read_bytes() == b'bytes'
    assert fileio.get_text(tmp_path / 'sub/b.txt') == 'text'
    assert len(list((tmp_path / 'sub').iterdir())) == 2


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'epoch_1.pth'
    path.write_bytes(b'old')

    def full(_descriptor):
        assert path.read_bytes() == b'old', 'the new content is beside until it is on the disk'
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space left'):
        fileio.put(b'new', path)
    assert path.read_bytes() == b'old' and list(tmp_path.iterdir()) == [path]
