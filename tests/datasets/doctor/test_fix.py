"""A mended copy has no error, keeps what was sound, and says what was done."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmyolo_lite.datasets import YOLOv5CocoDataset
from mmyolo_lite.datasets.doctor.fix import fix_set, mend
from mmyolo_lite.datasets.doctor.kinds import KINDS, Severity
from mmyolo_lite.datasets.doctor.sets import CheckedSet, check_sets
from mmyolo_lite.errors import DataError
from tests.datasets.doctor.planted import EXIF_ORIENTATION, FAULTS, PlantedSet, save_image

PLANTS = [
    (code, i) for code, ways in FAULTS.items() for i in range(len(ways)) if code != 'missing-list'
]
LOAD = [
    dict(type='mmyolo_lite.LoadImageFromFile'),
    dict(type='mmyolo_lite.LoadAnnotations', with_bbox=True, with_mask=True),
]


@pytest.fixture
def planted(tmp_path):
    return PlantedSet(tmp_path)


def fix(planted, with_images=True):
    one = CheckedSet(str(planted.write()), str(planted.folder / 'images'))
    return fix_set(one, planted.folder / 'mended.json', with_images)


def one_object(planted, **values):
    """Mend the set with the changed object of id 5; return that object and what was done."""
    planted.content['annotations'][4].update(values)
    fixed = fix(planted)
    (found,) = [a for a in fixed.content['annotations'] if a['id'] == 5]
    return found, set(fixed.actions)


def test_a_clean_set_stays_as_it_is(planted):
    planted.content['my own key'] = {'a': [1, 2]}
    fixed = fix(planted)
    assert json.loads((planted.folder / 'mended.json').read_text()) == planted.content
    assert not fixed.actions
    assert fixed.lines()[-1] == '  nothing was changed'


@pytest.mark.parametrize(('code', 'way'), PLANTS)
def test_the_copy_has_no_error_and_loads(planted, code, way):
    FAULTS[code][way](planted)
    fixed = fix(planted)
    assert fixed.report.total(Severity.ERROR) == 0, fixed.report.lines()
    if KINDS[code].severity == Severity.ERROR:
        assert fixed.actions
    dataset = YOLOv5CocoDataset(
        data_root=str(planted.folder),
        ann_file='mended.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=('cat', 'dog')),
        pipeline=LOAD,
    )
    loaded = [dataset[i] for i in range(len(dataset))]
    assert sum(len(one['gt_masks']) for one in loaded) >= 8
    again = mend(fixed.content, 'again', str(planted.folder / 'images'))
    assert again.content == fixed.content and not again.actions, again.actions


@pytest.mark.parametrize('code', ['duplicate-annotation-id', 'id-zero', 'bad-id'])
def test_ids_are_numbered_anew(planted, code):
    FAULTS[code][0](planted)
    fixed = fix(planted)
    ids = [a['id'] for a in fixed.content['annotations']]
    assert len(set(ids)) == 12 and min(ids) >= 1
    assert fixed.actions == {'annotations changed, id': 1}


def test_texts_become_numbers(planted):
    planted.content['images'][1].update(id='2', width='80', height='60.0')
    found, done = one_object(
        planted, bbox=['26', 7, '20.0', 20], area='400', iscrowd='0', image_id=2, category_id='1'
    )
    assert found == PlantedSet(planted.folder).content['annotations'][4]
    assert 'annotations changed, texts turned into numbers' in done


@pytest.mark.parametrize(
    'mask',
    [
        [26, 7, 46, 7, 46, 27, 26, 27],
        [[[26, 7], [46, 7], [46, 27], [26, 27]]],
        [['26', 7, 46, 7, '46.0', 27, 26, 27]],
        [[26, 7, 46, 7, 46, 27, 26, 27], [1, 2, 3, 4]],
    ],
)
def test_forms_of_polygons_are_understood(planted, mask):
    found, done = one_object(planted, segmentation=mask)
    assert found['segmentation'] == [[26, 7, 46, 7, 46, 27, 26, 27]]
    assert done


def test_polygons_are_clipped_with_box_and_area(planted):
    ring = [70.0, 7.0, 100.0, 7.0, 100.0, 27.0, 70.0, 27.0]
    found, done = one_object(planted, segmentation=[ring], bbox=[70, 7, 30, 20], area=600)
    assert found['bbox'] == [70, 7, 10, 20]
    assert found['area'] == 200
    assert done == {
        'annotations changed, polygon clipped',
        'annotations changed, box taken from the mask',
        'annotations changed, area taken from the mask',
    }


def test_a_bow_tie_becomes_two_triangles(planted):
    found, _ = one_object(planted, segmentation=[[26, 7, 46, 27, 46, 7, 26, 27]], area=200)
    assert len(found['segmentation']) == 2
    assert found['area'] == 200


def test_a_hole_made_by_crossing_stays_a_hole(planted):
    outer = [10, 10, 50, 10, 50, 50, 10, 50, 10, 10]
    inner = [20, 20, 40, 20, 40, 40, 20, 40, 20, 20]  # the same way around: wound twice
    found, _ = one_object(planted, segmentation=[outer + inner], bbox=[10, 10, 40, 40], area=1200)
    assert found['area'] == 1200
    assert len(found['segmentation']) == 2


@pytest.mark.parametrize('bbox', [[-5, 7, 20, 20], None])
def test_boxes_without_masks_are_clipped_or_dropped(planted, bbox):
    planted.content['annotations'][4].update(bbox=bbox, segmentation=[])
    fixed = fix(planted)
    found = [a for a in fixed.content['annotations'] if a['id'] == 5]
    if bbox is None:
        assert found == [] and fixed.actions['annotations dropped, bad-box'] == 1
    else:
        assert found[0]['bbox'] == [0, 7, 15, 20] and found[0]['area'] == 300


def test_images_that_are_missing_go_with_their_objects(planted):
    planted.image(1).unlink()
    fixed = fix(planted)
    assert [image['id'] for image in fixed.content['images']] == [2, 3, 4]
    assert fixed.actions == {
        'images dropped, image-missing': 1,
        'annotations dropped, unknown-image': 3,
    }
    assert not fix(planted, with_images=False).actions


def test_files_that_are_listed_twice_are_merged(planted):
    FAULTS['duplicate-file-name'][0](planted)
    fixed = fix(planted)
    assert len(fixed.content['images']) == 4
    assert [a['image_id'] for a in fixed.content['annotations'] if a['id'] == 90] == [1]


@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
def test_annotations_turn_with_the_image(planted, orientation):
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[6:26, 2:22] = 255  # the object with the id 1
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    Image.fromarray(picture).save(planted.image(1), exif=exif)
    fixed = fix(planted)
    assert (fixed.content['images'][0]['width'], fixed.content['images'][0]['height']) == (60, 80)
    dataset = YOLOv5CocoDataset(
        ann_file=str(planted.folder / 'mended.json'),
        data_prefix=dict(img=str(planted.folder / 'images')),
        metainfo=dict(classes=('cat', 'dog')),
        pipeline=LOAD,
    )
    white = np.argwhere(dataset[0]['img'][..., 0] > 0)
    (y1, x1), (y2, x2) = white.min(0), white.max(0) + 1
    assert dataset[0]['gt_bboxes'].tensor[0].tolist() == [x1, y1, x2, y2]
    masks = dataset[0]['gt_masks'].masks[0][0].reshape(-1, 2)
    assert [*masks.min(0), *masks.max(0)] == [x1, y1, x2, y2]


def test_annotations_scale_with_the_image(planted):
    save_image(planted.image(2), 9, (160, 120))
    fixed = fix(planted)
    (found,) = [a for a in fixed.content['annotations'] if a['id'] == 5]
    assert found['bbox'] == [52, 14, 40, 40]
    assert found['segmentation'] == [[52, 14, 92, 14, 92, 54, 52, 54]]
    assert found['area'] == 1600


def test_nothing_is_written_when_no_image_is_left(planted):
    with pytest.raises(DataError, match='no image would be left.*image-missing: 4'):
        one = CheckedSet(str(planted.write()), str(planted.folder / 'elsewhere'))
        fix_set(one, planted.folder / 'mended.json')
    assert not (planted.folder / 'mended.json').exists()


def test_numbers_that_json_lacks_are_emptied_in_other_keys(planted):
    planted.content['info'] = {'score': float('nan')}
    assert fix(planted).content['info'] == {'score': None}


def test_the_input_is_not_changed(planted):
    FAULTS['polygon-outside'][0](planted)
    before = copy.deepcopy(planted.content)
    mend(planted.content, 'x', str(planted.folder / 'images'))
    assert planted.content == before


def test_deep_nesting_is_refused(tmp_path: Path):
    path = tmp_path / 'deep.json'
    path.write_text('{"info": ' + '[' * 900 + ']' * 900 + ', "images": []}')
    with pytest.raises(DataError):
        fix_set(CheckedSet(str(path)), tmp_path / 'out.json')


def test_backslashes_of_windows_become_slashes(planted):
    (planted.folder / 'images/sub').mkdir()
    planted.image(1).rename(planted.folder / 'images/sub/1.png')
    planted.content['images'][0]['file_name'] = 'sub\\1.png'
    report = check_sets([CheckedSet(str(planted.write()), str(planted.folder / 'images'))])
    assert 'its backslashes must be slashes' in report.cases('image-missing')[0].text
    fixed = fix(planted)
    assert fixed.content['images'][0]['file_name'] == 'sub/1.png'
    assert len(fixed.content['annotations']) == 12
