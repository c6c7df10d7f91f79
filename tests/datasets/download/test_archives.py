"""Nothing that an archive says leads out of its target, and a damaged one is noticed."""

import contextlib
import os
import random
import stat
from pathlib import Path

import pytest

from mmyolo_lite.datasets.download import archives
from mmyolo_lite.datasets.download.archives import (
    BrokenArchive,
    UnsafeArchive,
    check_archive,
    list_members,
)
from mmyolo_lite.datasets.download.unpack import unpack
from tests.datasets.download.hostile import UNSAFE, make_tar, make_zip, zip_with_mode

CONTENT = {'a/one.txt': b'one' * 5000, 'a/b/two.bin': os.urandom(5000), 'three': b''}
WHOLE = {
    'zip': make_zip(CONTENT),
    'stored.zip': make_zip(CONTENT, 0),
    'tar': make_tar(CONTENT),
    'tar.gz': make_tar(CONTENT, 'w:gz'),
    'tar.bz2': make_tar(CONTENT, 'w:bz2'),
    'tar.xz': make_tar(CONTENT, 'w:xz'),
}


@pytest.fixture
def small_limits(monkeypatch):
    """Limits that small archives reach."""
    monkeypatch.setattr(archives, 'MIN_SUSPECT_BYTES', 1 << 18)
    monkeypatch.setattr(archives, 'MAX_MEMBERS', 30)


def tree(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file()
    }


def saved(folder: Path, content: bytes, name: str = 'archive') -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize('kind', UNSAFE)
def test_unsafe_archives_unpack_nothing(kind, tmp_path, small_limits):
    inner = tmp_path / 'outer/target'
    inner.mkdir(parents=True)
    archive = saved(tmp_path, UNSAFE[kind]())
    with pytest.raises(UnsafeArchive, match='archive|header'):
        unpack(archive, inner)
    assert [path.name for path in (tmp_path / 'outer').rglob('*')] == ['target']
    assert sorted(os.listdir(tmp_path)) == ['archive', 'outer']


@pytest.mark.parametrize('kind', WHOLE)
def test_whole_archives_pass_and_unpack(kind, tmp_path):
    archive = saved(tmp_path, WHOLE[kind])
    check_archive(archive)
    target = tmp_path / 'target'
    target.mkdir()
    files = unpack(archive, target)
    assert tree(target) == CONTENT
    assert files == {name: len(content) for name, content in CONTENT.items()}


@pytest.mark.parametrize('kind', WHOLE)
def test_every_cut_is_noticed(kind, tmp_path):
    whole = WHOLE[kind]
    # a tar may lose part of the padding behind its end mark
    end = whole.rstrip(b'\0') if kind == 'tar' else whole
    cuts = {*range(0, len(end), max(1, len(end) // 25)), len(end) - 1}
    for cut in cuts:
        with pytest.raises(BrokenArchive):
            check_archive(saved(tmp_path, whole[:cut]))


def test_a_tar_cut_between_two_files_is_noticed(tmp_path):
    whole = make_tar({'a': bytes(512), 'b': bytes(512)})
    with pytest.raises(BrokenArchive, match='end mark'):
        list_members(saved(tmp_path, whole[:1024]))
    damaged = bytearray(whole)
    damaged[1024 + 150] ^= 1  # the checksum of the second header
    with pytest.raises(BrokenArchive, match='end mark'):
        list_members(saved(tmp_path, bytes(damaged)))


def test_a_changed_byte_in_a_zip_is_noticed(tmp_path):
    damaged = bytearray(WHOLE['stored.zip'])
    damaged[damaged.index(b'oneone') + 3] ^= 1
    archive = saved(tmp_path, bytes(damaged))
    check_archive(archive, thorough=False)
    with pytest.raises(BrokenArchive, match='CRC'):
        check_archive(archive)
    target = tmp_path / 'target'
    target.mkdir()
    with pytest.raises(BrokenArchive, match='CRC'):
        unpack(archive, target)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'<!DOCTYPE html><html>', '21 bytes that begin .*html.*web page'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'git-lfs pointer'),
        (b'', '0 bytes'),
        (b'\xff\xfe\x00garbage', r'begin .*garbage'),
        (b'\x1f\x8bnot gzip', 'damaged'),
        (make_zip({}), 'holds no files'),
        (bytes(20_000), 'no zip or tar'),
    ],
)
def test_what_is_no_archive_is_named(content, words, tmp_path):
    with pytest.raises(BrokenArchive, match=words):
        check_archive(saved(tmp_path, content))


def test_modes_are_plain(tmp_path):
    archive = saved(tmp_path, zip_with_mode(stat.S_IFREG | 0o6777))
    target = tmp_path / 'target'
    target.mkdir()
    unpack(archive, target)
    assert stat.S_IMODE((target / 'entry').stat().st_mode) & 0o7111 == 0


def test_damage_anywhere_ends_in_one_kind_of_error(tmp_path):
    generator = random.Random(0)
    for whole in WHOLE.values():
        for _ in range(40):
            damaged = bytearray(whole)
            for _ in range(generator.randint(1, 8)):
                damaged[generator.randrange(len(damaged))] = generator.randrange(256)
            target = tmp_path / 'target'
            target.mkdir(exist_ok=True)
            with contextlib.suppress(BrokenArchive, UnsafeArchive):
                unpack(saved(tmp_path, bytes(damaged)), target, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ['archive', 'target']
