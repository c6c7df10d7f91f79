"""The command lines of the converters, as a user runs them."""

import json

import pytest

from tests.datasets.converters.folders import (
    save_image,
    save_text,
    voc_object,
    voc_xml,
)

TOOLS = 'tools/dataset_converters'


@pytest.fixture
def folder(tmp_path):
    """One image with a label in every format."""
    save_image(tmp_path / 'set/images/a.png')
    shape = dict(label='cat', points=[[2, 3], [12, 3], [2, 23]], shape_type='polygon')
    content = dict(shapes=[shape], imageWidth=60, imageHeight=40)
    save_text(tmp_path / 'set/json/a.json', json.dumps(content))
    save_text(tmp_path / 'set/labels/a.txt', '0 0.5 0.5 0.2 0.2')
    save_text(tmp_path / 'set/classes.txt', 'cat')
    xml = voc_xml('a.png', dict(width=60, height=40), [voc_object('cat', (1, 1, 9, 9))])
    save_text(tmp_path / 'set/Annotations/a.xml', xml)
    return tmp_path


LABELME = (
    'labelme2coco',
    *('--img-dir', 'set/images', '--labels-dir', 'set/json', '--out', 'out/a.json'),
)


@pytest.mark.parametrize(
    'arguments, output',
    [
        (LABELME, 'out/a.json'),
        (('yolo2coco', 'set'), 'set/annotations/result.json'),
        (('voc2coco', 'set', '--difficult', 'ignore'), 'set/coco/result.json'),
    ],
)
def test_to_coco_and_again(tools, folder, arguments, output):
    script, *rest = arguments
    done = tools.run(folder, f'{TOOLS}/{script}.py', *rest).check()
    assert done.out == f'{output}: 1 images, 1 objects\n  class cat: 1\n'
    assert len(json.loads((folder / output).read_text())['annotations']) == 1
    again = tools.run(folder, f'{TOOLS}/{script}.py', *rest)
    assert (again.code, again.err.count('\n')) == (1, 1)
    assert '--overwrite' in again.err
    tools.run(folder, f'{TOOLS}/{script}.py', *rest, '--overwrite').check()
    assert tools.run(folder, f'{TOOLS}/{script}.py', *rest, '--what').code == 2


def test_to_yolo(tools, folder):
    tools.run(folder, f'{TOOLS}/{LABELME[0]}.py', *LABELME[1:]).check()
    arguments = ('out/a.json', '--out-dir', 'yolo', '--img-dir', 'set/images', '--splits', 'train')
    done = tools.run(folder, f'{TOOLS}/coco2yolo.py', *arguments).check()
    assert done.out.startswith('yolo/labels/train: 1 images, 1 objects\n')
    assert (folder / 'yolo/labels/train/a.txt').read_text().startswith('0 0.033333')
    assert (folder / 'yolo/images/train/a.png').samefile(folder / 'set/images/a.png')
    broken = tools.run(folder, f'{TOOLS}/coco2yolo.py', 'none.json', '--out-dir', 'other')
    assert (broken.code, broken.err.count('\n')) == (1, 1)
    assert 'none.json' in broken.err and not (folder / 'other').exists()


def test_names_that_the_terminal_cannot_show(tools, folder):
    shape = dict(label='\U0001f408', points=[[2, 3], [12, 3], [2, 23]])
    save_text(folder / 'set/json/a.json', json.dumps(dict(shapes=[shape])))
    done = tools.run(folder, f'{TOOLS}/{LABELME[0]}.py', *LABELME[1:]).check()
    assert 'class' in done.out
