"""Splits are disjoint, complete, of the promised sizes, and repeatable."""

import json

import numpy as np
import pytest

from mmyolo_lite.datasets.converters.split import SplitOptions, split_coco, split_counts
from mmyolo_lite.errors import DataError
from tests.shared_data import shared_path


def coco(images=20, objects=lambda image: [image % 2 + 1], **more):
    annotations = []
    for image in range(1, images + 1):
        for i, category in enumerate(objects(image)):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image,
                    category_id=category,
                    bbox=[1.0 + i, 2, 10, 10],
                    area=100,
                    iscrowd=0,
                )
            )
    return dict(
        info={'year': 2020},
        licenses=[{'id': 3}],
        images=[
            dict(id=i, file_name=f'film{i // 4}_{i:03}.jpg', width=60, height=40)
            for i in range(1, images + 1)
        ],
        annotations=annotations,
        categories=[dict(id=1, name='cat'), dict(id=2, name='dog'), dict(id=3, name='cow')],
        mine=[1, 2],
        **more,
    )


@pytest.fixture
def split(tmp_path):
    def run(content, name='out', overwrite=False, **options):
        path = tmp_path / 'all.json'
        path.write_text(json.dumps(content))
        lines = split_coco(path, tmp_path / name, SplitOptions(**options), overwrite=overwrite)
        parts = {p.stem: json.loads(p.read_text()) for p in (tmp_path / name).iterdir()}
        return parts, lines

    return run


def ids(part):
    return [image['id'] for image in part['images']]


@pytest.mark.parametrize(
    ('total', 'ratios', 'counts'),
    [
        (10, (0.8, 0.1, 0.1), [8, 1, 1]),
        (10, (7, 3), [7, 3]),
        (10, (0.7, 0.3), [7, 3]),
        (100, (0.7, 0.2, 0.1), [70, 20, 10]),
        (3, (0.8, 0.1, 0.1), [1, 1, 1]),
        (4, (0.1, 0.8, 0.1), [1, 2, 1]),
        (2, (1e-9, 1), [1, 1]),
        (2, (1e300, 1e300), [1, 1]),
    ],
)
def test_counts(total, ratios, counts):
    assert split_counts(total, ratios) == counts


@pytest.mark.parametrize(
    ('total', 'ratios', 'words'),
    [
        (10, (1,), 'two positive numbers'),
        (10, (1, 2, 3, 4), 'two positive numbers'),
        (10, (1, 0), 'two positive numbers'),
        (10, (1, -1), 'two positive numbers'),
        (10, (1, float('nan')), 'two positive numbers'),
        (10, (1e308, 1e308), 'two positive numbers'),
        (2, (0.8, 0.1, 0.1), '2 images cannot be split into 3'),
        (0, (0.8, 0.2), '0 images'),
    ],
)
def test_impossible_counts(total, ratios, words):
    with pytest.raises(DataError, match=words):
        split_counts(total, ratios)


@pytest.mark.parametrize('stratify', [False, True])
@pytest.mark.parametrize('shuffle', [False, True])
@pytest.mark.parametrize('ratios', [(0.8, 0.1, 0.1), (0.5, 0.5)])
def test_every_image_and_annotation_is_in_one_part(split, stratify, shuffle, ratios):
    whole = coco()
    parts, lines = split(whole, stratify=stratify, shuffle=shuffle, ratios=ratios)
    names = ('train', 'val', 'test') if len(ratios) == 3 else ('trainval', 'test')
    assert set(parts) == set(names)
    assert [len(parts[name]['images']) for name in names] == split_counts(20, ratios)
    for key in ('images', 'annotations'):
        merged = [entry for part in parts.values() for entry in part[key]]
        assert sorted(merged, key=lambda entry: entry['id']) == whole[key]
    for part in parts.values():
        assert {a['image_id'] for a in part['annotations']} <= set(ids(part))
        assert ids(part) == sorted(ids(part)), 'the order of the file stays'
        for key in ('info', 'licenses', 'categories', 'mine'):
            assert part[key] == whole[key]
    assert lines[0].startswith('dataset check: ') and len(lines) == len(names) + 1


def test_without_shuffling_the_first_images_are_for_training(split):
    parts, _ = split(coco(10))
    assert (ids(parts['train']), ids(parts['val']), ids(parts['test'])) == (
        list(range(1, 9)),
        [9],
        [10],
    )


