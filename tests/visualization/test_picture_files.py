"""Tests of figures and pictures that appear whole or not at all."""

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmyolo_lite.errors import DataError
from mmyolo_lite.visualization.picture_files import encode_image, save_figure, save_jpeg

PICTURE = np.full((8, 12, 3), 200, np.uint8)


def _plot(figure):
    figure.subplots().plot([1, 2])


@pytest.mark.parametrize(
    'save',
    [lambda path: save_jpeg(PICTURE, path), lambda path: save_figure(_plot, path)],
    ids=['jpeg', 'figure'],
)
def test_a_failure_keeps_the_picture_that_was_there(tmp_path, monkeypatch, save):
    path = tmp_path / 'pictures' / 'a.jpg'
    save(path)
    before = path.read_bytes()
    assert cv2.imread(str(path)).shape[2] == 3

    def full(_descriptor):
        assert path.read_bytes() == before
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(OSError, match='No space left'):
        save(path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError):
        save_jpeg(PICTURE, tmp_path / 'file/a.jpg')


@pytest.mark.parametrize('name', ['a', 'a.doc', '.jpg'])
def test_a_format_that_is_none(name):
    with pytest.raises(DataError, match=r'name it \.jpg or \.png'):
        encode_image(PICTURE, Path(name))
