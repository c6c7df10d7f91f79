"""YOLO labels to COCO: parity with MMYOLO's numbers, both line forms, layouts and splits."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmyolo_lite.datasets.converters.yolo import YoloOptions, convert_yolo, parse_line
from mmyolo_lite.datasets.converters.yolo_layout import label_name, read_names
from mmyolo_lite.errors import DataError
from tests.datasets.converters.folders import save_image, save_text
from tests.shared_data import shared_path

BOX = '0 0.5 0.5 0.2 0.5'
POLYGON = '1 0.1 0.1 0.6 0.1 0.1 0.6'


@pytest.fixture
def root(tmp_path):
    """Two images of 60 x 40 pixels with labels, two classes."""
    for name, text in (('a', f'{BOX}\n\n{POLYGON}\r\n'), ('b', BOX)):
        save_image(tmp_path / f'images/{name}.png')
        save_text(tmp_path / f'labels/{name}.txt', text)
    save_text(tmp_path / 'classes.txt', 'cat\ntraffic light\n\n')
    return tmp_path


def convert(root: Path, split: str = 'result', names: Path | None = None, **options):
    reports = convert_yolo(root, root / 'out', names, YoloOptions(**options), overwrite=True)
    path = root / f'out/{split}.json'
    return json.loads(path.read_text()), reports[str(path)]


def names_of(coco: dict) -> list[str]:
    return [image['file_name'] for image in coco['images']]


def test_equals_mmyolo_but_for_ids(tmp_path):
    fixture = json.loads(shared_path('golden/data_tools.json').read_text())
    for name, (height, width) in fixture['yolo_image_hw'].items():
        save_image(tmp_path / 'images' / name, (width, height))
    for name, text in fixture['yolo_labels'].items():
        save_text(tmp_path / 'labels' / name, text)
    save_text(tmp_path / 'classes.txt', fixture['yolo_classes'])
    convert_yolo(tmp_path)
    coco = json.loads((tmp_path / 'annotations/result.json').read_text())
    expected = fixture['yolo_out']
    assert coco['categories'] == expected['categories']
    for found, wanted in zip(coco['images'], expected['images'], strict=True):
        assert found == wanted | dict(id=wanted['id'] + 1)
    for found, wanted in zip(coco['annotations'], expected['annotations'], strict=True):
        assert found['image_id'] == wanted['image_id'] + 1
        assert found['category_id'] == wanted['category_id']
        np.testing.assert_allclose(found['area'], wanted['area'], atol=0.5)  # of rounded sides
        for key in ('bbox', 'segmentation'):
            np.testing.assert_allclose(found[key], wanted[key], atol=0.011)


def test_boxes_and_polygons(root):
    coco, report = convert(root)
    box, polygon, _ = coco['annotations']
    assert coco['categories'] == [dict(id=0, name='cat'), dict(id=1, name='traffic light')]
    assert box['bbox'] == [24, 10, 12, 20] and box['area'] == 240
    assert box['segmentation'] == [[24, 10, 36, 10, 36, 30, 24, 30]]
    assert polygon['bbox'] == [6, 4, 30, 20] and polygon['area'] == 300
    assert polygon['segmentation'] == [[6, 4, 36, 4, 6, 24]]
    assert (report.images, report.annotations) == (2, 3)
    assert convert(root, box_polygon=False)[0]['annotations'][0]['segmentation'] == []


@pytest.mark.parametrize(
    'line, task, reason',
    [
        ('0 0.5 0.5 0.2', 'auto', 'wrong number of values: 4'),
        ('0 0.5 0.5 0.2 0.1 0.9', 'auto', 'wrong number of values: 6'),
        ('0 0.5 0.5 0.2 x', 'auto', 'no number'),
        ('0 0.5 0.5 0.2 1.002', 'auto', 'outside'),
        ('0 0.5 0.5 0.2 nan', 'auto', 'outside'),
        ('0 120 80 20 30', 'auto', 'relative to the image'),
        ('-1 0.5 0.5 0.2 0.2', 'auto', 'class id'),
        ('0.5 0.5 0.5 0.2 0.2', 'auto', 'class id'),
        ('nan 0.5 0.5 0.2 0.2', 'auto', 'class id'),
        ('7 0.5 0.5 0.2 0.2', 'auto', 'unknown class id: 7; the 2 classes end at 1'),
        (POLYGON, 'det', 'a polygon, which --task det'),
        (BOX, 'seg', 'a box, which --task seg'),
    ],
)
def test_broken_lines_stop_unless_skipped(root, line, task, reason):
    good = POLYGON if task == 'seg' else BOX
    save_text(root / 'labels/a.txt', f'{good}\n{line}\n')
    save_text(root / 'labels/b.txt', good)
    with pytest.raises(DataError, match=rf'a\.txt, line 2: .*{reason}.*--skip-errors'):
        convert(root, task=task)
    coco, report = convert(root, task=task, skip_errors=True)
    assert len(coco['annotations']) == 2 and sum(report.skipped.values()) == 1


def test_a_small_excess_is_clipped():
    _, box = parse_line('0 1.0009 -0.0005 1 1')
    assert box.tolist() == [1, 0, 1, 1]


def test_a_box_across_the_border_is_clipped_and_counted(root):
    save_text(root / 'labels/a.txt', '0 0.0 0.5 0.2 0.5')
    coco, report = convert(root)
    assert coco['annotations'][0]['bbox'] == [0, 10, 6, 20]
    assert report.notes == {'points clipped to the image': 1}


def test_images_and_labels_that_do_not_meet(root):
    save_image(root / 'images/c.png')
    save_text(root / 'labels/stray.txt', BOX)
    save_text(root / 'images/broken.jpg', 'no picture')
    coco, report = convert(root)
    assert names_of(coco) == ['a.png', 'b.png', 'c.png']
    assert report.skipped == {'label file without image': 1, 'unreadable image': 1}
    assert report.notes == {'images without label file kept as background': 1}


def test_labels_in_the_wrong_place_are_an_error(root):
    (root / 'labels').rename(root / 'txt')
    with pytest.raises(DataError, match=r'none.*a\.png is expected at labels/a\.txt'):
        convert(root)


@pytest.mark.parametrize(
    'image, label',
    [
        ('images/a.jpg', 'labels/a.txt'),
        ('images/train/a.b.png', 'labels/train/a.b.txt'),
        ('train/images/a.jpg', 'train/labels/a.txt'),
        ('images/images/a.jpg', 'images/labels/a.txt'),
        ('a.jpg', 'a.txt'),
        ('images.jpg', 'images.txt'),
    ],
)
def test_where_labels_lie(image, label):
    assert label_name(image) == label


def test_images_and_labels_side_by_side(tmp_path):
    save_image(tmp_path / 'a.png')
    save_text(tmp_path / 'a.txt', BOX)
    save_text(tmp_path / 'classes.txt', 'cat')
    assert len(convert(tmp_path)[0]['annotations']) == 1


def test_lists_of_splits(root, tmp_path):
    save_image(root / 'images/sub/c.png')
    save_image(root / 'images/d.png')
    save_text(root / 'train.txt', f'./images/a.png\n\n{root}/images/sub/c.png\n')
    save_text(root / 'val.txt', 'C:\\elsewhere\\b.png\nimages/none.png\n')
    save_text(root / 'test.txt', '')
    coco, report = convert(root, 'train')
    assert names_of(coco) == ['a.png', 'sub/c.png']
    assert report.skipped == {'listed image not found': 1}
    assert report.notes['images in no split left out (--rest NAME collects them)'] == 1
    assert report.notes['split without images: test'] == 1
    coco, _ = convert(root, 'val')
    assert names_of(coco) == ['b.png'] and coco['annotations'][0]['id'] == 1
    assert names_of(convert(root, 'rest', rest='rest')[0]) == ['d.png']


def test_an_ambiguous_name_in_a_list_is_an_error(root):
    save_image(root / 'images/sub/a.png')
    save_text(root / 'train.txt', 'elsewhere/a.png\nimages/b.png\n')
    with pytest.raises(DataError, match=r'train\.txt, line 1.*name of 2 images'):
        convert(root)
    save_text(root / 'train.txt', 'images/a.png\n')
    assert names_of(convert(root, 'train')[0]) == ['a.png']


def move_to_splits(root: Path) -> None:
    for name, split in (('a', 'train'), ('b', 'val')):
        for kind, suffix in (('images', 'png'), ('labels', 'txt')):
            (root / kind / split).mkdir()
            (root / f'{kind}/{name}.{suffix}').rename(root / f'{kind}/{split}/{name}.{suffix}')


def test_split_folders_without_a_list(root):
    move_to_splits(root)
    assert names_of(convert(root, 'train')[0]) == ['train/a.png']
    assert len(convert(root, 'val')[0]['annotations']) == 1


@pytest.mark.parametrize(
    'paths',
    [
        'path: ../elsewhere\ntrain: images/train\nval: [images/val]',
        'train: ../images/train\nval: ./images/val\ntest:',
        'train: train_list.txt\nval: images/val',
    ],
)
def test_data_yaml(root, paths):
    move_to_splits(root)
    (root / 'classes.txt').unlink()
    save_text(root / 'train_list.txt', './images/train/a.png')
    save_text(root / 'data.yaml', f'{paths}\nnc: 2\nnames: [cat, 7]\n')
    coco, _ = convert(root, 'train')
    assert names_of(coco) == ['train/a.png']
    assert [category['name'] for category in coco['categories']] == ['cat', '7']
    assert names_of(convert(root, 'val')[0]) == ['val/b.png']


def test_folders_of_splits_with_images_and_labels_each(root):
    for split in ('train', 'valid'):
        (root / split).mkdir()
    (root / 'images').rename(root / 'train/images')
    (root / 'labels').rename(root / 'train/labels')
    save_image(root / 'valid/images/c.png')
    text = 'train: ../train/images\nval: ../valid/images\nnames: {1: dog, 0: cat}'
    names = save_text(root / 'set.yaml', text)
    coco, _ = convert(root, 'train', names)
    assert names_of(coco) == ['train/images/a.png', 'train/images/b.png']
    assert len(coco['annotations']) == 3
    assert coco['categories'] == [dict(id=0, name='cat'), dict(id=1, name='dog')]


@pytest.mark.parametrize(
    'text, reason',
    [
        ('names: 7', 'must be a list or a dictionary'),
        ('names: {a: cat}', "class id 'a'"),
        ('names: {true: cat}', 'class id True'),
        ('names: [cat, cat]', 'twice'),
        ('names: [[cat]]', 'no class name'),
        ('names: []', 'holds no class name'),
        ('- cat', 'not a data.yaml'),
        ('names: [', 'not valid YAML'),
        ('names: !!python/object/apply:os.getcwd []', 'not valid YAML'),
        ('!!bool x', 'not valid YAML'),
        ('[' * 5000, 'not valid YAML'),
        ('# ' + 'x' * 2**20, 'too large'),
        ('names: [cat]\ntrain: 5', 'key "train": 5 is no path'),
        ('names: [cat]\ntrain: ../../etc', 'is not found'),
    ],
)
def test_yaml_files_that_are_refused(root, text, reason):
    (root / 'classes.txt').unlink()
    save_text(root / 'data.yaml', text)
    with pytest.raises(DataError, match=rf'data\.yaml.*{reason}'):
        convert(root)
    assert not (root / 'out').exists()


def test_aliases_in_yaml_do_not_blow_up(tmp_path):
    lines = ['a0: &a0 [x, x]'] + [f'a{i}: &a{i} [*a{i - 1}, *a{i - 1}]' for i in range(1, 60)]
    with pytest.raises(DataError, match='no class name'):
        read_names(save_text(tmp_path / 'a.yaml', '\n'.join([*lines, 'names: [*a59]'])))


def test_class_files_that_are_refused(root):
    for text, reason in (('cat\n\ndog', 'line 2'), ('cat\ncat', 'twice'), ('\n', 'no class name')):
        save_text(root / 'classes.txt', text)
        with pytest.raises(DataError, match=rf'classes\.txt.*{reason}'):
            convert(root)
    (root / 'classes.txt').unlink()
    with pytest.raises(DataError, match='--names FILE'):
        convert(root)
    with pytest.raises(DataError, match='no such folder'):
        convert_yolo(root / 'none')


def test_output_is_whole_or_not_at_all(root):
    convert_yolo(root)
    with pytest.raises(DataError, match='--overwrite'):
        convert_yolo(root)
    save_text(root / 'train.txt', 'a.png')
    save_text(root / 'val.txt', 'b.png')
    save_text(root / 'labels/b.txt', 'x')
    with pytest.raises(DataError):
        convert_yolo(root)
    assert [path.name for path in (root / 'annotations').iterdir()] == ['result.json']
