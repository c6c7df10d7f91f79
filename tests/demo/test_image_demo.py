"""Pictures, labelme files and COCO data sets from the command line."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmyolo_lite.datasets.coco_checks import read_coco_json
from mmyolo_lite.datasets.converters.labelme import LabelmeOptions, convert_labelme


@pytest.fixture
def demo(toy, tools, tmp_path):
    """Run the demo with the toy model in an empty folder."""

    def run(given, *options, config=toy.config, checkpoint=toy.checkpoint, script='image_demo'):
        where = tmp_path / 'cwd'
        where.mkdir(exist_ok=True)
        common = ('--device', 'cpu', '--score-thr', '0.15')
        return tools.run(where, f'demo/{script}.py', given, config, checkpoint, *common, *options)

    return run


def assert_one_error(done, *words):
    assert done.code == 1, done.out + done.err
    assert 'Traceback' not in done.err
    errors = [line for line in done.err.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1 and done.err.splitlines()[-1] == errors[0], done.err
    for word in words:
        assert word in errors[0]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


@pytest.fixture
def photos(toy, tmp_path) -> Path:
    """Images in a folder and a sub-folder."""
    folder = tmp_path / 'photos'
    (folder / 'sub').mkdir(parents=True)
    first, second, third = sorted(toy.images.glob('*.jpg'))[:3]
    shutil.copy(first, folder / 'a.jpg')
    shutil.copy(second, folder / 'sub/b.jpg')
    cv2.imwrite(str(folder / 'a.png'), cv2.imread(str(third)))
    return folder


def test_a_folder_becomes_pictures_and_annotations(demo, photos, tmp_path):
    done = demo(photos, '--to-labelme', '--to-coco', 'all.json', '--batch-size', '2')
    done.check()
    assert done.err == ''
    out = tmp_path / 'cwd/output'
    assert files(out) == [
        'a.jpg',
        'a.json',
        'a.png',
        'a.png.json',
        'sub/b.jpg',
        'sub/b.json',
    ]
    for name in ('a.jpg', 'a.png', 'sub/b.jpg'):
        picture, photo = cv2.imread(str(out / name)), cv2.imread(str(photos / name))
        assert picture.shape == photo.shape and (picture != photo).any()
    content = read_coco_json(str(tmp_path / 'cwd/all.json'), for_evaluation=True)
    assert [image['file_name'] for image in content['images']] == ['a.jpg', 'a.png', 'sub/b.jpg']
    count = len(content['annotations'])
    assert count > 0 and f'{count} objects in 3 images' in done.out
    report = convert_labelme(
        photos, out, tmp_path / 'back.json', options=LabelmeOptions(recursive=True)
    )
    assert report.images == 3 and not report.skipped
    assert report.annotations <= count


def test_a_second_run_does_not_predict_the_first_ones_pictures(demo, photos, tmp_path):
    out = photos / 'found'
    for _ in range(2):
        assert 'in 3 images' in demo(photos, '--out-dir', out).check().out
    assert files(out) == ['a.jpg', 'a.png', 'sub/b.jpg']


def test_photos_are_never_replaced(demo, photos):
    before = (photos / 'a.jpg').read_bytes()
    done = demo(photos, '--out-dir', photos)
    assert_one_error(done, 'is the image itself', '--out-dir')
    assert (photos / 'a.jpg').read_bytes() == before and len(files(photos)) == 3


@pytest.mark.parametrize('script', ['image_demo', 'large_image_demo'])
def test_annotations_are_not_replaced_unasked(demo, photos, tmp_path, script):
    labels = photos / 'a.json'
    everything = tmp_path / 'train.json'
    labels.write_text('mine')
    everything.write_text('mine')
    common = ('--no-draw', '--out-dir', photos)
    done = demo(photos, *common, '--to-labelme', script=script)
    assert_one_error(done, f'{labels}: exists already; pass --overwrite to replace it')
    done = demo(photos, *common, '--to-coco', everything, script=script)
    assert_one_error(done, f'{everything}: exists already')
    assert labels.read_text() == everything.read_text() == 'mine'
    assert len(files(photos)) == 4, 'nothing is written'
    options = ('--to-labelme', '--to-coco', everything, '--overwrite')
    demo(photos, *common, *options, script=script).check()
    assert 'shapes' in json.loads(labels.read_text())
    assert len(json.loads(everything.read_text())['images']) == 3


def test_corrupt_images_are_named_and_the_others_done(demo, photos, tmp_path):
    (photos / 'b.jpg').write_text('no image')
    os.mkfifo(photos / 'c.jpg')
    done = demo(photos, '--to-coco', 'all.json')
    assert_one_error(done, '2 of 5 images could not be read; the others are done')
    lines = done.err.splitlines()
    assert lines[0] == f'warning: {photos / "b.jpg"}: it holds no image that can be decoded'
    assert lines[1].startswith(f'warning: {photos / "c.jpg"}: ') and len(lines) == 3
    assert files(tmp_path / 'cwd/output') == ['a.jpg', 'a.png', 'sub/b.jpg']
    assert len(json.loads((tmp_path / 'cwd/all.json').read_text())['images']) == 3


def test_one_file_and_no_picture(demo, photos, tmp_path):
    demo(photos / 'a.jpg', '--no-draw', '--to-labelme', '--out-dir', 'labels').check()
    assert files(tmp_path / 'cwd') == ['.stderr', '.stdout', 'labels/a.json']


def test_pattern_and_class(demo, photos, tmp_path):
    done = demo(f'{photos}/*.png', '--class-name', 'balloon', '--deploy').check()
    assert 'in 1 images' in done.out


@pytest.mark.parametrize(
    ('given', 'options', 'words'),
    [
        ('no.jpg', (), ['no.jpg: no such file']),
        ('*.png', (), ['no image has such a name']),
        ('.', (), ['no image in this folder']),
        ('text.jpg', (), ['text.jpg: it holds no image that can be decoded']),
        ('{photos}', ('--device', 'cuda:7'), ["'cuda:7' is not there"]),
        ('{photos}', ('--class-name', 'kite'), ["'kite' is no class"]),
        ('{photos}', ('--out-dir', 'text.jpg'), ['text.jpg cannot take the output', 'a file']),
        ('{photos}', ('--to-coco', 'x.txt'), ['x.txt', '*.json']),
        ('{photos}', ('--no-draw',), ['Nothing is to be made']),
        ('{photos}', ('--show',), ['no window can be opened']),
        ('{photos}', ('--batch-size', '0'), ['batch_size is 0']),
        ('{photos}', ('--score-thr', 'nan'), ['score_thr is nan']),
        ('http://127.0.0.1:9/a.jpg', (), ['a.jpg: cannot be fetched']),
    ],
)
def test_mistakes(given, options, words, demo, photos, tmp_path, monkeypatch):
    (tmp_path / 'cwd').mkdir()
    (tmp_path / 'cwd/text.jpg').write_text('text')
    given = {'.': str(tmp_path / 'cwd/empty')}.get(given, given.format(photos=photos))
    (tmp_path / 'cwd/empty').mkdir()
    assert_one_error(demo(given, *options), *words)


def test_config_and_checkpoint_that_are_missing(demo, photos):
    assert_one_error(demo(photos, config='no.py'), 'no.py')
    assert_one_error(demo(photos, checkpoint='no.pth'), 'no.pth')


def test_large_images(demo, toy, tmp_path):
    rows = [cv2.imread(str(path)) for path in sorted(toy.images.glob('*.jpg'))[:2]]
    image = np.concatenate([cv2.resize(row, (320, 120)) for row in rows])
    cv2.imwrite(str(tmp_path / 'large.png'), image)
    options = ('--patch-size', '128', '--batch-size', '3', '--debug', '--to-labelme')
    demo(tmp_path / 'large.png', *options, script='large_image_demo').check()
    found = files(tmp_path / 'cwd/output')
    assert found[:2] == ['large.json', 'large.png'] and len(found) == 2 + 3 * 3
    assert cv2.imread(str(tmp_path / 'cwd/output/large.png')).shape == image.shape
    assert cv2.imread(str(tmp_path / 'cwd/output' / found[2])).shape == (128, 128, 3)
    done = demo(tmp_path / 'large.png', '--patch-size', '3', script='large_image_demo')
    assert_one_error(done, 'The side of tiles is 3')
