"""What the doctor learns of image files."""

import os

from PIL import Image

from mmyolo_lite.datasets.doctor.images import look_at


def test_a_name_that_is_no_utf_8(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b'/caf\xe9.png')
    Image.new('RGB', (3, 2)).save(path)
    assert look_at(path)[:3] == ('', '', (3, 2))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe.png')
    assert look_at(str(tmp_path / 'pipe.png')).code == 'image-missing'
