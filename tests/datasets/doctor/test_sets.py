"""Sets of one training against each other, and what shows only with a config's classes or scale."""

import json

import pytest

from mmyolo_lite.datasets.converters.via import convert_via_splits
from mmyolo_lite.datasets.doctor import sets as doctor_sets
from mmyolo_lite.datasets.doctor.sets import CheckedSet, check_sets
from tests.datasets.doctor.planted import PlantedSet, thing
from tests.shared_data import shared_path

CLASSES = ('cat', 'dog')


@pytest.fixture(autouse=True)
def no_rare_classes(monkeypatch):
    monkeypatch.setattr(doctor_sets, 'FEW_BOXES', 0)


@pytest.fixture
def train(tmp_path):
    return PlantedSet(tmp_path / 'train')


@pytest.fixture
def val(tmp_path):
    return PlantedSet(tmp_path / 'val', first_seed=100)


def one(planted, role, **kwargs):
    values = dict(name=role, roles=(role,), classes=CLASSES, scale_wh=(640, 640)) | kwargs
    return CheckedSet(str(planted.write()), str(planted.folder / 'images'), **values)


def found(*sets, **kwargs):
    return check_sets(sets, **kwargs).counts


def test_two_clean_sets(train, val):
    assert found(one(train, 'train'), one(val, 'val')) == {}


def test_the_same_picture_in_both(train, val):
    val.image(2).write_bytes(train.image(3).read_bytes())
    report = check_sets([one(train, 'train'), one(val, 'val')])
    assert report.counts == {'leak-content': 1}
    (case,) = report.cases('leak-content')
    assert case.set_name == 'val'
    assert case.text == "'2.png' shows the same as '3.png' of train"
    assert found(one(train, 'train'), one(val, 'val'), with_images=False) == {}


@pytest.mark.parametrize('with_images', [True, False])
def test_the_same_file_in_both(train, val, with_images):
    val.content['images'][1]['file_name'] = '../../train/images/3.png'
    sets = one(train, 'train'), one(val, 'val')
    assert found(*sets, with_images=with_images) == {'leak-file': 1}


def test_leaks_between_validation_and_test_do_not_matter(train, val):
    val.image(2).write_bytes(train.image(3).read_bytes())
    assert found(one(train, 'val'), one(val, 'test')) == {}


def test_one_annotation_file_for_both(train):
    assert found(one(train, 'train'), one(train, 'val')) == {'same-annotation-file': 1}


def test_classes_of_the_config(train):
    report = check_sets([one(train, 'train', classes=('cat', 'dgo'))])
    assert report.counts == {
        'class-not-in-file': 1,
        'category-not-configured': 1,
        'class-without-objects': 1,
    }
    assert "did you mean 'dog'?" in report.cases('class-not-in-file')[0].text


def test_a_training_set_without_objects(train):
    train.content['annotations'].clear()
    counts = found(one(train, 'train'))
    assert counts.pop('image-without-objects') == 4
    assert counts == {'no-objects': 1, 'category-without-objects': 2}


@pytest.mark.parametrize('alone', [True, False])
def test_a_file_with_nothing_to_train_on(train, alone):
    def checked():
        file = CheckedSet(str(train.write()), str(train.folder / 'images'))
        return check_sets([file if alone else one(train, 'train')])

    train.content['annotations'].clear()
    assert 'no-objects' in checked().counts
    train.content['images'].clear()
    report = checked()
    assert report.counts == {'no-images': 1, 'category-without-objects': 2}
    assert report.exit_code == 2


def test_validation_without_objects_is_no_error(train, val):
    val.content['annotations'].clear()
    assert 'no-objects' not in found(one(train, 'train'), one(val, 'val'))


def test_a_test_set_needs_no_annotations(train, val):
    del val.content['annotations']
    counts = found(one(train, 'train'), one(val, 'test'))
    assert set(counts) == {'image-without-objects', 'category-without-objects'}
    assert 'missing-list' in found(one(train, 'train'), one(val, 'val'))


def test_a_class_only_in_validation(train, val):
    for annotation in train.content['annotations']:
        annotation['category_id'] = 1
    report = check_sets([one(train, 'train'), one(val, 'val')])
    assert report.counts == {
        'class-without-objects': 1,
        'class-only-in-val': 1,
        'category-without-objects': 1,
    }


def test_imbalance_and_rare_classes(train, monkeypatch):
    monkeypatch.setattr(doctor_sets, 'FEW_BOXES', 10)
    train.content['annotations'] += [thing(1000 + i, 1, 2.0 + i / 20, 30.0) for i in range(4 * 100)]
    report = check_sets([one(train, 'train')])
    assert report.counts == {'class-imbalance': 1, 'rare-class': 1}
    assert report.cases('class-imbalance')[0].text == "'cat' has 408 objects, 'dog' 4"
    assert report.exit_code == 1


def test_small_objects_at_the_input_scale(train):
    assert found(one(train, 'train', scale_wh=(40, 640))) == {}
    assert found(one(train, 'train', scale_wh=(640, 20))) == {'small-objects': 1}
    counts = found(one(train, 'train', scale_wh=(6, 640)))
    assert counts == {'tiny-object': 12, 'small-objects': 1}


def test_files_that_cannot_be_read(train, tmp_path):
    for text in (b'', b'[]', b'{"images": ', b'\xff\xfe', b'[' * 100_000):
        path = tmp_path / 'broken.json'
        path.write_bytes(text)
        report = check_sets([CheckedSet(str(path)), one(train, 'train')])
        assert report.counts == {'unreadable-file': 1}
        assert report.exit_code == 2
    assert found(CheckedSet(str(tmp_path / 'no.json'))) == {'unreadable-file': 1}
    assert found(CheckedSet(str(tmp_path))) == {'unreadable-file': 1}


def test_names_that_no_file_can_have(train):
    for name in ('a\0b', '\ud800', 'x' * 5000, '', '..'):
        train.content['images'][0]['file_name'] = name
        report = check_sets([one(train, 'train'), one(train, 'val')])
        assert report.counts == {'image-missing': 2, 'same-annotation-file': 1}
        '\n'.join(report.lines()).encode()
        json.dumps(report.to_json(), allow_nan=False)


def test_pictures_too_large_to_decode(train, monkeypatch):
    monkeypatch.setattr('PIL.Image.MAX_IMAGE_PIXELS', 1000)
    assert found(one(train, 'train')) == {'image-too-large': 4}


@pytest.mark.parametrize('scale', [320, 640])
def test_nothing_is_found_in_the_balloon_set(tmp_path, monkeypatch, scale):
    monkeypatch.undo()
    root = shared_path('data/balloon')
    convert_via_splits(root, out_dir=tmp_path)
    sets = [
        CheckedSet(
            str(tmp_path / f'{role}.json'),
            str(root / role),
            role,
            (role,),
            ('balloon',),
            (scale, scale),
        )
        for role in ('train', 'val')
    ]
    report = check_sets(sets, with_images=scale == 320)
    assert report.counts == {}
    assert report.sets == [
        ('train', str(tmp_path / 'train.json'), 61, 255),
        ('val', str(tmp_path / 'val.json'), 13, 50),
    ]


def test_coco_images_have_crowds_and_background_alone():
    root = shared_path('data/coco_mini')
    sets = [
        CheckedSet(str(root / f'annotations/instances_{s}2017.json'), str(root / f'{s}2017'), s)
        for s in ('train', 'val')
    ]
    report = check_sets(sets)
    assert report.counts == {
        'image-without-objects': 3,
        'category-without-objects': 63,
        'crowd': 10,
    }
    assert report.exit_code == 0
