"""Tests of what is replaced in a pipeline, and what is not."""

import json
from pathlib import Path

import pytest
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope

from mmyolo_lite.datasets import YOLOv5CocoDataset
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
from mmyolo_lite.visualization.stages import run_stages
from tests.datasets.cached_sets import PIPELINE, build, samples, write_set

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
    for apart in ([Mosaic(), YOLOv5CopyPaste()], [OwnMosaic()], [YOLOv5CopyPaste()]):
        steps = [*apart, YOLOv5RandomAffine(**BORDER)]
        assert names(speed_up(steps)) == names(steps)


def test_pipelines_inside_are_sped_up_too():
    chain = [*loading(), Mosaic(pre_transform=loading()), YOLOv5RandomAffine(**BORDER)]
    (mix_up,) = speed_up([YOLOv5MixUp(pre_transform=chain)])
    assert names(mix_up.pre_transform.transforms)[-1] == 'MosaicAffine'
    assert all(source.loader.fit_to == (640, 640) for source in tile_sources([mix_up]))
    assert len(list(tile_sources([mix_up]))) == 2


def test_what_goes_into_a_mosaic_is_loaded_as_tiles_and_parsed_once():
    given = [*loading(), Mosaic((320, 320), pre_transform=loading())]
    loader, annotations, mosaic = speed_up(given)
    partner_loader, partner_annotations = mosaic.pre_transform.transforms
    assert loader.fit_to == partner_loader.fit_to == (320, 320)
    assert annotations.remembers and partner_annotations.remembers
    assert given[0].fit_to is None and not given[1].remembers, 'what was given stays as it is'
    assert given[2].pre_transform.transforms[0].fit_to is None


def test_tiles_out_of_sight_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_set(tmp_path)
    read: list[str] = []
    content, load = LoadImageFromFile._content, LoadImageFromFile._load
    monkeypatch.setattr(
        LoadImageFromFile, '_content', lambda self, path: read.append(path) or content(self, path)
    )
    monkeypatch.setattr(
        LoadImageFromFile,
        '_load',
        lambda self, results: read.append(results['img_path']) or load(self, results),
    )
    zoomed = [
        {**step, 'scaling_ratio_range': (4.0, 4.0)} if 'scaling_ratio_range' in step else step
        for step in PIPELINE
    ]
    plain = samples(build(tmp_path, pipeline=zoomed, fast_pipeline=False))
    decoded_by_plain = len(read)
    read.clear()
    fast = samples(build(tmp_path, pipeline=zoomed))
    assert 0 < len(read) < 0.8 * decoded_by_plain
    for one, other in zip(plain[::4], fast[::4], strict=True):
        assert (one.int() - other.int()).abs().max() <= 1


def test_pieces_that_a_mosaic_hands_on_are_decoded(tmp_path: Path):
    dataset = build(write_set(tmp_path))
    info = {**dataset.get_data_info(0), 'dataset': dataset}
    stages = run_stages(dataset.pipeline.transforms, info)
    pieces = next(stage.pieces for stage in stages if stage.pieces)
    assert len(pieces) == 4 and all(piece['img'].ndim == 3 for piece in pieces)


def test_annotations_parsed_in_two_steps_are_not_remembered():
    boxes, masks = LoadAnnotations(with_bbox=True), LoadAnnotations(with_bbox=True, with_mask=True)
    steps = speed_up([LoadImageFromFile(), boxes, masks, Mosaic()])
    assert steps[0].fit_to is None and not (steps[1].remembers or steps[2].remembers)


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
    loader, annotations, *_ = fast = speed_up([*steps, mosaic])
    assert list(tile_sources(fast)) == []
    assert loader.fit_to is None and not annotations.remembers


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
    (fast,) = speed_up([albu])
    assert fast.skips_idle and not getattr(albu, 'skips_idle', False)


