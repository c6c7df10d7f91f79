"""Tests of Mosaic."""

import json

import numpy as np
import pytest

from mmyolo_lite.datasets.transforms.affine import YOLOv5RandomAffine
from mmyolo_lite.datasets.transforms.mosaic import Mosaic, tile_windows
from mmyolo_lite.errors import ConfigError
from tests.datasets.ragged import read_rings
from tests.datasets.transforms.samples import FakeDataset, make_sample, rectangle_sample, vertices
from tests.shared_data import golden

BOXES = [[4, 4, 20, 20], [10, 2, 30, 25]]


def fixture_sample(archive: np.lib.npyio.NpzFile, key: str, index: int, masks: bool) -> dict:
    polygons = read_rings(archive, f'{key}_poly_in{index}') if masks else None
    return make_sample(
        archive[f'{key}_in{index}'],
        archive[f'{key}_boxes_in{index}'],
        archive[f'{key}_labels_in{index}'],
        polygons,
    )


@pytest.mark.parametrize('number', range(6))
def test_mosaic_matches_the_fixture(number):
    archive = golden('data_mosaic.npz')
    case = json.loads(str(archive['cases_json']))[number]
    key = case['key']
    samples = [fixture_sample(archive, key, index, case['masks']) for index in range(4)]
    np.random.seed(case['seed'])
    results = Mosaic(img_scale=tuple(case['img_scale'])).mix(
        dict(samples[0], mix_results=samples[1:])
    )
    assert np.abs(results['img'].astype(int) - archive[f'{key}_out']).max() <= 2
    assert np.abs(results['img'].astype(float) - archive[f'{key}_out']).mean() <= 0.05
    np.testing.assert_allclose(results['gt_bboxes'].numpy(), archive[f'{key}_boxes_out'], atol=1e-3)
    np.testing.assert_array_equal(results['gt_bboxes_labels'], archive[f'{key}_labels_out'])
    if case['masks']:
        np.testing.assert_allclose(
            vertices(results['gt_masks']), archive[f'{key}_poly_out_pts'], atol=1e-3
        )


@pytest.mark.parametrize('number', range(6))
def test_windows_match_the_fixture(number):
    archive = golden('data_mosaic.npz')
    case = json.loads(str(archive['cases_json']))[number]
    key, (scale_w, scale_h) = case['key'], case['img_scale']
    for position, expected in enumerate(archive[f'{key}_paste_crop']):
        height, width = archive[f'{key}_in{position}'].shape[:2]
        ratio = min(scale_h / height, scale_w / width)
        paste, crop = tile_windows(
            position,
            tuple(archive[f'{key}_center'].tolist()),
            (int(width * ratio), int(height * ratio)),
            (2 * scale_w, 2 * scale_h),
        )
        assert [*paste, *crop] == expected.tolist()


