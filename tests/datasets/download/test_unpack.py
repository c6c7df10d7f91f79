"""Unpacking happens beside the target and is moved in when whole."""

import os
from pathlib import Path

import pytest

from mmyolo_lite.datasets.download import disk
from mmyolo_lite.datasets.download.archives import Member
from mmyolo_lite.datasets.download.unpack import layout, unpack
from mmyolo_lite.errors import DataError
from tests.datasets.download.hostile import make_zip

CONTENT = {'a/one': b'1', 'a/b/two': b'22', 'empty/': b''}


@pytest.fixture
def archive(tmp_path) -> Path:
    path = tmp_path / 'x.zip'
    path.write_bytes(make_zip(CONTENT))
    return path


@pytest.fixture
def target(tmp_path) -> Path:
    path = tmp_path / 'target'
    path.mkdir()
    return path


def test_folders_and_merging(archive, target):
    (target / 'a').mkdir()
    (target / 'a/mine').write_text('mine')
    (target / 'a/one').write_bytes(b'1')  # the same: no conflict
    unpack(archive, target)
    found = sorted(path.relative_to(target).as_posix() for path in target.rglob('*'))
    assert found == ['a', 'a/b', 'a/b/two', 'a/mine', 'a/one', 'empty']


@pytest.mark.parametrize('stopped', [KeyboardInterrupt, DataError])
def test_a_stopped_unpacking_leaves_nothing(archive, target, stopped):
    def stop(*arguments):
        raise stopped

    for hook in ('tick', 'verify'):
        with pytest.raises(stopped):
            unpack(archive, target, **{hook: stop})
        assert os.listdir(target) == []


def test_what_a_killed_run_left_is_cleared(archive, target):
    for left in ('file', 'folder'):
        staging = target / '.x.zip.unpacking'
        if left == 'folder':
            staging.mkdir()
            (staging / 'half').write_text('half')
        else:
            staging.write_text('half')
        unpack(archive, target)
        assert sorted(os.listdir(target)) == ['a', 'empty']


def test_a_link_in_the_place_of_the_hidden_folder_is_not_followed(archive, target, tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    (target / '.x.zip.unpacking').symlink_to(tmp_path / 'elsewhere')
    unpack(archive, target)
    assert os.listdir(tmp_path / 'elsewhere') == []


@pytest.mark.parametrize(
    ('blocker', 'is_folder'), [('a', False), ('a/b/two', True), ('empty', False)]
)
def test_files_and_folders_of_one_name(archive, target, blocker, is_folder):
    path = target / blocker
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if is_folder else path.write_text('mine')
    for overwrite in (False, True):
        with pytest.raises(DataError):
            unpack(archive, target, overwrite=overwrite)
        assert path.is_dir() if is_folder else path.read_text() == 'mine'
        assert not (target / 'a/one').exists()


def test_too_little_space(archive, target, monkeypatch):
    class Usage:
        free = 2

    monkeypatch.setattr(disk.shutil, 'disk_usage', lambda folder: Usage)
    with pytest.raises(DataError, match=r'unpacking x\.zip needs'):
        unpack(archive, target)
    assert os.listdir(target) == []


def test_a_disk_that_fills_up(target, tmp_path):
    import resource

    archive = tmp_path / 'x.zip'
    archive.write_bytes(make_zip({'small': b'1', 'zeros': bytes(3 << 20)}))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, hard))
    try:
        with pytest.raises(DataError, match='zeros cannot be written'):
            unpack(archive, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert os.listdir(target) == []


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        (['top/', 'top/a', '__MACOSX/top/._a'], [(), ('a',), None]),
        (['one/a', 'two/b'], [('one', 'a'), ('two', 'b')]),
        (['top/a', 'readme'], [('top', 'a'), ('readme',)]),
        (['single'], [('single',)]),
        (['train/a'], [('train', 'a')]),
        (['top/top/a'], [('top', 'a')]),
        ([], []),
    ],
)
def test_layout(names, expected):
    members = [Member(tuple(name.rstrip('/').split('/')), 0, name.endswith('/')) for name in names]
    assert layout(members, {'train', 'val'}) == expected