@pytest.mark.parametrize('filters', [dict(min_area=900), dict(min_visibility=0.1), dict(clip=True)])
def test_albumentations_that_filter_boxes_are_always_called(filters):
    pytest.importorskip('albumentations')
    params = dict(type='BboxParams', format='pascal_voc', label_fields=['gt_bboxes_labels'])
    albu = dict(
        type='mmdet.Albu',
        transforms=[dict(type='Blur', p=0.01)],
        bbox_params=params | filters,
        keymap={'img': 'image', 'gt_bboxes': 'bboxes'},
    )
    assert not speed_up([TRANSFORMS.build(albu)])[0].skips_idle
    albu['bbox_params'] = params
    assert speed_up([TRANSFORMS.build(albu)])[0].skips_idle
    assert not speed_up([TRANSFORMS.build(albu | dict(skip_img_without_anno=True))])[0].skips_idle


def test_joined_steps_stay_joined():
    assert names(speed_up([MosaicAffine(dict(), BORDER)])) == ['MosaicAffine']


class Indices:
    """Notes which images a mosaic asks a dataset for."""

    def __init__(self, dataset) -> None:
        self.asked: set[str] = set()
        original = dataset.get_data_info

        def noted(index):
            info = original(index)
            self.asked.add(Path(info['img_path']).name)
            return info

        dataset.get_data_info = noted


def test_subsets_mix_their_own_images_alone(tmp_path):
    dataset = build(write_set(tmp_path))
    samples(dataset)
    for kept in ([0, 1], [2, 3, 4]):
        subset, plain = (
            build(tmp_path, **options).get_subset(kept)
            for options in ({}, dict(fast_pipeline=False))
        )
        seen = Indices(subset)
        assert_close(samples(subset), samples(plain))
        assert seen.asked == {f'{number}.png' for number in kept}
    first, second = dataset.get_subset([0, 1]), dataset.get_subset([2, 3, 4])
    samples(first)
    again = build(tmp_path, fast_pipeline=False).get_subset([2, 3, 4])
    assert_close(samples(second), samples(again))


def test_copies_remember_nothing_of_those_before(tmp_path):
    (remembered,) = BaseDataset._copy_without_annotation.__defaults__
    before = len(remembered)
    build(write_set(tmp_path)).get_subset([0, 1])
    assert len(remembered) == before


def test_datasets_may_share_built_steps(tmp_path):
    steps = [TRANSFORMS.build(step) for step in PIPELINE]
    folders = [tmp_path / name for name in 'ab']
    for folder in folders:
        folder.mkdir()
        write_set(folder)
    content = json.loads((folders[1] / 'ann.json').read_text())
    for annotation in content['annotations']:
        annotation['segmentation'] = [[0, 0, 9, 0, 9, 9, 0, 9]]
    (folders[1] / 'ann.json').write_text(json.dumps(content))
    shared = [build(folder, pipeline=steps) for folder in folders]
    found = [samples(dataset) for dataset in shared]
    for folder, tensors in zip(folders, found, strict=True):
        assert_close(tensors, samples(build(folder, fast_pipeline=False)))


def assert_close(found, expected) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        difference = (one.float() - other.float()).abs()
        assert not len(difference.flatten()) or difference.float().mean() < 0.05


class Bare(YOLOv5CocoDataset):
    """A user's, which tells no sizes and no ids."""

    def load_data_list(self):
        infos = super().load_data_list()
        for info in infos:
            del info['img_id'], info['width'], info['height']
        return infos

    def filter_data(self):
        return self.data_list


def test_datasets_without_sizes_or_ids_load_as_before(tmp_path):
    write_set(tmp_path)
    pack = dict(type='mmyolo_lite.PackDetInputs', meta_keys=('img_path',))
    options = dict(
        data_root=str(tmp_path),
        ann_file='ann.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=('a',)),
        pipeline=[*PIPELINE[:-1], pack],
    )
    plain = samples(Bare(fast_pipeline=False, **options))
    assert_close(samples(Bare(**options)), plain)
