"""Pictures of annotation files that are not to be trusted."""

import json
import os

import pytest
from PIL import Image

from mmyolo_lite.apis.browse import JsonOptions, deliver, picture_name, pictures_of_json
from mmyolo_lite.errors import DataError


def write_set(folder, **changes):
    """Write a picture and a COCO file of it whose image entry has some values changed."""
    folder.mkdir()
    Image.new('RGB', (8, 8)).save(folder / 'a.png')
    image = dict(id=1, file_name='a.png', width=8, height=8) | changes
    mask = dict(size=[image['height'], image['width']], counts='0')
    annotation = dict(id=1, image_id=image['id'], category_id=1, bbox=[1, 1, 4, 4], area=16)
    annotation |= dict(iscrowd=1, segmentation=mask)
    content = dict(images=[image], annotations=[annotation], categories=[dict(id=1, name='cat')])
    (folder / 'coco.json').write_text(json.dumps(content))
    return pictures_of_json(folder / 'coco.json', folder, JsonOptions())


@pytest.mark.parametrize('number', ['../../x', '/x', 'a/b', 'x' * 300, '\0', '\ud800', '..'])
def test_ids_do_not_lead_out_of_the_folder(tmp_path, number):
    named = write_set(tmp_path / 'in', id=number)
    assert deliver(named, tmp_path / 'out', not_show=True, seconds=0) == 1
    assert len(list((tmp_path / 'out').iterdir())) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ['in', 'out']


@pytest.mark.parametrize(
    ('path', 'name'),
    [('a/ü b.jpg', '7_ü b'), ('a/x\ny.jpg', '7_x_y'), ('猫' * 85, '7_' + '猫' * 79)],
)
def test_names_keep_what_files_can_be_called(path, name):
    assert picture_name(7, path) == name


def test_a_size_that_is_not_the_files_is_refused_before_masks_are_made(tmp_path):
    with pytest.raises(DataError, match='1000000000'):
        list(write_set(tmp_path / 'in', width=10**9, height=10**9))


def test_a_pipe_is_not_waited_for(tmp_path, capsys):
    named = write_set(tmp_path / 'in', file_name='pipe.png')
    os.mkfifo(tmp_path / 'in/pipe.png')
    assert list(named) == []
    assert 'no regular file' in capsys.readouterr().err
