"""Tiles cover an image, and what was cut comes back whole."""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmyolo_lite.apis.media import Source
from mmyolo_lite.apis.prediction import PredictedMasks, Prediction
from mmyolo_lite.apis.tiles import TileSettings, merge_tiles, predict_tiles, tile_boxes
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops.mask_crops import MaskCrop, place_mask
from mmyolo_lite.ops.run_length_masks import RunLengthMasks

COLORS = {30: 0, 60: 0, 90: 0, 120: 1, 150: 1}
"""Red of each object of a painted scene, and its label; 0 is the ground."""


class PerfectDetector:
    """Finds every object of a painted scene, as much of it as it sees.

    Args:
        masks: predict them too.
    """

    def __init__(self, masks: bool = True) -> None:
        self.masks = masks

    def __call__(self, sources: Iterable[Source]) -> Iterator[Prediction]:
        for source in sources:
            yield self.look(source.image)

    def look(self, image: np.ndarray) -> Prediction:
        size_hw = image.shape[:2]
        seen = [(value, image[:, :, 2] == value) for value in COLORS]
        seen = [(value, mask) for value, mask in seen if mask.any()]
        runs = [place_mask(MaskCrop(0, 0, mask), size_hw) for _, mask in seen]
        boxes = [box_of(mask) for _, mask in seen]
        return Prediction(
            boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
            scores=np.array([value / 200 for value, _ in seen], dtype=np.float32),
            labels=np.array([COLORS[value] for value, _ in seen], dtype=np.int64),
            class_names=('cat', 'dog'),
            shape=size_hw,
            masks=PredictedMasks(RunLengthMasks(runs, size_hw)) if self.masks else None,
        )


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def scene() -> np.ndarray:
    """A worm over many tiles, discs of its class beside it and on tile borders, other classes."""
    image = np.zeros((230, 410, 3), dtype=np.uint8)
    x = np.arange(10, 400)
    worm = np.stack([x, 110 + 80 * np.sin(x / 40)], axis=1).round().astype(np.int32)
    cv2.polylines(image, [worm], False, (0, 0, 30), 9)
    cv2.circle(image, (96, 64), 20, (0, 0, 60), -1)
    cv2.circle(image, (395, 220), 25, (0, 0, 90), -1)
    cv2.circle(image, (150, 120), 14, (0, 0, 120), -1)
    cv2.rectangle(image, (180, 5), (330, 30), (0, 0, 150), -1)
    return image


def merged(image: np.ndarray, detector, **options) -> Prediction:
    settings_ = TileSettings(patch_size=96, **options)
    found = predict_tiles(Source('', 'a.jpg'), image, detector, settings_)
    return merge_tiles(found, image.shape[:2], settings_)


def test_a_perfect_detector_sees_the_image_as_if_whole():
    image = scene()
    found, whole = merged(image, PerfectDetector()), PerfectDetector().look(image)
    whole = whole.select(np.argsort(-whole.scores))
    assert found.shape == image.shape[:2] and len(found) == len(COLORS)
    np.testing.assert_array_equal(found.scores, whole.scores)
    np.testing.assert_array_equal(found.labels, whole.labels)
    np.testing.assert_array_equal(found.boxes, whole.boxes)
    assert found.masks.runs == whole.masks.runs


def test_the_image_has_more_than_a_tile():
    assert len(tile_boxes((230, 410), TileSettings(patch_size=96))) == 3 * 6


def test_boxes_alone_are_united_too():
    image = np.zeros((100, 300, 3), dtype=np.uint8)
    cv2.rectangle(image, (40, 40), (250, 60), (0, 0, 30), -1)
    cv2.rectangle(image, (100, 70), (130, 90), (0, 0, 60), -1)
    found = merged(image, PerfectDetector(masks=False))
    assert found.masks is None
    assert found.boxes.tolist() == [[100, 70, 131, 91], [40, 40, 251, 61]]


