"""The embedded sample set: the same bytes for the same seed, polygons that are the visible
outlines.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmyolo_lite.datasets.converters.via import convert_via_splits
from mmyolo_lite.datasets.sample import (
    MIN_VISIBLE,
    compose_scene,
    make_picture,
    make_sample_dataset,
    mask_to_polygon,
)
from mmyolo_lite.errors import DataError


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def fill(polygon: np.ndarray, shape_hw: tuple[int, int]) -> np.ndarray:
    return cv2.fillPoly(np.zeros(shape_hw, np.uint8), [polygon.astype(np.int32)], 1).astype(bool)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


@pytest.fixture(scope='module')
def sample(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('sample')
    make_sample_dataset(root, 4, 2, 240, seed=3)
    return root


def test_same_seed_same_bytes(sample, tmp_path):
    make_sample_dataset(tmp_path, 4, 2, 240, seed=3)
    assert contents(tmp_path) == contents(sample)


def test_another_seed_and_the_other_split_differ(sample, tmp_path):
    make_sample_dataset(tmp_path, 4, 2, 240, seed=4)
    ours, theirs = contents(tmp_path), contents(sample)
    pictures = [
        data for files in (ours, theirs) for name, data in files.items() if name.endswith('.jpg')
    ]
    assert len(pictures) == len(set(pictures)) == 12


def test_a_larger_set_begins_with_the_smaller(sample, tmp_path):
    make_sample_dataset(tmp_path, 5, 3, 240, seed=3)
    small, large = contents(sample), contents(tmp_path)
    pictures = {name for name in small if name.endswith('.jpg')}
    assert all(small[name] == large[name] for name in pictures)
    assert len(large) == len(small) + 2


def test_layout_is_that_of_the_balloon_set(sample):
    entries = json.loads((sample / 'train' / 'via_region_data.json').read_text())
    assert len(entries) == 4
    for key, entry in entries.items():
        path = sample / 'train' / entry['filename']
        assert key == f'{entry["filename"]}{path.stat().st_size}'
        assert entry['size'] == path.stat().st_size
        assert list(entry['regions']) == [str(number) for number in range(len(entry['regions']))]
        assert len(entry['regions']) >= 1


def test_it_converts_with_the_tool_for_real_data(sample, tmp_path):
    reports = convert_via_splits(sample, out_dir=tmp_path)
    assert {split: report.images for split, report in reports.items()} == {'train': 4, 'val': 2}
    assert not reports['train'].skipped and not reports['train'].notes


@pytest.mark.parametrize('seed', range(8))
def test_polygons_are_the_visible_outlines(seed):
    scene = compose_scene(np.random.default_rng(seed), (300, 240))
    _, polygons = make_picture(np.random.default_rng(seed), (300, 240))
    assert len(polygons) == len(scene.full_areas) >= 1
    filled = [fill(polygon, (240, 300)) for polygon in polygons]
    for number, (mask, full_area) in enumerate(zip(filled, scene.full_areas, strict=True), start=1):
        visible = scene.owner == number
        assert iou(mask, visible) > 0.98
        assert visible.sum() >= MIN_VISIBLE * full_area
    for index, mask in enumerate(filled):
        assert not any(iou(mask, other) > 0.05 for other in filled[:index])


def test_balloons_overlap_in_some_pictures():
    """Somewhere a polygon is clearly smaller than its balloon: covered, or cut by the border."""
    scenes = [compose_scene(np.random.default_rng(seed), (240, 240)) for seed in range(8)]
    shares = [
        (scene.owner == number + 1).sum() / area
        for scene in scenes
        for number, area in enumerate(scene.full_areas)
    ]
    assert min(shares) < 0.8 < max(shares)


def test_pictures_look_like_photos():
    image, _ = make_picture(np.random.default_rng(0), (160, 120))
    assert image.shape == (120, 160, 3) and image.dtype == np.uint8
    assert image.std() > 15
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 2000


def test_mask_to_polygon():
    disc = fill(cv2.ellipse2Poly((50, 50), (30, 20), 0, 0, 360, 3), (100, 100))
    assert iou(fill(mask_to_polygon(disc), disc.shape), disc) > 0.98
    parted, holed = disc.copy(), disc.copy()
    parted[:, 40:50] = False
    holed[45:55, 45:55] = False
    assert mask_to_polygon(parted) is None
    assert mask_to_polygon(holed) is None
    assert mask_to_polygon(np.zeros((9, 9), bool)) is None


def test_overwriting_only_an_earlier_sample(tmp_path):
    make_sample_dataset(tmp_path, 2, 1, 64)
    before = contents(tmp_path)
    with pytest.raises(DataError, match='--overwrite'):
        make_sample_dataset(tmp_path, 1, 1, 64)
    assert contents(tmp_path) == before
    make_sample_dataset(tmp_path, 1, 1, 64, overwrite=True)
    assert len(contents(tmp_path)) == len(before) - 1
    (tmp_path / 'val' / 'holiday.jpg').write_bytes(b'mine')
    before = contents(tmp_path)
    with pytest.raises(DataError, match=r"'holiday\.jpg'.*--out-dir"):
        make_sample_dataset(tmp_path, 1, 1, 64, overwrite=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    'bad', [dict(num_train=0), dict(num_val=-1), dict(long_side=10), dict(seed=-1)]
)
def test_numbers_out_of_range(tmp_path, bad):
    with pytest.raises(DataError):
        make_sample_dataset(tmp_path, **bad)
