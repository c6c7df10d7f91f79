"""Tests of files that appear whole or not at all."""

import errno
import signal
import subprocess
import sys

import pytest

from mmyolo_lite.errors import DataError
from mmyolo_lite.whole_files import check_out_dir, replacing, whole_file, write_bytes


def test_the_file_gets_its_name_at_the_end(tmp_path):
    path = tmp_path / 'new/a.txt'
    with whole_file(path) as part:
        part.write_text('all')
        assert not path.exists() and part.parent == path.parent and part.suffix == '.txt'
    assert path.read_text() == 'all' and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize('error', [KeyboardInterrupt, RuntimeError])
def test_what_was_there_stays_after_an_interruption(tmp_path, error):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with pytest.raises(error), whole_file(path) as part:
        part.write_text('ne')
        raise error
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_a_kill_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    code = (
        'import os, signal, sys; from pathlib import Path\n'
        'from mmyolo_lite.whole_files import replacing\n'
        'with replacing(Path(sys.argv[1])) as part:\n'
        '    part.write_text("ne")\n'
        '    os.kill(os.getpid(), signal.SIGKILL)\n'
    )
    killed = subprocess.run([sys.executable, '-c', code, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL and path.read_text() == 'old'
    assert all(other == path or other.name.startswith('.') for other in tmp_path.iterdir())


def test_names_of_any_length(tmp_path):
    path = tmp_path / f'{"ß" * 120}.json'
    with replacing(path) as part:
        part.write_text('{}')
    assert path.read_text() == '{}'


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(DataError, match=r'a\.bin cannot be written: No space .*; make room'):
        write_bytes(b'new', tmp_path / 'a.bin')
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_folder_for_output(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(DataError, match='it is a file. Name a folder'):
        check_out_dir(tmp_path / 'file')
