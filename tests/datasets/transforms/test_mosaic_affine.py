"""Tests of MosaicAffine: it does what Mosaic and then YOLOv5RandomAffine do."""

import cv2
import numpy as np
import pytest

from mmyolo_lite.datasets.transforms.affine import YOLOv5RandomAffine
from mmyolo_lite.datasets.transforms.mosaic import Mosaic
from mmyolo_lite.datasets.transforms.mosaic_affine import MosaicAffine
from mmyolo_lite.datasets.transforms.polygon2mask import Polygon2Mask
from mmyolo_lite.errors import ConfigError
from tests.datasets.transforms.samples import FakeDataset, make_sample, vertices

SCALE = (96, 64)
AXIS_ALIGNED = dict(max_rotate_degree=0.0, max_shear_degree=0.0)


def photo_sample(seed: int, with_masks: bool = True) -> dict:
    """Return a smooth random image of random size with 0 to 6 blobs, some with two rings."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(20, 150, 2)
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3)).astype(np.uint8)
    img = cv2.resize(coarse, (int(width), int(height)))
    polygons = []
    for _ in range(rng.integers(0, 7)):
        rings = []
        for _ in range(rng.integers(1, 3)):
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 20)))
            spokes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            centre = rng.uniform(0, (width, height))
            rings.append((centre + spokes * rng.uniform(3, 40)).reshape(-1))
        polygons.append(rings)
    boxes = [
        [*np.concatenate(rings).reshape(-1, 2).min(0), *np.concatenate(rings).reshape(-1, 2).max(0)]
        for rings in polygons
    ]
    return make_sample(img, boxes, polygons=polygons if with_masks else None)


def both(affine: dict, with_masks: bool = True, seeds: int = 25, **mosaic):
    """Yield the plain and the joined result of the same samples and random numbers."""
    border = (-SCALE[0] // 2, -SCALE[1] // 2)
    arguments = dict(border=border, min_area_ratio=0.01, max_aspect_ratio=100) | affine
    plain = Mosaic(SCALE, **mosaic), YOLOv5RandomAffine(**arguments)
    joined = MosaicAffine(Mosaic(SCALE, **mosaic), YOLOv5RandomAffine(**arguments))
    for seed in range(seeds):
        makers = [lambda n=n: photo_sample(n, with_masks) for n in range(10 * seed, 10 * seed + 4)]
        results = []
        for steps in (plain, (joined,)):
            np.random.seed(seed)
            sample = dict(makers[0](), dataset=FakeDataset(*makers))
            for step in steps:
                sample = step(sample)
            results.append((sample, np.random.uniform()))
        (expected, after), (result, after_too) = results
        assert after == after_too, 'the same random numbers are drawn'
        yield expected, result


def assert_alike(expected: dict, result: dict) -> None:
    assert result.keys() == expected.keys()
    assert result['img'].dtype == expected['img'].dtype
    assert result['img_shape'] == expected['img_shape'] == result['img'].shape[:2]
    difference = np.abs(result['img'].astype(float) - expected['img'])
    assert difference.max() <= 1 and difference.mean() < 0.01
    np.testing.assert_allclose(
        result['gt_bboxes'].numpy(), expected['gt_bboxes'].numpy(), atol=1e-3
    )
    for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
        np.testing.assert_array_equal(result[key], expected[key])
        assert result[key].dtype == expected[key].dtype


@pytest.mark.parametrize(
    'affine',
    [AXIS_ALIGNED, {}, dict(max_rotate_degree=180.0, max_shear_degree=30.0)],
    ids=['zoom', 'default', 'wild'],
)
def test_masks_boxes_and_pixels_are_those_of_the_two_steps(affine):
    objects = 0
    for expected, result in both(affine):
        assert_alike(expected, result)
        objects += len(expected['gt_masks'])
        assert result['gt_masks'].height == expected['gt_masks'].height
        np.testing.assert_allclose(
            vertices(result['gt_masks']), vertices(expected['gt_masks']), atol=1e-3
        )
        painted = [Polygon2Mask()(sample)['gt_panoptic_seg'] for sample in (expected, result)]
        assert (painted[0] != painted[1]).float().mean() < 0.002
    assert objects > 50, 'enough of them were there to compare'


def test_boxes_without_masks_are_those_of_the_two_steps():
    for expected, result in both({}, with_masks=False):
        assert_alike(expected, result)


@pytest.mark.parametrize(
    'mosaic',
    [
        dict(prob=0.3),
        dict(bbox_clip_border=False),
        dict(pad_val=7),
        dict(pad_val=(1, 2, 3)),
    ],
)
def test_other_settings_of_the_mosaic(mosaic):
    for expected, result in both(AXIS_ALIGNED, seeds=10, **mosaic):
        assert_alike(expected, result)


def test_one_number_for_the_border_is_what_opencv_makes_of_it():
    for expected, result in both(dict(AXIS_ALIGNED, border_val=9), seeds=3):
        assert_alike(expected, result)


def test_the_samples_that_were_mixed_can_be_kept():
    joined = MosaicAffine(dict(img_scale=SCALE), dict(border=(-48, -32)))
    joined.keep_pieces = True
    result = joined(dict(photo_sample(0), dataset=FakeDataset(lambda: photo_sample(1))))
    assert len(result['mix_pieces']) == 4
    np.testing.assert_array_equal(result['mix_pieces'][0]['img'], photo_sample(0)['img'])


def test_grey_images_take_the_two_steps():
    def grey():
        sample = photo_sample(3)
        return dict(sample, img=sample['img'][..., 0].copy())

    joined = MosaicAffine(dict(img_scale=SCALE), dict(border=(-48, -32), border_val=114))
    result = joined(dict(grey(), dataset=FakeDataset(grey)))
    assert result['img'].shape == (64, 96)


@pytest.mark.parametrize(
    'mosaic, affine, said',
    [
        (dict(img_scal=SCALE), {}, 'img_scal'),
        (dict(img_scale=SCALE), dict(borders=(0, 0)), 'borders'),
        (dict(img_scale=SCALE), dict(border=(-96, -64)), 'leaves'),
        (dict(img_scale=(0, 1)), {}, 'img_scale'),
        (None, {}, 'neither a Mosaic'),
    ],
)
def test_wrong_arguments_are_named(mosaic, affine, said):
    with pytest.raises(ConfigError, match=said):
        MosaicAffine(mosaic, affine)
