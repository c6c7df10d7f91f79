"""COCO to another format and back keeps boxes and masks; large sets take seconds."""

import json
import time

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmyolo_lite.datasets.converters.labelme import convert_labelme
from mmyolo_lite.datasets.converters.to_yolo import convert_to_yolo
from mmyolo_lite.datasets.converters.via import convert_via_splits
from mmyolo_lite.datasets.converters.voc import convert_voc
from mmyolo_lite.datasets.converters.yolo import convert_yolo
from tests.datasets.converters import folders

NUM_IMAGES = 500
OBJECTS = 8  # an image
SECONDS = 2  # of processor time; three times what was measured


@pytest.mark.parametrize('split', ['train', 'val'])
def test_labelme_polygons(tmp_path, split):
    before, image_dir = folders.coco_mini(split)
    folders.write_labelme(before, image_dir, tmp_path / 'set')
    report = convert_labelme(tmp_path / 'set', tmp_path / 'set', tmp_path / 'out.json')
    assert (report.images, report.annotations) == (50, len(before['annotations']))
    box, iou = folders.differences(before, json.loads((tmp_path / 'out.json').read_text()))
    assert box <= 0.02
    assert iou > 0.98


def test_labelme_masks(tmp_path):
    before, image_dir = folders.coco_mini(crowd=True)
    folders.write_labelme(before, image_dir, tmp_path / 'set', as_masks=True)
    for image, annotations in folders.by_image(before).values():
        for annotation in annotations:
            mask = np.asfortranarray(folders.mask_of(annotation, image))
            annotation['bbox'] = coco_mask.toBbox(coco_mask.encode(mask)).tolist()
    convert_labelme(tmp_path / 'set', tmp_path / 'set', tmp_path / 'out.json')
    after = json.loads((tmp_path / 'out.json').read_text())
    assert folders.differences(before, after) == (0, 1)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_yolo_polygons(tmp_path, split):
    before, image_dir = folders.coco_mini(split)
    folders.write_yolo(before, image_dir, tmp_path / 'set', split)
    convert_yolo(tmp_path / 'set')
    after = json.loads((tmp_path / f'set/annotations/{split}.json').read_text())
    box, iou = folders.differences(before, after)
    assert box <= 0.02
    assert iou > 0.98


def test_voc(tmp_path):
    before, image_dir = folders.coco_mini()
    visible = folders.write_voc(before, image_dir, tmp_path, 'val')
    convert_voc(tmp_path)
    box, iou = folders.differences(visible, json.loads((tmp_path / 'coco/val.json').read_text()))
    assert box <= 1
    assert iou > 0.98


@pytest.fixture(scope='module')
def many(tmp_path_factory):
    """500 images with 8 objects of 20 points each, as labels of every format."""
    root = tmp_path_factory.mktemp('many')
    keys = folders.many_images(root / 'images', NUM_IMAGES)
    points = [[100 + 5 * i, 80 + (i * i) % 37 + 3 * i] for i in range(10)]
    points += [[x + 1, y + 60] for x, y in reversed(points)]
    flat = [value for point in points for value in point]
    shape = dict(label='cat', points=points, shape_type='polygon', group_id=None)
    label = json.dumps(dict(shapes=[shape] * OBJECTS, imageWidth=640, imageHeight=480))
    line = ' '.join(f'{x / 640:.6f} {y / 480:.6f}' for x, y in points)
    xml = folders.voc_xml(
        'x.png', dict(width=640, height=480), [folders.voc_object('cat', (101, 81, 147, 200))] * 8
    )
    for key in keys:
        folders.save_text(root / f'labelme/{key}.json', label)
        folders.save_text(root / f'labels/{key}.txt', f'0 {line}\n' * OBJECTS)
        folders.save_text(root / f'xml/{key}.xml', xml)
    folders.save_text(root / 'classes.txt', 'cat')
    via = dict(name='polygon', all_points_x=flat[::2], all_points_y=flat[1::2])
    regions = [dict(shape_attributes=via, region_attributes={})] * OBJECTS
    entries = {key: dict(filename=f'{key}.png', size=1, regions=regions) for key in keys}
    folders.save_text(root / 'images/via_region_data.json', json.dumps(entries))
    convert_yolo(root, root / 'coco')
    return root


@pytest.mark.parametrize('converter', ['labelme', 'yolo', 'voc', 'via', 'to_yolo'])
def test_large_sets_take_seconds(many, tmp_path, converter):
    run = {
        'labelme': lambda: convert_labelme(many / 'images', many / 'labelme', tmp_path / 'a.json'),
        'yolo': lambda: convert_yolo(many, tmp_path),
        'voc': lambda: convert_voc(many, tmp_path, annotation_dir=many / 'xml'),
        'via': lambda: convert_via_splits(many, ['images'], out_dir=tmp_path),
        'to_yolo': lambda: convert_to_yolo(
            [many / 'coco/result.json'], tmp_path / 'y', [many / 'images']
        ),
    }[converter]
    start = time.process_time()
    reports = run()
    seconds = time.process_time() - start
    report = reports if converter == 'labelme' else next(iter(reports.values()))
    assert (report.images, report.annotations) == (NUM_IMAGES, NUM_IMAGES * OBJECTS)
    assert seconds < SECONDS
