"""A small set has the wanted images, annotations and files, or nothing is written."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mmyolo_lite.datasets import YOLOv5CocoDataset
from mmyolo_lite.datasets.converters.subset import SubsetOptions, extract_subcoco, sources_of
from mmyolo_lite.errors import DataError
from tests.datasets.doctor.planted import PlantedSet, save_image, thing
from tests.shared_data import shared_path


@pytest.fixture
def root(tmp_path):
    """A set in COCO's layout: 8 images a split; 1 to 4 have objects of two classes, one is
    large.
    """
    for split in ('train', 'val'):
        content = PlantedSet(tmp_path / 'planted').content
        content['images'] += [
            dict(id=i, file_name=f'sub/{i}.png', width=80, height=60) for i in range(5, 9)
        ]
        content['annotations'].append(dict(thing(50, 4, 1, 1), area=96.0**2))
        for image in content['images']:
            save_image(tmp_path / f'coco/{split}2017' / image['file_name'], image['id'])
        path = tmp_path / f'coco/annotations/instances_{split}2017.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**content, 'description': split}))
    return tmp_path / 'coco'


@pytest.fixture
def out(root):
    return root.parent / 'small'


def extract(root, out, overwrite=False, **options):
    return extract_subcoco(sources_of(root), out, SubsetOptions(**options), overwrite=overwrite)


def read(out, split):
    return json.loads((out / f'annotations/instances_{split}2017.json').read_text())


def file_names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file() or p.is_symlink()}


def test_images_annotations_and_files_agree(root, out):
    lines = extract(root, out, num_img=2, keep_empty=1)
    for split in ('train', 'val'):
        part = read(out, split)
        assert part['description'] == 'val', 'the training part too, unless asked for'
        assert len(part['images']) == 3
        assert file_names(out / f'{split}2017') == {i['file_name'] for i in part['images']}
        assert len(part['categories']) == 2
        with_objects = {a['image_id'] for a in part['annotations']}
        assert len(with_objects) == 2
        dataset = YOLOv5CocoDataset(
            ann_file=str(out / f'annotations/instances_{split}2017.json'),
            data_prefix=dict(img=str(out / f'{split}2017')),
            metainfo=dict(classes=('cat', 'dog')),
        )
        assert len(dataset) == 3
    assert sorted(p.name for p in out.iterdir()) == ['annotations', 'train2017', 'val2017']
    assert any('--use-training-set' in line for line in lines)


def test_the_training_set_on_request(root, out):
    lines = extract(root, out, use_training_set=True)
    assert read(out, 'train')['description'] == 'train'
    assert not any('--use-training-set' in line for line in lines)


def test_the_seed_decides(root, out):
    chosen = []
    for seed in (0, 0, 1, 2, 3):
        extract(root, out, overwrite=True, num_img=2, seed=seed)
        chosen.append([image['id'] for image in read(out, 'val')['images']])
    assert chosen[0] == chosen[1]
    assert len(set(map(tuple, chosen))) > 1


@pytest.mark.parametrize('num_img', [0, -1, 50])
def test_all_that_fit(root, out, num_img):
    extract(root, out, num_img=num_img)
    assert len(read(out, 'val')['images']) == 4


def test_only_wanted_classes_and_sizes(root, out):
    extract(root, out, classes=['dog'], categories_used_only=True)
    part = read(out, 'val')
    assert {a['category_id'] for a in part['annotations']} == {2}
    assert [c['name'] for c in part['categories']] == ['dog']
    extract(root, out, overwrite=True, area_size='large')
    part = read(out, 'val')
    assert [a['id'] for a in part['annotations']] == [50]
    assert len(part['images']) == 1 and len(part['categories']) == 2
    with pytest.raises(DataError, match='no image has'):
        extract(root, out, overwrite=True, area_size='medium')
    assert len(read(out, 'val')['images']) == 1, 'what was there stays'


def test_a_misspelt_class_is_explained(root, out):
    with pytest.raises(DataError, match=r"'dgo' \(did you mean 'dog'\?\)"):
        extract(root, out, classes=['cat', 'dgo'])
    assert not out.exists()


def test_missing_images_are_passed_over(root, out):
    for number in (1, 2):
        (root / f'val2017/{number}.png').unlink()
    lines = extract(root, out, num_img=4)
    assert [image['id'] for image in read(out, 'val')['images']] == [3, 4]
    assert '  missing images passed over: 2' in lines


def test_links_in_place_of_copies(root, out, monkeypatch):
    extract(root, out, num_img=1, link=True)
    (image,) = (out / 'val2017').iterdir()
    assert os.path.samefile(image, root / 'val2017' / image.name) and not image.is_symlink()

    def no_hard_links(*_):
        raise OSError('not here')

    monkeypatch.setattr(os, 'link', no_hard_links)
    extract(root, out, overwrite=True, num_img=1, link=True)
    (image,) = (out / 'val2017').iterdir()
    assert image.is_symlink() and image.read_bytes()


def test_output_may_not_lie_on_the_input(root, tmp_path):
    (tmp_path / 'link').symlink_to(root)
    for place in (root, root / '../coco', tmp_path / 'link', tmp_path, root / 'val2017'):
        with pytest.raises(DataError, match='holds the input'):
            extract(root, place, overwrite=True)
    assert len(file_names(root)) == 18


def test_existing_output_is_refused_and_other_files_stay(root, out):
    extract(root, out)
    (out / 'mine.txt').write_text('x')
    with pytest.raises(
        DataError, match='annotations, .*train2017, .*val2017: exists already.*--overwrite'
    ):
        extract(root, out)
    extract(root, out, overwrite=True, num_img=1)
    assert len(file_names(out)) == 5 and (out / 'mine.txt').exists()


@pytest.mark.parametrize('name', ['../x.png', '/etc/hosts', 'a/../../x.png', 'C:\\x.png'])
def test_file_names_stay_in_their_folder(root, out, name):
    path = root / 'annotations/instances_val2017.json'
    content = json.loads(path.read_text())
    for image in content['images']:
        image['file_name'] = name
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match='leads out of the folder'):
        extract(root, out)
    assert sorted(p.name for p in root.parent.iterdir()) == ['coco', 'planted']


def test_other_layouts_and_files_without_info(tmp_path, out):
    planted = PlantedSet(tmp_path / 'set')
    del planted.content['info'], planted.content['licenses']
    sources = sources_of(
        tmp_path, val_json=str(planted.write()), val_img=str(tmp_path / 'set/images')
    )
    extract_subcoco(sources, tmp_path / 'new', SubsetOptions(num_img=3))
    assert read(tmp_path / 'new', 'val')['info'] == {}


def test_wrong_options(root, out):
    for options in (dict(area_size='tiny'), dict(keep_empty=-1)):
        with pytest.raises(DataError):
            extract_subcoco(sources_of(root), out, replace(SubsetOptions(), **options))
    with pytest.raises(DataError, match='not found'):
        extract(root / 'no', out)


def test_coco(tmp_path):
    lines = extract(shared_path('data/coco_mini'), tmp_path / 'out', num_img=5, link=False)
    assert len(lines) == 5
    assert len(file_names(tmp_path / 'out/train2017')) == 5
