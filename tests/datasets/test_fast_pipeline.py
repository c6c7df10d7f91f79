"""Tests of what is replaced in a pipeline, and what is not."""

import pytest
from mmengine.registry import init_default_scope

from mmyolo_lite.datasets.fast_pipeline import speed_up, tile_sources
from mmyolo_lite.datasets.transforms import (
    LoadAnnotations,
    LoadImageFromFile,
    Mosaic,
    MosaicAffine,
    YOLOv5CopyPaste,
    YOLOv5MixUp,
    YOLOv5RandomAffine,
)
from mmyolo_lite.registry import TRANSFORMS

BORDER = dict(border=(-320, -320))


class OwnMosaic(Mosaic):
    """A user's."""


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmyolo_lite')


def loading(**options) -> list:
    return [LoadImageFromFile(**options), LoadAnnotations(with_bbox=True, with_mask=True)]


def names(steps) -> list[str]:
    return [type(step).__name__ for step in steps]


def test_mosaic_and_affine_are_joined_where_they_are_neighbours():
    steps = speed_up([*loading(), Mosaic(), YOLOv5RandomAffine(**BORDER)])
    assert names(steps) == ['LoadImageFromFile', 'LoadAnnotations', 'MosaicAffine']
    apart = [Mosaic(), YOLOv5CopyPaste(), YOLOv5RandomAffine(**BORDER)]
    assert speed_up(apart) == apart
    own = [OwnMosaic(), YOLOv5RandomAffine(**BORDER)]
    assert speed_up(own) == own


def test_pipelines_inside_are_sped_up_too():
    chain = [*loading(), Mosaic(pre_transform=loading()), YOLOv5RandomAffine(**BORDER)]
    (mix_up,) = speed_up([YOLOv5MixUp(pre_transform=chain)])
    assert names(mix_up.pre_transform.transforms)[-1] == 'MosaicAffine'
    assert all(source.loader.fit_to == (640, 640) for source in tile_sources([mix_up]))
    assert len(list(tile_sources([mix_up]))) == 2


def test_what_goes_into_a_mosaic_is_loaded_as_tiles_and_parsed_once():
    first, inner = loading(), loading()
    *_, mosaic = speed_up([*first, Mosaic((320, 320), pre_transform=inner)])
    assert first[0].fit_to == inner[0].fit_to == (320, 320)
    assert first[1].remembers and not inner[1].remembers, 'the mosaic remembers its partners itself'
    assert mosaic.remembers


@pytest.mark.parametrize(
    'between',
    [
        dict(type='mmdet.RandomFlip', prob=0.5),
        dict(type='mmdet.Resize', scale=(100, 100)),
        dict(type='RemoveDataElement', keys='x'),
    ],
)
def test_a_step_between_sees_the_image_as_it_is(between):
    steps = [*loading(), TRANSFORMS.build(between)]
    mosaic = Mosaic(pre_transform=[*loading(), TRANSFORMS.build(between)])
    *_, mosaic = speed_up([*steps, mosaic])
    assert list(tile_sources([*steps, mosaic])) == []
    assert steps[0].fit_to is None and not steps[1].remembers and not mosaic.remembers


@pytest.mark.parametrize(
    'options', [dict(to_float32=True), dict(color_type='grayscale'), dict(ignore_empty=True)]
)
def test_unusual_loaders_stay_plain(options):
    steps = speed_up([*loading(**options), Mosaic()])
    assert steps[0].fit_to is None


def test_albumentations_are_called_when_a_member_fires():
    pytest.importorskip('albumentations')
    albu = TRANSFORMS.build(
        dict(type='mmdet.Albu', transforms=[dict(type='ToGray', p=0.5)], keymap={'img': 'image'})
    )
    assert not getattr(albu, 'skips_idle', False)
    assert speed_up([albu]) == [albu] and albu.skips_idle


def test_joined_steps_are_left_alone():
    joined = MosaicAffine(dict(), BORDER)
    assert speed_up([joined]) == [joined]
