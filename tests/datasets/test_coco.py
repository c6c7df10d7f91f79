"""The COCO dataset: labels, order, and failures that name the cause."""

import json
import logging
import os
import time

import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader

from mmyolo_lite.datasets import YOLOv5CocoDataset
from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.registry import DATASETS

LOAD = [dict(type='mmyolo_lite.LoadImageFromFile')]


def content(images=3, categories=('cat', 'dog'), **changes):
    """Return a small COCO dict: `images` images of 40 x 50 with one object of category id 7
    each.
    """
    coco = dict(
        images=[
            dict(id=i, file_name=f'{i}.png', height=40, width=50) for i in range(1, images + 1)
        ],
        annotations=[
            dict(
                id=i,
                image_id=i,
                category_id=7,
                bbox=[5.0, 5, 10, 10],
                area=100,
                iscrowd=0,
                segmentation=[[5.0, 5, 15, 5, 15, 15]],
            )
            for i in range(1, images + 1)
        ],
        categories=[dict(id=7 + i, name=name) for i, name in enumerate(categories)],
    )
    return {**coco, **changes}


@pytest.fixture
def build(tmp_path):
    """Return a function that writes annotations and images and builds the dataset."""

    def make(coco=None, classes=('cat', 'dog'), write=True, **kwargs):
        coco = content() if coco is None else coco
        text = coco if isinstance(coco, str) else json.dumps(coco)
        (tmp_path / 'ann.json').write_text(text)
        if write and isinstance(coco, dict):
            for image in coco.get('images', ()):
                path = tmp_path / f'{image["file_name"]}'
                cv2.imwrite(str(path.with_suffix('.png')), np.zeros((40, 50, 3), np.uint8))
        kwargs = dict(ann_file='ann.json', data_prefix=dict(img=''), pipeline=LOAD) | kwargs
        return YOLOv5CocoDataset(data_root=str(tmp_path), metainfo=dict(classes=classes), **kwargs)

    return make


@pytest.fixture
def log(monkeypatch):
    """Collect the warnings of the dataset."""
    lines = []
    monkeypatch.setattr(
        'mmyolo_lite.datasets.coco.print_log',
        lambda text, logger, level: lines.append(text) if level == logging.WARNING else None,
    )
    return lines


def test_the_training_pipeline_gets_the_dataset_and_the_test_pipeline_does_not(build):
    training = build()
    assert training[0]['dataset'] is training
    assert 'dataset' not in build(test_mode=True)[0]


def test_it_is_registered_under_both_scopes():
    assert DATASETS.get('YOLOv5CocoDataset') is YOLOv5CocoDataset


def test_images_are_parsed_in_order_of_the_file(build, log):
    coco = content()
    coco['images'].reverse()
    dataset = build(coco)
    assert [dataset.get_data_info(i)['img_id'] for i in range(3)] == [3, 2, 1]
    (instance,) = dataset.get_data_info(0)['instances']
    assert instance == dict(
        bbox=[5, 5, 15, 15], bbox_label=0, ignore_flag=0, mask=[[5, 5, 15, 5, 15, 15]]
    )
    assert not log


def test_labels_follow_the_configured_order_and_not_the_files(build, log):
    dataset = build(classes=('dog', 'cat'))
    assert dataset.get_data_info(0)['instances'][0]['bbox_label'] == 1
    assert dataset.cat2label == {7: 1, 8: 0}
    assert log == []


def test_annotations_of_other_classes_are_left_out(build):
    coco = content()
    coco['annotations'][1]['category_id'] = 8
    dataset = build(coco, classes=('dog',))
    assert [len(dataset.get_data_info(i)['instances']) for i in range(3)] == [0, 1, 0]
    filtered = build(coco, classes=('dog',), filter_cfg=dict(filter_empty_gt=True))
    assert [filtered.get_data_info(i)['img_id'] for i in range(len(filtered))] == [2]


def test_policy_then_filter_then_indices(build):
    coco = content(4)
    for image, (height, width) in zip(
        coco['images'], [(60, 40), (40, 60), (50, 50), (10, 100)], strict=True
    ):
        image.update(height=height, width=width)
    dataset = build(
        coco,
        batch_shapes_cfg=dict(type='BatchShapePolicy', batch_size=2, img_size=64),
        filter_cfg=dict(min_size=32),
        indices=2,
    )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [info['img_id'] for info in infos] == [2, 3]
    assert [info['batch_shape'].tolist() for info in infos] == [[64, 96], [96, 96]]