def test_suppression_keeps_the_better_one_as_it_is():
    image = np.zeros((96, 168, 3), dtype=np.uint8)
    cv2.circle(image, (84, 48), 10, (0, 0, 30), -1)
    found = merged(image, PerfectDetector(), merge_type='nms')
    assert found.boxes.tolist() == [[74, 38, 95, 59]]
    image = np.zeros((96, 168, 3), dtype=np.uint8)
    cv2.rectangle(image, (10, 40), (150, 60), (0, 0, 30), -1)
    found = merged(image, PerfectDetector(), merge_type='nms', merge_thr=0.5)
    assert len(found) == 2, 'a cut object stays cut'


def test_neighbours_of_a_class_in_one_overlap_stay_apart():
    image = np.zeros((96, 168, 3), dtype=np.uint8)
    image[30:60, 60:84, 2] = 30
    image[30:60, 84:110, 2] = 60
    found = merged(image, PerfectDetector())
    assert sorted(found.boxes.tolist()) == [[60, 30, 84, 60], [84, 30, 110, 60]]


def test_classes_are_not_mixed():
    one = PerfectDetector().look(np.full((96, 96, 3), 30, dtype=np.uint8))
    other = PerfectDetector().look(np.full((96, 96, 3), 120, dtype=np.uint8))
    tiles = [((0, 0, 96, 96), one), ((72, 0, 168, 96), other)]
    assert len(merge_tiles(tiles, (96, 168), TileSettings(patch_size=96))) == 2


@pytest.mark.parametrize('masks', [True, False])
@pytest.mark.parametrize('merge_type', ['union', 'nms'])
def test_nothing_found(masks, merge_type):
    found = merged(np.zeros((200, 200, 3), np.uint8), PerfectDetector(masks), merge_type=merge_type)
    assert len(found) == 0 and found.boxes.shape == (0, 4)
    assert (found.masks is not None) == masks
    if masks:
        assert found.masks.shape == (0, 200, 200)


def test_an_image_smaller_than_a_tile_is_one():
    image = scene()[:50, :90]
    found, whole = merged(image, PerfectDetector()), PerfectDetector().look(image)
    assert len(found) == len(whole) and set(found.scores) == set(whole.scores)


@settings(deadline=None, max_examples=200)
@given(
    st.tuples(st.integers(1, 900), st.integers(1, 900)),
    st.integers(32, 200),
    st.floats(0, 0.9),
)
def test_tiles_cover_the_image(size_hw, patch_size, ratio):
    given_settings = TileSettings(patch_size, ratio)
    try:
        tiles = tile_boxes(size_hw, given_settings)
    except ConfigError:
        assert ratio > 0.8, 'far more tiles than pixels of a side'
        return
    covered = np.zeros(size_hw, dtype=bool)
    for x1, y1, x2, y2 in tiles:
        assert 0 <= x1 < x2 <= size_hw[1] and 0 <= y1 < y2 <= size_hw[0]
        assert (x2 - x1, y2 - y1) == (min(patch_size, size_hw[1]), min(patch_size, size_hw[0]))
        covered[y1:y2, x1:x2] = True
    assert covered.all()
    lefts = sorted({tile[0] for tile in tiles})
    for left, right in zip(lefts, lefts[1:], strict=False):
        assert right < left + patch_size or ratio == 0 or round(patch_size * ratio) == 0
        assert left + patch_size - right >= round(patch_size * ratio)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(patch_size=31), '31; give 32'),
        (dict(overlap_ratio=0.95), r'0\.95'),
        (dict(overlap_ratio=-0.1), r'-0\.1'),
        (dict(overlap_ratio=float('nan')), 'nan'),
        (dict(merge_thr=1.5), r'1\.5'),
        (dict(merge_type='soft_nms'), "'soft_nms'.*union, nms"),
    ],
)
def test_impossible_settings(options, words):
    with pytest.raises(ConfigError, match=words):
        TileSettings(**options)


def test_too_many_tiles():
    with pytest.raises(ConfigError, match='take larger ones'):
        tile_boxes((10_000, 10_000), TileSettings(patch_size=32))
