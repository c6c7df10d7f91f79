"""The builder of COCO files: ids, boxes and areas, what is left out and counted."""

import json

import numpy as np
import pytest

from mmyolo_lite.datasets.converters.coco_builder import CocoBuilder, write_splits
from mmyolo_lite.datasets.converters.coco_json import ConversionReport
from mmyolo_lite.errors import DataError
from tests.datasets.converters.folders import save_image

SQUARE = np.array([[2.0, 3], [12, 3], [12, 13], [2, 13]])


@pytest.fixture
def builder(tmp_path):
    for name in ('a.png', 'sub/b.png'):
        save_image(tmp_path / name, (60, 40))
    return CocoBuilder(tmp_path)


def test_ids_count_from_one_and_classes_keep_theirs(builder):
    slots = [builder.add_image(name, 'list') for name in ('a.png', 'sub/b.png')]
    for slot, name in zip((*slots, slots[0]), ('dog', 'cat', 'dog'), strict=True):
        builder.add_object(slot, name, [SQUARE], 'here')
    coco = builder.coco({'cat': 7, 'dog': 3}, 'animals')
    assert coco['images'][1] == dict(id=2, file_name='sub/b.png', height=40, width=60)
    assert [a['id'] for a in coco['annotations']] == [1, 2, 3]
    assert [a['image_id'] for a in coco['annotations']] == [1, 2, 1]
    assert [a['category_id'] for a in coco['annotations']] == [3, 7, 3]
    assert coco['categories'] == [dict(id=7, name='cat'), dict(id=3, name='dog')]
    assert coco['info'] == dict(description='animals') and coco['licenses'] == []
    assert builder.report.images == 2 and builder.report.per_class == dict(dog=2, cat=1)


def test_an_object_of_two_rings(builder):
    builder.add_object(builder.add_image('a.png', ''), 'cat', [SQUARE, SQUARE + [20, 0]], '')
    (annotation,) = builder.coco(['cat'])['annotations']
    assert annotation['bbox'] == [2, 3, 30, 10]
    assert annotation['area'] == 200
    assert annotation['segmentation'][1] == [22, 3, 32, 3, 32, 13, 22, 13]
    assert annotation['iscrowd'] == 0


def test_pixel_indices_are_moved_to_pixel_centres_in_segmentations_alone(tmp_path):
    save_image(tmp_path / 'a.png', (60, 40))
    builder = CocoBuilder(tmp_path, pixel_indices=True, area='bbox')
    builder.add_object(builder.add_image('a.png', ''), 'cat', [SQUARE * [10, 1]], '')
    (annotation,) = builder.annotations
    assert annotation['bbox'] == [20, 3, 39, 10]
    assert annotation['area'] == 390
    assert annotation['segmentation'] == [[20.5, 3.5, 59.5, 3.5, 59.5, 13.5, 20.5, 13.5]]
    assert builder.report.notes == {'points clipped to the image': 2}


def test_parts_outside_are_dropped_and_objects_without_area_skipped(builder):
    slot = builder.add_image('a.png', '')
    builder.add_object(slot, 'cat', [SQUARE, SQUARE + 100], 'first')
    builder.add_object(slot, 'cat', [SQUARE + 100], 'second')
    builder.add_object(slot, 'cat', [SQUARE * [1, 0]], 'third')
    builder.add_box(slot, 'cat', [70, 0, 80, 10], 'fourth')
    builder.add_box(slot, 'cat', [20, 10, 10, 20], 'fifth')
    (annotation,) = builder.annotations
    assert len(annotation['segmentation']) == 1
    assert builder.report.skipped == {
        'fewer than 3 distinct points inside the image': 2,
        'box without area inside the image': 2,
    }
    assert [line.split(':')[0] for line in builder.report.problems] == [
        'second',
        'third',
        'fourth',
        'fifth',
    ]


def test_a_box_is_clipped_and_may_have_no_ring(builder):
    slot = builder.add_image('a.png', '')
    builder.add_box(slot, 'cat', [-5, 10, 20, 30], '')
    builder.add_box(slot, 'cat', [1, 2, 3, 5], '', with_ring=False, iscrowd=1)
    first, second = builder.annotations
    assert first['bbox'] == [0, 10, 20, 20] and first['area'] == 400
    assert first['segmentation'] == [[0, 10, 20, 10, 20, 30, 0, 30]]
    assert second['segmentation'] == [] and second['iscrowd'] == 1


def test_missing_and_damaged_images(builder, tmp_path):
    (tmp_path / 'broken.png').write_bytes(b'no picture')
    assert builder.add_image('a.pgn', 'line 3') is None
    assert builder.add_image('broken.png', 'line 4') is None
    assert builder.report.skipped == {'missing image': 1, 'unreadable image': 1}
    assert builder.report.problems[0] == "line 3: missing image: nearest existing name is 'a.png'"
    with pytest.raises(DataError, match='no image could be converted; look there; the first of 2'):
        builder.report.require_images('look there')
    strict = CocoBuilder(tmp_path, ConversionReport(strict=True))
    with pytest.raises(DataError, match='line 5: missing image'):
        strict.add_image('x' * 5000, 'line 5')


def test_splits_are_written_with_one_list_of_classes(builder, tmp_path):
    builder.add_object(builder.add_image('a.png', 'list'), 'dog', [SQUARE], 'here')
    empty = CocoBuilder(tmp_path)
    outputs = {split: tmp_path / f'out/{split}.json' for split in ('train', 'val')}
    reports = write_splits(outputs, {'train': builder, 'val': empty}, ['cat', 'dog'], 'pets')
    assert list(reports) == [str(outputs['train']), str(outputs['val'])]
    assert reports[str(outputs['train'])] is builder.report
    train, val = (json.loads(path.read_text()) for path in outputs.values())
    assert (
        train['categories'] == val['categories'] == [dict(id=0, name='cat'), dict(id=1, name='dog')]
    )
    assert (train['info'], val['info']) == (
        {'description': 'pets train'},
        {'description': 'pets val'},
    )
    assert [a['category_id'] for a in train['annotations']] == [1]


def test_no_split_is_written_if_one_fails(builder, tmp_path):
    builder.add_object(builder.add_image('a.png', 'list'), 'dog', [SQUARE], 'here')
    outputs = {split: tmp_path / f'out/{split}.json' for split in ('train', 'val')}
    with pytest.raises(KeyError):
        write_splits(outputs, {'val': CocoBuilder(tmp_path), 'train': builder}, ['cat'], 'pets')
    assert not (tmp_path / 'out').exists()