@pytest.mark.parametrize('serialize', [True, False])
def test_check_images_names_the_first_missing(build, tmp_path, serialize):
    dataset = build(serialize_data=serialize)
    dataset.check_images()
    (tmp_path / '2.png').unlink()
    with pytest.raises(DataError, match=r'1 of 3 .*2\.png.*data_prefix'):
        dataset.check_images()
    with pytest.raises(DataError, match=r'1 of 3'):
        build(write=False)
    lazy = build(write=False, lazy_init=True)
    assert len(lazy) == 3


@pytest.mark.parametrize(
    'classes, words',
    [
        ('cat', r"the string 'cat'.*\('cat', \)"),
        ((), 'at least one name'),
        (('cat', 'cat'), "'cat' more than once"),
        (('cat', 'dgo'), r"1 of the 2 .*'dgo' \(did you mean 'dog'\?\).*'cat', 'dog'.*metainfo"),
    ],
)
def test_classes_that_do_not_fit_are_explained(build, classes, words):
    with pytest.raises(ConfigError, match=words):
        build(classes=classes)


def test_forgotten_metainfo_is_explained(build):
    with pytest.raises(
        ConfigError, match=r'80 of the 80 configured classes .*and 75 more.*metainfo'
    ):
        build(content(categories=('balloon',)), classes=YOLOv5CocoDataset.METAINFO['classes'])


def changed(key, index, **values):
    coco = content()
    coco[key][index].update(values)
    return coco


def lacking(key, name):
    coco = content()
    del coco[key][1][name]
    return coco


@pytest.mark.parametrize(
    'coco, words',
    [
        ('{"images": [', 'not valid JSON.*line 1'),
        ('[]', 'holds a list'),
        ({'images': [], 'categories': []}, 'no list "annotations"'),
        (lacking('images', 'height'), "id 2 lacks 'height'"),
        (lacking('annotations', 'bbox'), '"annotations" with id 2 lacks \'bbox\''),
        (lacking('annotations', 'id'), "position 1 lacks 'id'"),
        (changed('annotations', 1, id=1), 'id 1 appears twice in "annotations"'),
        (changed('images', 1, id=1), 'id 1 appears twice in "images"'),
        (changed('images', 0, width=0), "'1.png'.*width=0"),
        (changed('annotations', 0, id=[1]), 'must be a whole number'),
        (changed('annotations', 0, category_id={}), 'must be a whole number'),
        (changed('annotations', 0, image_id=[1]), 'annotation with id 1'),
        (changed('annotations', 0, image_id=99), 'annotation with id 1 .*99'),
        (changed('annotations', 0, bbox=[1, 2, 3]), 'annotation with id 1 .*four'),
        (changed('annotations', 0, bbox=[1, 2, 3, float('nan')]), 'annotation with id 1 .*four'),
        (changed('annotations', 0, bbox='1234'), 'annotation with id 1 .*four'),
        (changed('annotations', 0, bbox=[1, 2, 3, '4']), 'annotation with id 1 .*four'),
        (changed('annotations', 0, bbox=[1, 2, 3, [4]]), 'annotation with id 1 .*four'),
        (changed('annotations', 0, area=None), 'annotation with id 1 has area=None'),
        (changed('annotations', 0, area=float('nan')), 'annotation with id 1 has area=nan'),
        (changed('annotations', 0, area='9'), "annotation with id 1 has area='9'"),
        (changed('annotations', 0, iscrowd=None), 'annotation with id 1 has iscrowd=None'),
        (changed('annotations', 0, segmentation=[1, 2, 3, 4, 5, 6]), r'id 1 .*flat.*\[\[x1, y1'),
        (changed('annotations', 0, segmentation='poly'), "id 1 has segmentation='poly'"),
        (changed('annotations', 0, segmentation=['poly']), 'id 1 has segmentation=.*rings'),
        (changed('annotations', 0, segmentation=[[1, 2, 3, 4, 5, '6']]), 'id 1 has segmentation='),
        (changed('annotations', 0, segmentation=[[[1, 2], [3, 4]]]), 'id 1 has segmentation='),
        (changed('annotations', 0, segmentation=7), 'id 1 has segmentation=7'),
        (changed('annotations', 0, segmentation={}), 'id 1 .*size=None'),
        (
            changed('annotations', 0, segmentation=dict(size=[40, 50])),
            'id 1 has segmentation=.*"counts"',
        ),
        (
            changed('annotations', 0, segmentation=dict(size=[50, 40], counts='x')),
            r'id 1 .*\[50, 40\].*\[40, 50\]',
        ),
        (
            changed('annotations', 0, segmentation=dict(size=[40, 50], counts=[5, 5])),
            'id 1 .*add up to 2000',
        ),
        (changed('images', 0, file_name=3), 'id 1 has file_name=3'),
        (changed('images', 0, width=float('inf')), 'width=inf'),
        (changed('annotations', 0, bbox=[1, 2, 3, 10**400]), 'annotation with id 1 .*four'),
        (changed('annotations', 0, segmentation=[[1, 2, 3, 4, 5, 10**400]]), 'segmentation='),
        (f'{{"images": {"[" * 100_000}', 'not valid JSON'),
        (f'{{"images": {"1" * 5_000}}}', 'not valid JSON'),
    ],
)
def test_a_damaged_annotation_file_is_named_with_the_place(build, coco, words):
    with pytest.raises(DataError, match=words) as caught:
        build(coco)
    assert 'ann.json' in str(caught.value)