def test_the_seed_decides(split):
    runs = [
        [ids(part) for part in split(coco(), name=str(i), shuffle=True, seed=seed)[0].values()]
        for i, seed in enumerate((1, 1, 2))
    ]
    first, again, other = (sorted(run) for run in runs)
    assert first == again != other


def test_a_part_of_background_has_no_annotation(split):
    parts, lines = split(coco(10, objects=lambda image: [1] if image < 9 else []))
    assert parts['test']['annotations'] == parts['val']['annotations'] == []
    assert "without objects of 1 classes: 'cat'" in lines[-1]


def test_stratified_parts_share_rare_classes(split):
    rng = np.random.default_rng(0)
    objects = {image: [1] * int(rng.integers(1, 5)) for image in range(1, 101)}
    for image in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12):
        objects[image].append(2)
    for image in (20, 21, 22):
        objects[image] = [3, 3]
    parts, _ = split(coco(100, objects=objects.get), stratify=True, ratios=(0.6, 0.2, 0.2))
    for part, share in (('train', 0.6), ('val', 0.2), ('test', 0.2)):
        counts = np.bincount([a['category_id'] for a in parts[part]['annotations']], minlength=4)
        assert counts[2] == 10 * share
        assert counts[3] == 2
        assert abs(counts[1] - share * sum(o.count(1) for o in objects.values())) <= 6


@pytest.mark.parametrize('seed', range(5))
def test_a_class_of_one_image_is_trained_on(split, seed):
    # class 2 has fewer objects than class 3, but more images
    objects = {4: [1, 2, 3, 3, 3, 3, 3], 7: [1, 2]}
    parts, _ = split(
        coco(20, objects=lambda image: objects.get(image, [1])),
        stratify=True,
        seed=seed,
        ratios=(0.8, 0.2),
        names=('train', 'val'),
    )
    assert 4 in ids(parts['train']) and 7 in ids(parts['val'])


@pytest.mark.parametrize('stratify', [False, True])
def test_groups_stay_together(split, stratify):
    parts, _ = split(
        coco(40), shuffle=True, stratify=stratify, group_by=r'^(film\d+)_', ratios=(0.6, 0.2, 0.2)
    )
    films = [
        {image['file_name'].partition('_')[0] for image in p['images']} for p in parts.values()
    ]
    assert sum(map(len, films)) == len(set.union(*films)) == 11
    assert all(films)
    assert 20 <= len(parts['train']['images']) <= 28


def test_groups_that_are_too_few_or_misspelt(split):
    with pytest.raises(DataError, match='1 groups'):
        split(coco(), group_by='film')
    with pytest.raises(DataError, match='no regular expression'):
        split(coco(), group_by='(')


def test_existing_output_is_refused(split):
    split(coco())
    with pytest.raises(DataError, match='--overwrite'):
        split(coco())
    split(coco(), overwrite=True)


def test_broken_files_write_nothing(split, tmp_path):
    broken = coco()
    broken['annotations'][3]['image_id'] = 99
    with pytest.raises(DataError, match='id 4 belongs to image_id 99'):
        split(broken)
    with pytest.raises(DataError, match='--fix'):
        split(coco(score=float('nan')))
    flat = coco()
    flat['annotations'][0]['bbox'] = [1, 2, 0, 10]
    with pytest.raises(DataError, match='1 box-empty'):
        split(flat, strict=True)
    assert not (tmp_path / 'out').exists()
    _, lines = split(flat)
    assert '1 box-empty' in lines[0]


def test_coco_splits_and_merges_to_itself(tmp_path):
    path = shared_path('data/coco_mini/annotations/instances_train2017.json')
    split_coco(path, tmp_path, SplitOptions(stratify=True))
    whole = json.loads(path.read_text())
    merged = [
        annotation
        for name in ('train', 'val', 'test')
        for annotation in json.loads((tmp_path / f'{name}.json').read_text())['annotations']
    ]
    by_id = {annotation['id']: annotation for annotation in merged}
    assert by_id == {annotation['id']: annotation for annotation in whole['annotations']}
    assert len(merged) == len(by_id)


def test_names_of_ones_own(split):
    parts, _ = split(coco(10), ratios=(0.8, 0.2), names=('train', 'val'))
    assert {name: len(part['images']) for name, part in parts.items()} == {'train': 8, 'val': 2}


@pytest.mark.parametrize('names', [('train',), ('train', 'train'), ('train', '../val')])
def test_names_that_are_none(split, names):
    with pytest.raises(DataError, match='--names'):
        split(coco(10), ratios=(0.8, 0.2), names=names)
