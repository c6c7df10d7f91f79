"""labelme to COCO: parity with MMYOLO's numbers, every shape, every edge rule."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from mmyolo_lite.datasets.converters.labelme import (
    LabelmeOptions,
    convert_labelme,
    read_labelme_classes,
    shape_rings,
)
from mmyolo_lite.errors import DataError
from tests.datasets.converters.folders import mask_shape, save_image, save_text
from tests.shared_data import shared_path

TRIANGLE = [[2, 3], [12, 3], [2, 23]]


def shape(kind: str | None = 'polygon', points: object = TRIANGLE, **more) -> dict:
    return dict(label='cat', points=points, shape_type=kind, group_id=None) | more


def save_labels(root: Path, *shapes: object, name: str = 'a', **more) -> Path:
    content = dict(shapes=list(shapes), imagePath=f'{name}.png', imageWidth=60, imageHeight=40)
    save_text(root / f'{name}.json', json.dumps(content | more))
    return root


def convert(root: Path, class_file: Path | None = None, **options):
    report = convert_labelme(
        root, root, root / 'out/coco.json', class_file, LabelmeOptions(**options), overwrite=True
    )
    return json.loads((root / 'out/coco.json').read_text()), report


@pytest.fixture
def root(tmp_path):
    save_image(tmp_path / 'a.png')
    return tmp_path


def test_equals_mmyolo(tmp_path):
    fixture = json.loads(shared_path('golden/data_tools.json').read_text())
    expected = fixture['labelme_out']
    for stem, content in fixture['labelme_in'].items():
        save_text(tmp_path / f'labels/{stem}.json', json.dumps(content))
    for image in expected['images']:
        save_image(tmp_path / 'images' / image['file_name'], (image['width'], image['height']))
    convert_labelme(tmp_path / 'images', tmp_path / 'labels', tmp_path / 'out.json')
    coco = json.loads((tmp_path / 'out.json').read_text())
    assert coco['images'] == expected['images']
    assert coco['categories'] == expected['categories']
    for found, wanted in zip(coco['annotations'], expected['annotations'], strict=True):
        for key, value in wanted.items():
            np.testing.assert_allclose(found[key], value, atol=0.0051)
    assert (tmp_path / 'class_with_id.txt').read_text() == fixture['labelme_class_txt']


@pytest.mark.parametrize(
    'item, area, count',
    [
        (shape(), 100, 3),
        (shape(None), 100, 3),
        (shape('rectangle', [[20, 30], [10, 5]]), 250, 4),
        (shape('rectangle', [[10, 5], [20, 5], [20, 30], [10, 30]]), 250, 4),
        (shape('rotation', [[20, 0], [30, 10], [20, 20], [10, 10]]), 200, 4),
        (shape('circle', [[30, 20], [30, 30]]), 18 * 100 * math.sin(math.pi / 18), 36),
        (mask_shape('cat', np.ones((5, 8), np.uint8)), 40, 4),
    ],
)
def test_shapes_become_rings(root, item, area, count):
    coco, report = convert(save_labels(root, item))
    (annotation,) = coco['annotations']
    assert annotation['area'] == pytest.approx(area, abs=0.01)
    assert len(annotation['segmentation'][0]) == 2 * count
    assert not report.skipped and not report.notes


def test_a_mask_beyond_the_image_is_cut_off():
    item = mask_shape('cat', np.ones((5, 8), np.uint8))
    item['points'] = [[-3.0, 38.0], [4.0, 42.0]]
    (ring,) = shape_rings(item, (60, 40))
    assert (ring.min(axis=0).tolist(), ring.max(axis=0).tolist()) == ([0, 38], [5, 40])
    item['points'] = [[70, 10], [77, 14]]
    assert shape_rings(item, (60, 40)) == []


def test_a_group_is_one_object(root):
    other = [[22, 3], [32, 3], [22, 23]]
    items = [shape(group_id=1), shape(points=other, group_id=1), shape(points=other)]
    items += [shape(group_id=1, label='dog'), shape('point', [[1, 1]], group_id=1)]
    coco, report = convert(save_labels(root, *items))
    rings = [len(annotation['segmentation']) for annotation in coco['annotations']]
    assert rings == [2, 1, 1]
    assert coco['annotations'][0]['bbox'] == [2, 3, 30, 20]
    assert report.skipped == {"shape 'point' has no area": 1}


@pytest.mark.parametrize(
    'item, reason',
    [
        (shape('line', [[1, 1], [5, 5]]), "'line' has no area"),
        (shape('linestrip'), "'linestrip' has no area"),
        (shape('spiral'), "'spiral' has no area"),
        (shape(points=[[1, 1], [5, 5]]), 'fewer than 3 distinct points'),
        (shape(points=[[1, 1], [5, 5], [9, 9]]), 'no area'),
    ],
)
def test_shapes_left_out(root, item, reason):
    coco, report = convert(save_labels(root, item, shape()))
    assert len(coco['annotations']) == 1
    assert reason in report.problems[0]
    assert len(coco['categories']) == 1
    with pytest.raises(DataError, match=r'a\.json, shape 0.*--strict'):
        convert(root, strict=True)


@pytest.mark.parametrize(
    'item, reason',
    [
        (7, 'no dict'),
        (shape(label=None), 'no class name'),
        (shape(label=' '), 'no class name'),
        (shape(label='a\nb'), 'no class name'),
        (shape(points=None), 'not pairs'),
        (shape(points=[[1, 2], [3, math.inf], [1, 5]]), 'no finite'),
        (shape('circle', [[1, 2]]), 'circle with 1 points'),
        (shape('rectangle', TRIANGLE), 'rectangle with 3 points'),
        (shape('mask', [[1, 1], [2, 2]]), 'mask without its picture'),
        (shape('mask', [[1, 1], [2, 2]], mask='%%%'), 'mask that cannot be read'),
        (mask_shape('cat', np.ones((50, 70), np.uint8)), 'larger than the image'),
    ],
)
def test_broken_shapes_stop_unless_skipped(root, item, reason):
    save_labels(root, item, shape())
    with pytest.raises(DataError, match=rf'a\.json, shape 0.*{reason}.*--skip-errors'):
        convert(root)
    assert not (root / 'out').exists()
    coco, report = convert(root, skip_errors=True)
    assert len(coco['annotations']) == 1
    assert sum(report.skipped.values()) == 1


@pytest.mark.parametrize('text', ['', '[]', '{"shapes": 3}', '{"shapes"', '\xff', '[' * 10**5])
def test_broken_files_stop_unless_skipped(root, text):
    save_labels(root, shape())
    save_image(root / 'b.png')
    (root / 'b.json').write_bytes(text.encode('latin-1'))
    with pytest.raises(DataError, match=r'b\.json'):
        convert(root)
    coco, _ = convert(root, skip_errors=True)
    assert [image['file_name'] for image in coco['images']] == ['a.png']


def test_images_and_labels_that_do_not_meet(root):
    save_labels(root, shape())
    save_labels(root, shape(), name='gone')
    save_image(root / 'plain.PNG')
    coco, report = convert(root)
    assert len(coco['images']) == 1
    assert report.skipped == {'image without label file': 1, 'label file without image': 1}
    (root / 'a.png').unlink()
    with pytest.raises(DataError, match='label files share the names of their images'):
        convert(root)


def test_the_image_on_disk_counts_not_the_one_written(root):
    save_labels(root, shape(), imagePath='..\\images\\a.jpg', imageWidth=61)
    coco, report = convert(root)
    assert coco['images'] == [dict(id=1, file_name='a.png', height=40, width=60)]
    assert report.notes == {'image size differs from the label file': 1}


def test_a_renamed_label_file_finds_the_image_that_it_names(root):
    save_labels(root, shape(), name='other', imagePath='C:\\data\\a.png')
    assert len(convert(root)[0]['annotations']) == 1


def test_of_two_images_with_one_stem_the_named_one_counts(root):
    save_image(root / 'a.bmp')
    coco, _ = convert(save_labels(root, shape(), imagePath='a.png'))
    assert [image['file_name'] for image in coco['images']] == ['a.png']


def test_sub_folders(root):
    save_labels(root, shape())
    save_image(root / 'deep/er/b.png')
    save_labels(root / 'deep/er', shape(), name='b')
    (root / 'deep/er/loop').symlink_to(root)
    assert len(convert(root)[0]['images']) == 1
    coco, _ = convert(root, recursive=True)
    assert [image['file_name'] for image in coco['images']] == ['a.png', 'deep/er/b.png']


def test_empty_images_are_background_unless_unwanted(root):
    save_labels(root, shape())
    save_image(root / 'b.png')
    save_labels(root, name='b')
    assert len(convert(root)[0]['images']) == 2
    coco, report = convert(root, keep_empty=False)
    assert len(coco['images']) == 1
    assert report.notes == {'images without objects left out': 1}


def test_a_class_file_fixes_the_ids(root):
    classes = save_text(root / 'classes.txt', '# pets\n\n9 traffic light\n4 cat\n')
    save_labels(root, shape(), shape(label='traffic light'))
    coco, _ = convert(root, classes)
    assert coco['categories'] == [dict(id=9, name='traffic light'), dict(id=4, name='cat')]
    assert [annotation['category_id'] for annotation in coco['annotations']] == [4, 9]
    assert not (root / 'out/class_with_id.txt').exists()
    save_labels(root, shape(label='dog'), shape())
    with pytest.raises(DataError, match="unknown class: 'dog'"):
        convert(root, classes)
    assert convert(root, classes, skip_errors=True)[1].per_class == {'cat': 1}


@pytest.mark.parametrize(
    'text, reason',
    [
        ('cat\n', 'line 1.*does not begin with a class id'),
        ('1 cat\n\n1 dog\n', 'twice'),
        ('1 cat\n2 cat\n', 'twice'),
        ('1\n', 'no class name'),
        ('# none\n', 'holds no class name'),
    ],
)
def test_class_files_that_are_refused(tmp_path, text, reason):
    with pytest.raises(DataError, match=rf'classes\.txt.*{reason}'):
        read_labelme_classes(save_text(tmp_path / 'classes.txt', text))


def test_output_in_the_label_folder_is_not_read_as_label(root):
    save_labels(root, shape())
    convert_labelme(root, root, root / 'coco.json')
    with pytest.raises(DataError, match=r'coco\.json, .*class_with_id\.txt: exists already'):
        convert_labelme(root, root, root / 'coco.json')
    report = convert_labelme(root, root, root / 'coco.json', overwrite=True)
    assert not report.skipped
    with pytest.raises(DataError, match=r'must end in \.json'):
        convert_labelme(root, root, root / 'coco.txt')
