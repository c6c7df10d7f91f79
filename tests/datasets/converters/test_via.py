"""VIA to COCO: parity with MMYOLO's numbers, every form of the format, every edge rule."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmyolo_lite.datasets.converters.coco_json import image_size_wh, polygon_area
from mmyolo_lite.datasets.converters.via import (
    ViaOptions,
    convert_via_splits,
    load_via,
    region_points,
)
from mmyolo_lite.datasets.file_io import write_json
from mmyolo_lite.errors import DataError
from tests.shared_data import shared_path

TRIANGLE = dict(name='polygon', all_points_x=[2, 12, 2], all_points_y=[3, 3, 23])


def save_image(path: Path, size_wh: tuple[int, int] = (60, 40), **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size_wh).save(path, **options)


def entry(
    filename: str, *shapes: dict, attributes: dict | None = None, regions: object = None
) -> dict:
    if regions is None:
        regions = [
            dict(shape_attributes=shape, region_attributes=attributes or {}) for shape in shapes
        ]
    return dict(filename=filename, size=1, regions=regions, file_attributes={})


def make_split(
    root: Path,
    *entries: dict,
    split: str = 'train',
    images: tuple[str, ...] = ('a.jpg',),
    project: bool = False,
) -> Path:
    for name in images:
        save_image(root / split / name)
    content: dict = {f'{number}': item for number, item in enumerate(entries)}
    content = {'_via_settings': {}, '_via_img_metadata': content} if project else content
    (root / split / 'via_region_data.json').write_text(json.dumps(content))
    return root


def convert(
    root: Path, splits: tuple[str, ...] = ('train',), *, overwrite: bool = False, **options
):
    reports = convert_via_splits(root, splits, options=ViaOptions(**options), overwrite=overwrite)
    return json.loads((root / f'{splits[0]}.json').read_text()), reports[splits[0]]


def test_equals_mmyolo_but_for_ids(tmp_path):
    fixture = json.loads(shared_path('golden/data_tools.json').read_text())
    for name, (height, width) in fixture['via_image_hw'].items():
        save_image(tmp_path / 'train' / name, (width, height))
    (tmp_path / 'train' / 'via_region_data.json').write_text(json.dumps(fixture['via_in']))
    coco, _ = convert(tmp_path, area='bbox')
    expected = fixture['via_out']
    for image in expected['images']:
        image['id'] += 1
    for annotation in expected['annotations']:
        annotation['id'] += 1
        annotation['image_id'] += 1
    assert {key: coco[key] for key in expected} == expected
    assert {'info', 'licenses'} < set(coco)


def test_the_balloon_set(tmp_path):
    reports = convert_via_splits(shared_path('data/balloon'), out_dir=tmp_path)
    counts = {split: (report.images, report.annotations) for split, report in reports.items()}
    assert counts == {'train': (61, 255), 'val': (13, 50)}
    assert not reports['train'].skipped and not reports['val'].skipped
    assert reports['train'].notes['file size differs from the annotation file'] == 1
    train = json.loads((tmp_path / 'train.json').read_text())
    assert [item['id'] for item in train['annotations']] == list(range(1, 256))


def test_all_three_layouts_give_the_same(tmp_path):
    as_list = [dict(shape_attributes=TRIANGLE, region_attributes={})]
    as_dict = {'0': as_list[0]}
    results = []
    for name, regions, project in (
        ('v1', as_dict, False),
        ('v2', as_list, False),
        ('project', as_list, True),
    ):
        root = make_split(tmp_path / name, entry('a.jpg', regions=regions), project=project)
        results.append({**convert(root)[0], 'info': None})
    assert results[0] == results[1] == results[2]
    (annotation,) = results[0]['annotations']
    assert annotation['segmentation'] == [[2.5, 3.5, 12.5, 3.5, 2.5, 23.5]]
    assert annotation['bbox'] == [2, 3, 10, 20]
    assert annotation['area'] == 100
    assert results[0]['images'] == [dict(id=1, file_name='a.jpg', height=40, width=60)]


@pytest.mark.parametrize(
    'shape, count, area',
    [
        (dict(name='rect', x=1, y=2, width=10, height=5), 4, 50),
        (dict(name='circle', cx=30, cy=20, r=10), 36, 18 * 100 * math.sin(math.pi / 18)),
        (
            dict(name='ellipse', cx=30, cy=20, rx=10, ry=5, theta=0.7),
            36,
            18 * 50 * math.sin(math.pi / 18),
        ),
        (TRIANGLE, 3, 100),
    ],
)
def test_shapes_become_rings(shape, count, area):
    points = region_points(shape)
    assert points.shape == (count, 2)
    assert polygon_area(points) == pytest.approx(area)


def test_areas_far_from_the_origin_keep_their_digits():
    assert polygon_area(np.array([[0, 0], [0.1, 0], [0.1, 0.1], [0, 0.1]]) + 2.0**26) == (
        pytest.approx(0.01, rel=1e-6)
    )


def test_the_long_axis_of_an_ellipse_follows_theta():
    points = region_points(dict(name='ellipse', cx=0, cy=0, rx=10, ry=1, theta=math.pi / 2))
    assert np.abs(points).max(axis=0) == pytest.approx([1, 10])


@pytest.mark.parametrize(
    'shape, reason',
    [
        (dict(name='point', cx=1, cy=1), "'point' has no area"),
        (dict(name='polyline', all_points_x=[1, 2], all_points_y=[1, 2]), "'polyline' has no area"),
        (dict(name='spiral'), "'spiral' has no area"),
        (
            dict(name='polygon', all_points_x=[1, 5, 1], all_points_y=[1, 5, 1]),
            'fewer than 3 distinct points',
        ),
        (
            dict(name='polygon', all_points_x=[1, 5, 9], all_points_y=[1, 5, 9]),
            'outline encloses no area',
        ),
        (
            dict(name='polygon', all_points_x=[99, 80, 99], all_points_y=[99, 80, 80]),
            'fewer than 3 distinct points',
        ),
    ],
)
def test_regions_left_out(tmp_path, shape, reason):
    root = make_split(tmp_path, entry('a.jpg', shape, TRIANGLE))
    coco, report = convert(root)
    assert [item['id'] for item in coco['annotations']] == [1]
    assert sum(report.skipped.values()) == 1
    assert reason in '\n'.join(report.lines())
    with pytest.raises(DataError, match=r'a\.jpg.*region 0.*--strict'):
        convert(root, strict=True, overwrite=True)


@pytest.mark.parametrize(
    'regions, reason',
    [
        (
            [dict(shape_attributes=dict(name='polygon', all_points_x=[1, 2], all_points_y=[1]))],
            '2 x but 1 y',
        ),
        (
            [dict(shape_attributes=dict(name='polygon', all_points_x=[1, 2, 3]))],
            'without all_points_y',
        ),
        ([dict(shape_attributes=dict(name='circle', cx=1, cy=1, r=None))], 'no number'),
        (
            [dict(shape_attributes=dict(name='rect', x=1, y=1, width=math.nan, height=1))],
            'no finite number',
        ),
        (
            [
                dict(
                    shape_attributes=dict(
                        name='polygon', all_points_x=[[1]] * 3, all_points_y=[[1]] * 3
                    )
                )
            ],
            'no finite',
        ),
        ([dict(region_attributes={})], 'without shape_attributes'),
        ('polygons', 'regions are a str'),
    ],
)
def test_broken_regions_stop_unless_skipped(tmp_path, regions, reason):
    root = make_split(
        tmp_path,
        entry('a.jpg', regions=regions),
        entry('b.jpg', TRIANGLE),
        images=('a.jpg', 'b.jpg'),
    )
    with pytest.raises(DataError, match=rf'a\.jpg.*{reason}.*--skip-errors'):
        convert(root)
    assert not (root / 'train.json').exists()
    coco, report = convert(root, skip_errors=True)
    assert len(coco['images']) == 2 and len(coco['annotations']) == 1
    assert sum(report.skipped.values()) == 1


def test_points_outside_are_clipped_and_counted(tmp_path):
    shape = dict(name='polygon', all_points_x=[-5, 70, 70, -5], all_points_y=[10, 10, 50, 50])
    coco, report = convert(make_split(tmp_path, entry('a.jpg', shape)))
    assert coco['annotations'][0]['bbox'] == [0, 10, 59, 29]
    assert report.notes['points clipped to the image'] == 4


def test_missing_image_names_the_nearest(tmp_path):
    root = make_split(
        tmp_path,
        entry('balloon_01.jpg', TRIANGLE),
        entry('a.jpg'),
        images=('a.jpg', 'balloon_1.jpg'),
    )
    coco, report = convert(root)
    assert [image['file_name'] for image in coco['images']] == ['a.jpg']
    assert report.skipped == {'missing image': 1}
    assert "nearest existing name is 'balloon_1.jpg'" in report.problems[0]
    with pytest.raises(DataError, match='missing image'):
        convert(root, strict=True, overwrite=True)


def test_unreadable_image_is_left_out(tmp_path):
    root = make_split(tmp_path, entry('a.jpg'), entry('b.jpg', TRIANGLE))
    (root / 'train' / 'b.jpg').write_bytes(b'version https://git-lfs.github.com/spec/v1')
    _, report = convert(root)
    assert report.skipped == {'unreadable image': 1}


def test_no_image_at_all_is_an_error(tmp_path):
    with pytest.raises(DataError, match='none of its 1 images was found'):
        convert(make_split(tmp_path, entry('b.jpg', TRIANGLE)))


@pytest.mark.parametrize('name', ['../a.jpg', '/a.jpg', 'C:\\a.jpg', '..\\a.jpg', '', 7])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(DataError, match='out of the image folder'):
        convert(make_split(tmp_path, entry(name, TRIANGLE)))


def test_the_same_name_twice_is_an_error(tmp_path):
    with pytest.raises(DataError, match="'a.jpg': file name appears twice"):
        convert(make_split(tmp_path, entry('a.jpg'), entry('a.jpg')))


def test_attributes_are_ignored_with_a_note_or_name_the_class(tmp_path):
    train = [entry('a.jpg', TRIANGLE, attributes={'kind': 'red'})]
    train.append(entry('b.jpg', TRIANGLE, attributes={'kind': {'blue': True, 'red': False}}))
    train.append(entry('c.jpg', TRIANGLE, attributes={'other': 'x'}))
    root = make_split(tmp_path, *train, images=('a.jpg', 'b.jpg', 'c.jpg'))
    make_split(tmp_path, entry('a.jpg', TRIANGLE, attributes={'kind': 'amber'}), split='val')
    coco, report = convert(root)
    assert coco['categories'] == [dict(id=0, name='balloon')]
    assert 'region attributes ignored' in ' '.join(report.notes)
    coco, report = convert(root, ('train', 'val'), class_attr='kind', overwrite=True)
    assert [category['name'] for category in coco['categories']] == ['amber', 'blue', 'red']
    assert [annotation['category_id'] for annotation in coco['annotations']] == [2, 1]
    assert report.per_class == {'red': 1, 'blue': 1} and sum(report.skipped.values()) == 1
    assert json.loads((root / 'val.json').read_text())['categories'] == coco['categories']


def test_existing_output_is_kept_without_overwrite(tmp_path):
    root = make_split(tmp_path, entry('a.jpg', TRIANGLE))
    (root / 'train.json').write_text('mine')
    with pytest.raises(DataError, match='--overwrite'):
        convert(root)
    assert (root / 'train.json').read_text() == 'mine'
    assert len(convert(root, overwrite=True)[0]['annotations']) == 1


def test_nothing_is_written_unless_all_splits_convert(tmp_path):
    root = make_split(tmp_path, entry('a.jpg', TRIANGLE))
    make_split(tmp_path, entry('b.jpg', TRIANGLE), split='val')
    with pytest.raises(DataError):
        convert(root, ('train', 'val'))
    assert sorted(path.name for path in root.iterdir()) == ['train', 'val']


@pytest.mark.parametrize(
    'text, reason',
    [
        ('{"a": ', 'line 1: not valid JSON'),
        ('[]', 'not a VIA file'),
        ('{"images": [], "annotations": []}', 'not a VIA file'),
        ('{"a": {"regions": []}}', 'not a VIA file'),
    ],
)
def test_files_that_are_no_via_file(tmp_path, text, reason):
    path = tmp_path / 'via.json'
    path.write_text(text)
    with pytest.raises(DataError, match=rf'via\.json.*{reason}'):
        load_via(path)


def test_a_missing_folder_says_which_option(tmp_path):
    with pytest.raises(DataError, match='--data-root'):
        convert_via_splits(tmp_path)


def test_image_size_follows_the_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save_image(tmp_path / 'turned.jpg', (60, 40), exif=exif)
    save_image(tmp_path / 'plain.jpg', (60, 40))
    assert image_size_wh(tmp_path / 'turned.jpg') == (40, 60)
    assert image_size_wh(tmp_path / 'plain.jpg') == (60, 40)


def test_json_is_written_whole_or_not_at_all(tmp_path):
    with pytest.raises(DataError):
        write_json({'area': math.nan}, tmp_path / 'out.json')
    assert list(tmp_path.iterdir()) == []
