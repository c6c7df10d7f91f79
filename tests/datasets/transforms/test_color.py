"""Tests of YOLOv5HSVRandomAug."""

import cv2
import numpy as np
import pytest

from mmyolo_lite.datasets.transforms.color import YOLOv5HSVRandomAug, scale_hsv
from tests.shared_data import golden


def test_colours_match_the_fixture():
    archive = golden('data_mix.npz')
    for gains, expected in zip(archive['hsv_gains'], archive['hsv_out'], strict=True):
        np.testing.assert_array_equal(scale_hsv(archive['hsv_in'], gains), expected)


def test_value_gain_darkens_and_saturation_zero_is_grey():
    img = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    assert scale_hsv(img, np.array([1, 1, 0.5])).max() <= 128
    grey = scale_hsv(img, np.array([1, 0, 1]))
    np.testing.assert_array_equal(grey[..., 0], img.max(axis=2))
    assert (np.ptp(grey, axis=2) == 0).all()


def test_three_uniforms_set_the_gains():
    img = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    before = img.copy()
    np.random.seed(4)
    results = YOLOv5HSVRandomAug(0.1, 0.2, 0.3)(dict(img=img))
    np.random.seed(4)
    gains = np.random.uniform(-1, 1, 3) * [0.1, 0.2, 0.3] + 1
    np.testing.assert_array_equal(results['img'], scale_hsv(img, gains))
    np.testing.assert_array_equal(img, before)
    assert results['img'].dtype == np.uint8


def test_rows_are_independent_of_each_other():
    img = np.random.default_rng(0).integers(0, 256, (150, 8, 3)).astype(np.uint8)
    gains = np.array([1.01, 1.4, 0.8])
    by_row = np.concatenate([scale_hsv(row[None], gains) for row in img])
    np.testing.assert_array_equal(scale_hsv(img, gains), by_row)


@pytest.mark.parametrize('seed', range(20))
def test_levels_are_those_of_a_table(seed):
    rng = np.random.default_rng(seed)
    img = rng.integers(0, 256, (*rng.integers(1, 70, 2), 3), dtype=np.uint8)
    gains = rng.uniform(-1, 1, 3) * [0.015, 0.7, 0.4] + 1
    # whole products are where rounding could go wrong
    for choice in (gains, gains.round(1), np.array([1.0, 0.5, 2.0])):
        levels = np.arange(256) * choice[:, None]
        tables = [levels[0] % 180, *levels[1:].clip(0, 255)]
        channels = cv2.split(cv2.cvtColor(img, cv2.COLOR_BGR2HSV))
        looked_up = [table.astype(np.uint8)[c] for table, c in zip(tables, channels, strict=True)]
        expected = cv2.cvtColor(cv2.merge(looked_up), cv2.COLOR_HSV2BGR)
        np.testing.assert_array_equal(scale_hsv(img, choice), expected)