def test_a_forgotten_image_folder_is_explained(build):
    with pytest.raises(ConfigError, match='data_prefix'):
        build(data_prefix=dict())


def test_a_missing_annotation_file_is_named(build):
    with pytest.raises(DataError, match=r'not found: .*no\.json.*data_root'):
        build(ann_file='no.json')


def test_a_test_set_may_have_no_annotations_but_a_training_set_may_not(build):
    coco = content()
    del coco['annotations']
    assert len(build(coco, test_mode=True)) == 3
    with pytest.raises(DataError, match='annotations'):
        build(coco)
    with pytest.raises(DataError, match=r"No object .*3 images.*'cat', 'dog'"):
        build(content(annotations=[]))
    with pytest.raises(DataError, match='No image .*it has 3'):
        build(filter_cfg=dict(min_size=41))


@pytest.mark.parametrize(
    'values, words',
    [
        (dict(id=0), ': 1 id-zero, '),
        (dict(category_id=99), ': 1 unknown-category, '),
        (dict(segmentation=dict(size=[40, 50], counts=[2000])), ': 1 rle-mask, '),
        (dict(segmentation=[[1, 2, 3, 4]]), ': 1 polygon-too-short, '),
    ],
)
def test_harmful_annotations_give_one_warning(build, log, values, words):
    build(changed('annotations', 0, **values))
    (line,) = log
    assert words in line
    assert line.startswith('dataset check: ') and 'ann.json: 3 images, 3 objects: ' in line
    assert 'check_dataset.py' in line


@pytest.mark.parametrize('test_mode', [False, True])
def test_a_clean_file_gives_one_line_of_information(build, tmp_path, monkeypatch, test_mode):
    lines = []
    monkeypatch.setattr(
        'mmyolo_lite.datasets.coco.print_log',
        lambda text, logger, level: lines.append((level, text)),
    )
    build(content(categories=('cat',)), classes=('cat',), test_mode=test_mode)
    path = tmp_path / 'ann.json'
    expected = f'dataset check: {path}: 3 images, 3 objects, nothing found'
    assert lines == [(logging.INFO, expected)]


def test_marks_of_crowds_are_needed_where_results_are_evaluated(build, log):
    coco = content()
    del coco['annotations'][1]['iscrowd']
    build(coco)
    assert len(log) == 1 and ': 1 iscrowd-missing, ' in log[0]
    with pytest.raises(DataError, match='ann.json: 1 annotations lack "iscrowd".*the id 2.*to 0'):
        build(coco, test_mode=True)


@pytest.mark.parametrize('serialize', [False, True])
def test_of_masks_of_crowds_only_sound_ones_are_kept(build, serialize):
    coco = content()
    deep: list = []
    for _ in range(400):
        deep = [deep]
    sound = dict(size=[40, 50], counts=[2000])
    for number, mask in enumerate([{**sound, 'x': deep}, {'counts': deep}, {}]):
        coco['annotations'][number].update(iscrowd=1, segmentation=mask)
    coco['annotations'].append({**content()['annotations'][0], 'id': 4})
    dataset = build(coco, serialize_data=serialize, filter_cfg=dict(filter_empty_gt=False))
    instances = [dataset.get_data_info(index)['instances'][0] for index in range(3)]
    assert [one.get('mask') for one in instances] == [sound, None, None]