def test_windows_have_one_size_and_touch_the_centre():
    rng = np.random.default_rng(0)
    for _ in range(200):
        center, tile = rng.integers(0, 97, 2), rng.integers(1, 65, 2)
        for position in range(4):
            paste, crop = tile_windows(position, tuple(center), tuple(tile), (96, 96))
            assert (paste[2] - paste[0], paste[3] - paste[1]) == (
                crop[2] - crop[0],
                crop[3] - crop[1],
            )
            assert min(paste) >= 0 and max(paste) <= 96
            assert (paste[0] if position % 2 else paste[2]) == center[0]
            assert (paste[1] if position // 2 else paste[3]) == center[1]


def check_consistent(results: dict, canvas_hw: tuple[int, int]) -> None:
    count = len(results['gt_bboxes'])
    assert results['img'].shape == (*canvas_hw, 3)
    assert results['img_shape'] == canvas_hw and all(
        type(size) is int for size in results['img_shape']
    )
    assert {len(results[key]) for key in ('gt_bboxes_labels', 'gt_ignore_flags', 'gt_masks')} == {
        count
    }
    assert (results['gt_masks'].height, results['gt_masks'].width) == canvas_hw
    boxes = results['gt_bboxes'].numpy()
    assert boxes.dtype == np.float32 and boxes.shape == (count, 4)
    for points in (boxes.reshape(-1, 2), vertices(results['gt_masks'])):
        assert (points >= 0).all() and (points <= canvas_hw[::-1]).all()


@pytest.mark.parametrize('count', [1, 2, 3])
def test_small_datasets_repeat_images(count):
    images = FakeDataset(*[lambda: rectangle_sample(30, 40, BOXES, 50)] * count)
    results = Mosaic(img_scale=(64, 64))(dict(images.makers[0](), dataset=images))
    check_consistent(results, (128, 128))
    assert len(results['gt_bboxes']) == 8
    assert results['dataset'] is images


@pytest.mark.parametrize('empty', range(16))
def test_images_without_objects_in_every_position(empty):
    samples = [
        rectangle_sample(30, 40, [] if empty >> position & 1 else BOXES) for position in range(4)
    ]
    results = Mosaic(img_scale=(64, 64)).mix(dict(samples[0], mix_results=samples[1:]))
    check_consistent(results, (128, 128))
    assert len(results['gt_bboxes']) == 2 * (4 - empty.bit_count())
    followed = YOLOv5RandomAffine(border=(-32, -32))(results)
    assert followed['img'].shape == (64, 64, 3)
    assert len(followed['gt_masks']) == len(followed['gt_bboxes']) <= 8


@pytest.mark.parametrize('img_scale', [(96, 48), (48, 96)])
def test_polygons_on_a_canvas_that_is_not_square(img_scale):
    samples = [rectangle_sample(60, 90, [[0, 0, 90, 60]], value) for value in (10, 20, 30, 40)]
    canvas_hw, levels = (2 * img_scale[1], 2 * img_scale[0]), (10, 20, 30, 40)
    for seed in range(10):
        np.random.seed(seed)
        results = Mosaic(img_scale=img_scale).mix(dict(samples[0], mix_results=samples[1:]))
        check_consistent(results, canvas_hw)
        objects = zip(levels, results['gt_bboxes'].numpy(), results['gt_masks'].masks, strict=True)
        for value, box, rings in objects:
            ys, xs = np.nonzero(results['img'][..., 0] == value)
            seen = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            np.testing.assert_allclose(box, seen, atol=1)
            corners = rings[0].reshape(-1, 2)
            np.testing.assert_allclose(
                [*corners.min(axis=0), *corners.max(axis=0)], seen, atol=1e-9
            )


@pytest.mark.parametrize('size_hw', [(1, 300), (300, 1), (1, 1), (3, 5)])
def test_tiny_and_thin_images(size_hw):
    images = FakeDataset(lambda: rectangle_sample(*size_hw, []))
    results = Mosaic(img_scale=(64, 64))(dict(images.makers[0](), dataset=images))
    check_consistent(results, (128, 128))


def test_more_than_255_objects():
    boxes = [[x, y, x + 3, y + 3] for x in range(0, 60, 6) for y in range(0, 60, 6)]
    images = FakeDataset(lambda: rectangle_sample(64, 64, boxes))
    results = Mosaic(img_scale=(64, 64))(dict(images.makers[0](), dataset=images))
    check_consistent(results, (128, 128))
    assert len(results['gt_bboxes']) == 400


def test_not_mixed_image_is_centred_on_the_same_canvas():
    images = FakeDataset(lambda: rectangle_sample(30, 60, [[0, 0, 60, 30]], 50))
    results = Mosaic(img_scale=(96, 64), prob=0.0)(dict(images.makers[0](), dataset=images))
    check_consistent(results, (128, 192))
    assert results['dataset'] is images and not images.asked
    np.testing.assert_allclose(results['gt_bboxes'].numpy(), [[48, 40, 144, 88]])
    np.testing.assert_allclose(vertices(results['gt_masks'])[[0, 2]], [[48, 40], [144, 88]])
    assert (results['img'][40:88, 48:144] == 50).all() and (
        results['img'] == 50
    ).sum() == 48 * 96 * 3
    assert results['img'][0, 0].tolist() == [114] * 3
    assert (
        len(YOLOv5RandomAffine(border=(-48, -32), min_area_ratio=0.01)(results)['gt_bboxes']) == 1
    )


def test_without_clipping_objects_off_the_canvas_go():
    samples = [rectangle_sample(64, 64, [[0, 0, 6, 6], [56, 56, 64, 64]]) for _ in range(4)]
    np.random.seed(0)
    fixed = dict(img_scale=(64, 64), center_ratio_range=(0.5, 0.5))
    clipped = Mosaic(**fixed).mix(dict(samples[0], mix_results=samples[1:]))
    results = Mosaic(bbox_clip_border=False, **fixed).mix(dict(samples[0], mix_results=samples[1:]))
    assert len(clipped['gt_bboxes']) == 8
    assert (
        len(results['gt_bboxes'])
        == len(results['gt_masks'])
        == len(results['gt_bboxes_labels'])
        == 5
    )
    assert clipped['gt_bboxes'].numpy()[0].tolist() == [0, 0, 0, 0], 'one of the objects that go'


def test_samples_are_not_written_to():
    samples = [rectangle_sample(30, 40, BOXES, 9) for _ in range(4)]
    Mosaic(img_scale=(64, 64)).mix(dict(samples[0], mix_results=samples[1:]))
    for sample in samples:
        np.testing.assert_array_equal(sample['gt_bboxes'].numpy(), BOXES)
        np.testing.assert_array_equal(vertices(sample['gt_masks'])[0], [4, 4])
        assert (sample['img'] == 9).all()


def test_boxes_as_arrays_and_no_masks():
    def maker() -> dict:
        sample = rectangle_sample(30, 40, BOXES)
        del sample['gt_masks']
        return dict(sample, gt_bboxes=np.array(BOXES, dtype=np.float32))

    images = FakeDataset(maker)
    results = Mosaic(img_scale=(64, 64))(dict(maker(), dataset=images))
    assert isinstance(results['gt_bboxes'], np.ndarray) and results['gt_bboxes'].shape == (8, 4)
    assert 'gt_masks' not in results


@pytest.mark.parametrize(
    'args',
    [
        dict(img_scale=640),
        dict(img_scale=(640,)),
        dict(img_scale=(0, 64)),
        dict(center_ratio_range=(1.5, 0.5)),
    ],
)
def test_arguments_out_of_range(args):
    with pytest.raises(ConfigError, match=next(iter(args))):
        Mosaic(**args)
