"""VOC to COCO: boxes counted from 1, masks, difficult objects, files from strangers."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmyolo_lite.datasets.converters.voc import VocOptions, convert_voc
from mmyolo_lite.errors import DataError
from tests.datasets.converters.folders import (
    save_image,
    save_text,
    voc_object,
    voc_xml,
    write_palette,
)

SIZE = dict(width=60, height=40)
CAT = voc_object('cat', (11, 6, 20, 10))
DIFFICULT = '<difficult>1</difficult>'
PART = '<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>'


def save_xml(root: Path, *objects: str, name: str = 'a', folder: str = 'Annotations') -> Path:
    save_image(root / f'JPEGImages/{name}.png')
    save_text(root / f'{folder}/{name}.xml', voc_xml(f'{name}.png', SIZE, list(objects)))
    return root


def convert(root: Path, split: str = 'result', **options):
    arguments = {key: options.pop(key) for key in ('class_file', 'splits') if key in options}
    reports = convert_voc(
        root, root / 'out', options=VocOptions(**options), overwrite=True, **arguments
    )
    path = root / f'out/{split}.json'
    return json.loads(path.read_text()), reports[str(path)]


def test_boxes_count_pixels_from_one(tmp_path):
    coco, report = convert(save_xml(tmp_path, CAT, voc_object('ant', (1, 1, 60, 40), PART)))
    first, second = coco['annotations']
    assert first['bbox'] == [10, 5, 10, 5] and first['area'] == 50
    assert first['segmentation'] == [[10, 5, 20, 5, 20, 10, 10, 10]]
    assert second['bbox'] == [0, 0, 60, 40]
    assert coco['categories'] == [dict(id=1, name='ant'), dict(id=2, name='cat')]
    assert coco['images'] == [dict(id=1, file_name='a.png', height=40, width=60)]
    assert not report.skipped and not report.notes


def test_boxes_as_coordinates_and_without_ring(tmp_path):
    coco, _ = convert(save_xml(tmp_path, CAT), zero_based=True, box_polygon=False)
    assert coco['annotations'][0]['bbox'] == [11, 6, 9, 4]
    assert coco['annotations'][0]['segmentation'] == []


@pytest.mark.parametrize('choice, crowd', [('keep', [0, 0]), ('ignore', [0, 1]), ('skip', [0])])
def test_difficult_objects(tmp_path, choice, crowd):
    save_xml(tmp_path, CAT, voc_object('cat', (1, 1, 9, 9), DIFFICULT))
    coco, report = convert(tmp_path, difficult=choice, strict=True)
    assert [annotation['iscrowd'] for annotation in coco['annotations']] == crowd
    assert report.notes == {f'difficult objects: {choice}': 1}


@pytest.mark.parametrize(
    'polygon',
    [
        '<x1>2</x1><y1>3</y1><x2>12.5</x2><y2>3</y2><x3>2</x3><y3>23</y3>',
        '<pt><x>2</x><y>3</y></pt><pt><x>12.5</x><y>3</y></pt><pt><x>2</x><y>23</y></pt>',
    ],
)
def test_polygons(tmp_path, polygon):
    item = voc_object('cat', (3, 4, 12, 23), f'<polygon>{polygon}</polygon>')
    coco, _ = convert(save_xml(tmp_path, item))
    (annotation,) = coco['annotations']
    assert annotation['segmentation'] == [[2, 3, 12.5, 3, 2, 23]]
    assert annotation['bbox'] == [2, 3, 10.5, 20] and annotation['area'] == 105
    (annotation,) = convert(tmp_path, masks=False)[0]['annotations']
    assert annotation['bbox'] == [2, 3, 10, 20] and annotation['area'] == 200


def test_masks_belong_to_objects_by_position(tmp_path):
    hidden, far = voc_object('cat', (1, 1, 5, 5)), voc_object('cat', (50, 30, 60, 40))
    save_xml(tmp_path, voc_object('dog', (1, 1, 4, 4)), CAT, hidden, far)
    indices = np.zeros((40, 60), np.uint8)
    indices[:6, :6] = 255
    indices[:4, :4] = 1
    indices[5:10, 10:20] = 2
    indices[20:22, 20:22] = 4
    write_palette(tmp_path / 'SegmentationObject/a.png', indices)
    coco, report = convert(tmp_path)
    areas = [annotation['area'] for annotation in coco['annotations']]
    assert areas == [16, 50, 25, 121]
    assert report.notes == {
        'objects without pixels in their mask picture': 1,
        'masks outside the box of their object left out': 1,
    }


def test_a_mask_keeps_the_written_box(tmp_path):
    save_xml(tmp_path, CAT)
    indices = np.zeros((40, 60), np.uint8)
    indices[6:9, 11:18] = 1
    write_palette(tmp_path / 'SegmentationObject/a.png', indices)
    (annotation,) = convert(tmp_path)[0]['annotations']
    assert annotation['bbox'] == [10, 5, 10, 5] and annotation['area'] == 21


@pytest.mark.parametrize(
    'picture, reason',
    [
        (Image.new('RGB', (60, 40)), 'not a palette'),
        (Image.new('P', (40, 60)), 'not that of the image'),
        (Image.new('L', (60, 40), 3), 'object 3 of 1'),
        (None, 'unusable mask picture'),
    ],
)
def test_unusable_mask_pictures(tmp_path, picture, reason):
    path = save_text(save_xml(tmp_path, CAT) / 'SegmentationObject/a.png', 'no picture')
    if picture:
        picture.save(path)
    with pytest.raises(DataError, match=rf'a\.png: .*{reason}'):
        convert(tmp_path)
    assert convert(tmp_path, skip_errors=True)[0]['annotations'][0]['area'] == 50
    assert convert(tmp_path, masks=False)[1].annotations == 1


@pytest.mark.parametrize(
    'item, reason',
    [
        ('<object/>', 'without class name'),
        ('<object><name>cat</name></object>', 'without bndbox and polygon'),
        (voc_object('cat', (1, 2, 3, 'x')), "ymax is no finite number: 'x'"),
        (voc_object('cat', (1, 2, 'nan', 4)), 'xmax is no finite'),
        ('<object><name>cat</name><bndbox><xmin>1</xmin></bndbox></object>', 'ymin is no'),
        (voc_object('cat', (1, 2, 3, 4), '<polygon><x1>1</x1></polygon>'), 'pairs'),
        (voc_object('cat', None, '<polygon><x1>1</x1><x2>1</x2></polygon>'), 'polygon y is no'),
    ],
)
def test_broken_objects_stop_unless_skipped(tmp_path, item, reason):
    save_xml(tmp_path, item, CAT)
    with pytest.raises(DataError, match=rf'a\.xml, object 0: .*({reason}).*--skip-errors'):
        convert(tmp_path)
    _, report = convert(tmp_path, skip_errors=True)
    assert report.annotations == 1 and sum(report.skipped.values()) == 1


BOMB = (
    '<!DOCTYPE annotation [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<annotation><filename>&b;</filename></annotation>'
)


@pytest.mark.parametrize(
    'text, reason',
    [
        (BOMB.encode(), 'DOCTYPE'),
        (BOMB.encode('utf-16'), 'DOCTYPE'),
        (b'<!DOCTYPE annotation SYSTEM "file:///etc/passwd"><annotation/>', 'DOCTYPE'),
        (b'<annotation>', 'cannot be read as XML'),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', 'cannot be read as XML'),
        (b'', 'cannot be read as XML'),
        (b'<html/>', "begins with <'html'>"),
    ],
)
def test_broken_files_stop_unless_skipped(tmp_path, text, reason):
    save_xml(tmp_path, CAT)
    save_xml(tmp_path, name='b')
    (tmp_path / 'Annotations/b.xml').write_bytes(text)
    with pytest.raises(DataError, match=rf'b\.xml: .*{reason}'):
        convert(tmp_path)
    _, report = convert(tmp_path, skip_errors=True)
    assert (report.images, report.skipped) == (1, {'unreadable annotation file': 1})


def test_lists_of_splits(tmp_path):
    for name in ('a', 'b', 'c'):
        save_xml(tmp_path, voc_object(name, (1, 1, 5, 5)), name=name)
    sets = tmp_path / 'ImageSets/Main'
    save_text(sets / 'train.txt', 'a\n')
    save_text(sets / 'val.txt', 'b 1\nc -1\n\ngone 0\n')
    save_text(sets / 'a_train.txt', 'a 1\n')
    save_text(sets / 'mine.txt', 'JPEGImages/c.png\n../../b\n')
    coco, report = convert(tmp_path, 'val')
    assert [image['file_name'] for image in coco['images']] == ['b.png']
    assert [category['name'] for category in coco['categories']] == ['a', 'b']
    assert report.skipped == {'listed image without annotation file': 1}
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['train.json', 'val.json']
    save_text(sets / 'mine.txt', 'c.png\n../../b\n')
    coco, _ = convert(tmp_path, 'mine', splits=['mine'])
    assert [image['file_name'] for image in coco['images']] == ['c.png', 'b.png']
    with pytest.raises(DataError, match=r'none\.txt'):
        convert(tmp_path, splits=['none'])


def test_one_folder_of_xml_and_images(tmp_path):
    save_image(tmp_path / 'sub/a.png')
    save_text(tmp_path / 'sub/a.xml', voc_xml('x.png', dict(width=6, height=4), [CAT]))
    save_image(tmp_path / 'named.png')
    save_text(tmp_path / 'other.xml', voc_xml('C:\\data\\named.png', SIZE, [CAT]))
    coco, report = convert(tmp_path)
    assert [image['file_name'] for image in coco['images']] == ['named.png', 'sub/a.png']
    assert report.notes == {'image size differs from the annotation file': 1}


def test_mistaken_folders(tmp_path):
    with pytest.raises(DataError, match='none'):
        convert_voc(tmp_path / 'none')
    with pytest.raises(DataError, match='no image could be converted'):
        convert_voc(tmp_path)
    save_xml(tmp_path / 'VOC2007', CAT)
    with pytest.raises(DataError, match='pass one: VOC2007'):
        convert_voc(tmp_path)
    (tmp_path / 'VOC2007/JPEGImages/a.png').rename(tmp_path / 'VOC2007/JPEGImages/ab.png')
    with pytest.raises(
        DataError, match=r"names an image that is in.*nearest existing name is 'ab\.png'"
    ):
        convert_voc(tmp_path / 'VOC2007')


def test_a_class_file_fixes_the_order(tmp_path):
    classes = save_text(tmp_path / 'classes.txt', 'dog\ncat\n')
    coco, _ = convert(save_xml(tmp_path, CAT), class_file=classes)
    assert coco['categories'] == [dict(id=1, name='dog'), dict(id=2, name='cat')]
    save_xml(tmp_path, voc_object('emu', (1, 1, 5, 5)))
    with pytest.raises(DataError, match="unknown class: 'emu'"):
        convert(tmp_path, class_file=classes)