@pytest.mark.parametrize('with_mask', [False, True])
def test_objects_without_polygons_are_counted_where_masks_are_loaded(build, log, with_mask):
    load = [*LOAD, dict(type='mmyolo_lite.LoadAnnotations', with_bbox=True, with_mask=with_mask)]
    coco = content()
    coco['annotations'][0]['segmentation'] = []
    coco['annotations'][1]['segmentation'] = [[1, 2, 3, 4]]
    build(coco, pipeline=load)
    check, *others = log
    assert '1 polygon-too-short, 1 mask-missing' in check
    assert [line for line in others if '2 of 3 objects have no polygon' in line] == others
    assert len(others) == with_mask
    del coco['annotations'][2]['segmentation']
    if with_mask:
        with pytest.raises(DataError, match='3 objects, none with a polygon.*with_mask=True'):
            build(coco, pipeline=load)
    else:
        build(coco, pipeline=load)


def test_run_length_masks_count_as_masks(build, log):
    load = [
        dict(type='Compose', transforms=[dict(type='mmyolo_lite.LoadAnnotations', with_mask=True)])
    ]
    full, empty = ([dict(size=[40, 50], counts=c)] for c in ([0, 2000], [2000]))
    coco = content(1)
    coco['annotations'][0]['segmentation'] = full[0]
    build(coco, pipeline=load)
    coco['annotations'][0]['segmentation'] = empty[0]
    with pytest.raises(DataError, match='1 objects, none with a polygon'):
        build(coco, pipeline=load)


def test_own_classes_have_colours_that_differ(build):
    palette = build(classes=('cat', 'dog')).metainfo['palette']
    assert palette == [(220, 20, 60), (31, 119, 180)], 'those of COCO are two dark reds'
    given = YOLOv5CocoDataset._load_metainfo(dict(classes=('cat', 'dog'), palette=[(1, 2, 3)]))
    assert given['palette'][0] == (1, 2, 3)


def test_the_dataset_completes_its_palette(build):
    names = tuple(f'class {i}' for i in range(90))
    dataset = build(content(categories=names), classes=names)
    assert len(dataset.metainfo['palette']) == 90, 'the names of COCO have 80'


def test_an_unreadable_image_is_replaced_and_named_once(build, tmp_path, log):
    dataset = build(content(400))
    (tmp_path / '7.png').write_bytes(b'broken')
    for _ in range(3):
        assert dataset[6]['img_id'] != 7
    assert len(log) == 1 and '7.png' in log[0]


def test_workers_name_an_unreadable_image_once(build, tmp_path, monkeypatch):
    dataset = build(content(400))
    (tmp_path / '7.png').write_bytes(b'broken')
    monkeypatch.setattr(
        'mmyolo_lite.datasets.coco.print_log',
        lambda *_: (tmp_path / f'said_{os.getpid()}_{time.monotonic_ns()}').touch(),
    )
    loader = DataLoader(dataset, sampler=[6] * 8, num_workers=2, collate_fn=len)
    assert list(loader) == [1] * 8
    assert dataset._unreadable.numbers == [6], 'the main process knows, too'
    assert len(list(tmp_path.glob('said_*'))) == 1


def test_too_many_unreadable_images_stop_training(build, tmp_path, log):
    dataset = build(content(200))
    for i in (1, 2, 3):
        (tmp_path / f'{i}.png').write_bytes(b'broken')
    dataset[0], dataset[1]
    with pytest.raises(DataError, match=r'3 of 200 images .*1\.png.*3\.png'):
        dataset[2]


def test_a_small_set_of_unreadable_images_stops_too(build, tmp_path, log):
    dataset = build(content(1))
    (tmp_path / '1.png').write_bytes(b'')
    with pytest.raises(DataError, match='1 of 1 images'):
        dataset[0]


def test_an_unreadable_image_stops_a_test(build, tmp_path):
    dataset = build(test_mode=True)
    (tmp_path / '2.png').write_bytes(b'broken')
    with pytest.raises(DataError, match=r'2\.png'):
        dataset[1]
