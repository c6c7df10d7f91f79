"""COCO to YOLO: lines, classes, images, and what happens to existing folders."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from pycocotools import mask as coco_mask

from mmyolo_lite.datasets.converters import staging
from mmyolo_lite.datasets.converters.to_yolo import ToYoloOptions, convert_to_yolo, split_name
from mmyolo_lite.errors import DataError
from tests.datasets.converters.folders import save_image, save_text

RING = [6, 4, 36, 4, 6, 24]
CATEGORIES = [dict(id=9, name='cat'), dict(id=4, name='traffic light')]


def annotation(**more) -> dict:
    fields = dict(id=1, image_id=5, category_id=9, bbox=[6, 4, 30, 20], area=300, iscrowd=0)
    return {**fields, 'segmentation': [RING], **more}


def save_coco(root: Path, *annotations: object, name: str = 'train', **more) -> Path:
    image = dict(id=5, file_name='deep/a.png', width=60, height=40)
    save_image(root / 'images_here/deep/a.png')
    content = dict(images=[image], annotations=list(annotations), categories=CATEGORIES)
    return save_text(root / f'{name}.json', json.dumps(content | more))


def convert(root: Path, json_file: Path, *, overwrite: bool = False, **options):
    reports = convert_to_yolo(
        [json_file],
        root / 'yolo',
        [root / 'images_here'],
        options=ToYoloOptions(**options),
        overwrite=overwrite,
    )
    (report,) = reports.values()
    return (root / 'yolo/labels/train/deep/a.txt').read_text().splitlines(), report


def points_of(line: str) -> np.ndarray:
    return np.array(line.split()[1:], dtype=float).reshape(-1, 2) * (60, 40)


def test_polygons_classes_and_index(tmp_path):
    crowd = annotation(iscrowd=1, segmentation=dict(size=[40, 60], counts='x'))
    lines, report = convert(
        tmp_path, save_coco(tmp_path, annotation(), annotation(category_id=4), crowd)
    )
    assert lines[0] == '0 0.100000 0.100000 0.600000 0.100000 0.100000 0.600000'
    assert lines[1].startswith('1 ') and len(lines) == 2
    assert report.notes == {'crowd regions left out': 1}
    assert (tmp_path / 'yolo/classes.txt').read_text() == 'cat\ntraffic light\n'
    index = yaml.safe_load((tmp_path / 'yolo/data.yaml').read_text())
    assert index['names'] == {0: 'cat', 1: 'traffic light'}
    assert (index['train'], index['path']) == ('images/train', str(tmp_path / 'yolo'))
    assert sorted(os.listdir(tmp_path / 'yolo')) == ['classes.txt', 'data.yaml', 'images', 'labels']


def test_boxes(tmp_path):
    outside = annotation(bbox=[-10, 0, 5, 5])
    path = save_coco(tmp_path, annotation(bbox=[-6, 4, 36, 20], segmentation=None), outside)
    lines, report = convert(tmp_path, path, boxes=True)
    assert lines == ['0 0.250000 0.350000 0.500000 0.500000']
    assert report.skipped == {'box without area inside the image': 1}


def test_parts_run_length_masks_and_boxes_become_one_ring(tmp_path):
    mask = np.zeros((40, 60), np.uint8, order='F')
    mask[5:20, 10:40] = 1
    mask[10:15, 20:30] = 0
    packed = coco_mask.encode(mask)
    plain = [5, 1, *([1, 1] * 49), 40 * 60 - 104]
    segmentations = [
        [RING, [40, 4, 50, 4, 50, 14, 40, 14], [1, 2]],
        dict(size=[40, 60], counts=packed['counts'].decode()),
        dict(size=[40, 60], counts=plain),
        [],
    ]
    path = save_coco(tmp_path, *(annotation(segmentation=s) for s in segmentations))
    lines, report = convert(tmp_path, path)
    masks = [
        coco_mask.decode(coco_mask.frPyObjects([points_of(line).ravel().tolist()], 40, 60))[..., 0]
        for line in lines
    ]
    assert masks[0].sum() == pytest.approx(300 + 100, rel=0.05)
    np.testing.assert_array_equal(masks[1], mask)
    assert masks[2].sum() == 50
    assert points_of(lines[3]).tolist() == [[6, 4], [36, 4], [36, 24], [6, 24]]
    assert report.notes == {'objects without outline written as their box': 1}


@pytest.mark.parametrize(
    'item, reason',
    [
        (7, 'no dict'),
        (annotation(image_id=6), 'unknown image_id: 6'),
        (annotation(image_id=[5]), 'unknown image_id'),
        (annotation(category_id=True), 'unknown category_id: True'),
        (annotation(bbox=[1, 2, 3]), 'bbox that is not four'),
        (annotation(bbox=[1, 2, 3, float('nan')]), 'bbox that is not four'),
        (annotation(bbox=[1, 2, 3, 10**400]), 'bbox that is not four'),
        (annotation(segmentation=[RING[:-1]]), 'ring that is no list'),
        (annotation(segmentation=[[1, 2, 3, 4, 5, 'x']]), 'ring that is no list'),
        (annotation(segmentation=RING), 'ring that is no list'),
        (annotation(segmentation='x'), 'unknown form'),
        (annotation(segmentation=dict(size=[60, 40], counts=[2400])), 'another size'),
        (annotation(segmentation=dict(size=[40, 60], counts=[2399])), 'do not fill'),
        (annotation(segmentation=dict(size=[40, 60], counts=[2401, -1])), 'damaged counts'),
        (annotation(segmentation=dict(size=[40, 60], counts='54')), 'do not fill'),
        (annotation(segmentation=dict(size=[40, 60], counts='5T')), 'damaged counts'),
        (annotation(segmentation=dict(size=[40, 60], counts='oooooooooo0')), 'damaged counts'),
        (annotation(segmentation=dict(size=[40, 60], counts='\xff')), 'damaged counts'),
        (annotation(segmentation=dict(size=[40, 60])), 'damaged counts'),
    ],
)
def test_broken_annotations_stop_unless_skipped(tmp_path, item, reason):
    path = save_coco(tmp_path, item, annotation())
    with pytest.raises(DataError, match=rf'train\.json, annotation .*{reason}.*--skip-errors'):
        convert(tmp_path, path)
    assert not (tmp_path / 'yolo').exists()
    lines, report = convert(tmp_path, path, skip_errors=True)
    assert len(lines) == 1 and sum(report.skipped.values()) == 1


@pytest.mark.parametrize(
    'more, reason',
    [
        (dict(images=[]), 'no image'),
        (dict(images=3), 'no list "images"'),
        (dict(images=[{}]), 'image without id'),
        (dict(images=[dict(id=5, file_name='../a.png', width=1, height=1)]), 'leads out'),
        (dict(images=[dict(id=5, file_name='\ud800', width=1, height=1)]), 'leads out'),
        (dict(images=[dict(id=5, file_name='a.png', width=0, height=1)]), 'width and height'),
        (dict(images=[dict(id=5, file_name='a.png', width='60', height=1)]), 'width and height'),
        (dict(images=[dict(id=i, file_name='a.png', width=6, height=1) for i in (5, 5)]), 'twice'),
        (dict(categories=[]), 'no class name'),
        (dict(categories=[dict(id=1)]), 'no class name'),
        (dict(categories=[dict(id=1, name='a'), dict(id=1, name='b')]), 'twice'),
        (dict(categories=[dict(id=1, name='a'), dict(id=2, name='a')]), 'twice'),
    ],
)
def test_broken_files(tmp_path, more, reason):
    with pytest.raises(DataError, match=reason):
        convert(tmp_path, save_coco(tmp_path, **more))
    assert not (tmp_path / 'yolo').exists()


def test_missing_images_and_taken_labels(tmp_path):
    images = [
        dict(id=number, file_name=name, width=60, height=40)
        for number, name in enumerate(('deep/a.png', 'deep/a.jpg', 'gone.png'))
    ]
    path = save_coco(tmp_path, images=images)
    with pytest.raises(DataError, match="label file taken: 'deep/a.png'"):
        convert(tmp_path, path)
    lines, report = convert(tmp_path, path, skip_errors=True)
    assert lines == [] and report.images == 1
    assert report.skipped == {'label file taken': 1, 'missing image': 1}


@pytest.mark.parametrize('links', [('link', 'symlink'), ('symlink',), ()])
def test_images_are_linked_as_the_file_system_allows(tmp_path, monkeypatch, links):
    def refuse(*_):
        raise OSError('not here')

    for name in {'link', 'symlink'} - set(links):
        monkeypatch.setattr(staging.os, name, refuse)
    convert(tmp_path, save_coco(tmp_path))
    source, placed = (
        tmp_path / folder / 'deep/a.png' for folder in ('images_here', 'yolo/images/train')
    )
    assert placed.read_bytes() == source.read_bytes()
    assert placed.is_symlink() == (links == ('symlink',))
    assert source.samefile(placed) == bool(links)


def test_images_are_copied_or_listed(tmp_path):
    path = save_coco(tmp_path, annotation())
    convert(tmp_path, path, images='copy')
    source = tmp_path / 'images_here/deep/a.png'
    assert not source.samefile(tmp_path / 'yolo/images/train/deep/a.png')
    convert_to_yolo(
        [path], tmp_path / 'other', [source.parents[1]], options=ToYoloOptions(images='list')
    )
    assert (tmp_path / 'other/train.txt').read_text() == f'{source}\n'
    assert yaml.safe_load((tmp_path / 'other/data.yaml').read_text())['train'] == 'train.txt'
    convert_to_yolo([path], tmp_path / 'labels_alone')
    assert not (tmp_path / 'labels_alone/images').exists()


def test_existing_output_is_kept_without_overwrite(tmp_path):
    path = save_coco(tmp_path, annotation())
    convert(tmp_path, path)
    own = save_text(tmp_path / 'yolo/notes.txt', 'mine')
    stale = save_text(tmp_path / 'yolo/labels/train/stale.txt', '')
    with pytest.raises(DataError, match='--overwrite'):
        convert(tmp_path, path)
    assert stale.exists()
    lines, _ = convert(tmp_path, path, overwrite=True)
    assert len(lines) == 1
    assert own.exists() and not stale.exists()
    assert sorted(p.name for p in (tmp_path / 'yolo').iterdir() if p.name.startswith('.')) == []


def test_sources_are_never_replaced(tmp_path):
    path = save_coco(tmp_path, annotation())
    convert(tmp_path, path)
    with pytest.raises(DataError, match='is read; choose another'):
        convert_to_yolo([path], tmp_path / 'yolo', [tmp_path / 'yolo/images/train'], overwrite=True)
    with pytest.raises(DataError, match='is read; choose another'):
        convert_to_yolo([path], tmp_path / 'yolo', [tmp_path / 'yolo'], overwrite=True)
    assert (tmp_path / 'yolo/images/train/deep/a.png').exists()


def test_several_files_share_categories_and_have_a_split_each(tmp_path):
    train = save_coco(tmp_path, annotation(), name='instances_train2017')
    val = save_coco(tmp_path, annotation(), name='val')
    reports = convert_to_yolo([train, val], tmp_path / 'y', [tmp_path / 'images_here'])
    assert [Path(name).name for name in reports] == ['train', 'val']
    other = save_coco(tmp_path, name='test', categories=[dict(id=9, name='cat')])
    with pytest.raises(DataError, match=r'test\.json: its categories are not those of'):
        convert_to_yolo([train, other], tmp_path / 'z')
    assert not (tmp_path / 'z').exists()
    with pytest.raises(DataError, match='--splits'):
        convert_to_yolo([train, train], tmp_path / 'z')
    with pytest.raises(DataError, match='no name of a split'):
        convert_to_yolo([train], tmp_path / 'z', splits=['../up'])
    with pytest.raises(DataError, match='3 image folders for 2'):
        convert_to_yolo([train, val], tmp_path / 'z', [tmp_path] * 3)
    with pytest.raises(DataError, match='no such folder of images'):
        convert_to_yolo([train], tmp_path / 'z', [tmp_path / 'none'])


@pytest.mark.parametrize(
    'name, split', [('instances_val2017', 'val'), ('trainval', 'trainval'), ('mine', 'mine')]
)
def test_split_names(name, split):
    assert split_name(Path(f'{name}.json')) == split


def test_a_lone_file_of_another_name_is_noted(tmp_path):
    path = save_coco(tmp_path, annotation(), name='everything')
    (report,) = convert_to_yolo([path], tmp_path / 'yolo').values()
    assert any('neither train nor val' in note for note in report.notes)
