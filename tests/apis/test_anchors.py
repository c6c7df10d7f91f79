"""Anchors fitted to the data of a config, and the config that comes out of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmyolo_lite.apis.anchors import (
    AnchorOptions,
    config_anchors,
    optimize_anchors,
    write_anchor_config,
)
from mmyolo_lite.engine.checks import check_config
from mmyolo_lite.engine.config import load_config
from mmyolo_lite.errors import ConfigError, DataError
from tests.shared_data import REPO

BASE = REPO / 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_150e_balloon_instance.py'


def write_boxes(folder: Path, boxes: list[tuple[float, float]]) -> Path:
    """Write a set of one image a box, 100 x 200 pixels, and a config for it."""
    images = [
        dict(id=number, file_name=f'{number}.jpg', width=100, height=200)
        for number in range(1, len(boxes) + 1)
    ]
    annotations = [
        dict(id=n, image_id=n, category_id=1, bbox=[0, 0, *box], area=box[0] * box[1], iscrowd=0)
        for n, box in enumerate(boxes, 1)
    ]
    categories = [dict(id=1, name='reed')]
    content = dict(images=images, annotations=annotations, categories=categories)
    (folder / 'reeds.json').write_text(json.dumps(content))
    config = folder / 'reeds.py'
    config.write_text(
        f"""_base_ = {str(BASE)!r}
coco_data = dict(
    data_root={str(folder)!r}, train_ann_file='reeds.json', val_ann_file='reeds.json')
"""
    )
    return config


@pytest.fixture
def reeds(tmp_path: Path) -> Path:
    """Narrow boxes, which the default anchors serve badly."""
    rng = np.random.default_rng(0)
    sizes = np.stack([rng.uniform(2, 6, 60), rng.uniform(60, 190, 60)], axis=1)
    return write_boxes(tmp_path, sizes.round(1).tolist())


@pytest.mark.parametrize('algorithm', ['v5-k-means', 'k-means', 'DE'])
def test_fitted_anchors_beat_the_defaults_and_train(algorithm: str, reeds: Path) -> None:
    fit = optimize_anchors(load_config(reeds), AnchorOptions(algorithm, iters=30))
    assert fit.num_boxes == 60 and fit.input_wh == (320, 320)
    assert fit.quality_after.fitness > fit.quality_before.fitness
    assert fit.quality_after.recall > fit.quality_before.recall
    assert [len(level) for level in fit.after] == [3, 3, 3]
    path = write_anchor_config(fit, reeds, reeds.parent / 'out')
    config = load_config(path)
    check_config(config)
    assert config_anchors(config) == fit.after
    assert config.train_dataloader == load_config(reeds).train_dataloader
    written = json.loads((reeds.parent / 'out/anchor_optimize_result.json').read_text())
    assert written == [[list(size) for size in level] for level in fit.after]
    text = '\n'.join(fit.lines())
    assert f'base_sizes={fit.after}' in text and 'keep the current' not in text
    with pytest.raises(DataError, match='--overwrite'):
        write_anchor_config(fit, reeds, reeds.parent / 'out')


def test_the_seed_decides(reeds: Path) -> None:
    config = load_config(reeds)
    first, again = (optimize_anchors(config, AnchorOptions(seed=3, iters=20)) for _ in range(2))
    assert first.after == again.after


def test_good_anchors_may_stay(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    config = write_boxes(tmp_path, rng.uniform(20, 90, (50, 2)).tolist())
    lines = optimize_anchors(load_config(config), AnchorOptions(iters=5)).lines()
    assert any('above 0.98 already' in line for line in lines)


def test_too_few_different_boxes(tmp_path: Path) -> None:
    config = write_boxes(tmp_path, [(30, 40)] * 20)
    with pytest.raises(DataError, match='20 boxes, fewer than 9 different.*Keep the current'):
        optimize_anchors(load_config(config))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (AnchorOptions('kmeans'), "'kmeans' is unknown; there are v5-k-means"),
        (AnchorOptions(input_wh=(0, 320)), r'Input sides \(\(0, 320\)\)'),
        (AnchorOptions(iters=-1), r'iters \(-1\)'),
        (AnchorOptions(match_thr=1.0), r'prior_match_thr \(1.0\)'),
        (AnchorOptions(mutation=(0.0, 0.1)), 'mutation is'),
    ],
)
def test_impossible_options(options: AnchorOptions, words: str, reeds: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        optimize_anchors(load_config(reeds), options)


@pytest.mark.parametrize(
    ('generator', 'words'),
    [
        (dict(type='mmdet.MlvlPointGenerator'), 'MlvlPointGenerator'),
        (dict(type='mmdet.YOLOAnchorGenerator', base_sizes=[(10, 13), (16, 30)]), 'list of levels'),
        (dict(type='mmdet.YOLOAnchorGenerator', base_sizes=[[], []]), 'has no anchors'),
        (dict(type='mmdet.YOLOAnchorGenerator'), 'base_sizes is None'),
    ],
)
def test_heads_without_yolo_anchors(generator: dict, words: str) -> None:
    config = Config(dict(model=dict(bbox_head=dict(prior_generator=generator))))
    with pytest.raises(ConfigError, match=words):
        config_anchors(config)
