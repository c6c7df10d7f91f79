"""What takes the place of an old data set, and what happens when it cannot."""

import os
from pathlib import Path

import pytest

from mmyolo_lite.datasets.converters.staging import place_image, staged
from mmyolo_lite.errors import DataError


def test_new_content_replaces_old_and_other_files_stay(tmp_path):
    for name in ('a/old.txt', 'b/kept.txt', 'mine.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('x')
    with staged(tmp_path, ['a', 'b']) as stage:
        (stage / 'a').mkdir()
        (stage / 'a/new.txt').write_text('x')
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob('*') if p.is_file()}
    assert files == {'a/new.txt', 'b/kept.txt', 'mine.txt'}


def test_what_was_there_comes_back_when_moving_fails(tmp_path, monkeypatch):
    (tmp_path / 'a').write_text('old')
    replace = os.replace

    def fail_on_new(source, target):
        if Path(source).read_text() == 'new':
            raise OSError('not now')
        replace(source, target)

    monkeypatch.setattr(os, 'replace', fail_on_new)
    with pytest.raises(DataError, match='not now'), staged(tmp_path, ['a']) as stage:
        (stage / 'a').write_text('new')
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [('a', 'old')]


def test_an_error_in_the_body_leaves_no_folder(tmp_path):
    with pytest.raises(DataError, match='body'), staged(tmp_path / 'new', ['a']):
        raise DataError('body')
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('how', ['link', 'copy'])
def test_an_image_that_is_there_already_stays(tmp_path, how):
    source = tmp_path / 'a.jpg'
    source.write_text('a')
    for _ in range(2):
        place_image(source, tmp_path / 'sub/b.jpg', how)
    assert (tmp_path / 'sub/b.jpg').read_text() == 'a'
