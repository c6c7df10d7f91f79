"""Tests of the affine matrix, the box transform and the box filter."""

import json

import cv2
import numpy as np
import pytest

from mmyolo_lite.ops.affine import (
    affine_matrix,
    fit_inside,
    keep_boxes,
    seen_window,
    transform_boxes,
    warp_image,
)
from tests.shared_data import golden


def test_matrix_matches_the_fixture():
    archive = golden('data_affine.npz')
    for case in json.loads(str(archive['cases_json'])):
        key = case['key']
        height, width = archive[f'{key}_in'].shape[:2]
        out_height, out_width = archive[f'{key}_out'].shape[:2]
        rotation, scale, shear_x, shear_y, x, y = archive[f'{key}_draws']
        matrix = affine_matrix(
            rotation, scale, (shear_x, shear_y), (x * out_width, y * out_height), (width, height)
        )
        assert matrix.dtype == np.float32
        np.testing.assert_allclose(matrix, archive[f'{key}_matrix'], atol=1e-4)


def test_centre_lands_on_the_translation():
    matrix = affine_matrix(33.0, 0.7, (5.0, -3.0), (12.0, 34.0), (100, 60))
    np.testing.assert_allclose(matrix @ [50, 30, 1], [12, 34, 1], atol=1e-4)
    assert matrix[2].tolist() == [0, 0, 1]


def test_rotation_and_scale_set_the_determinant():
    matrix = affine_matrix(33.0, 0.7, (0.0, 0.0), (0.0, 0.0), (100, 60))
    assert np.linalg.det(matrix) == pytest.approx(0.49, abs=1e-5)


def test_neutral_draws_change_nothing():
    boxes = np.array([[1, 2, 30, 40], [0, 0, 0, 0]], dtype=np.float32)
    matrix = affine_matrix(0, 1, (0, 0), (50, 30), (100, 60))
    np.testing.assert_array_equal(transform_boxes(boxes, matrix), boxes)


def test_box_transform_bounds_the_corners():
    matrix = affine_matrix(90, 1, (0, 0), (0, 0), (0, 0))
    moved = transform_boxes(np.array([[1, 2, 5, 4]]), matrix)
    np.testing.assert_allclose(moved, [[-4, 1, -2, 5]], atol=1e-5)
    assert transform_boxes(np.zeros((0, 4)), matrix).shape == (0, 4)


def test_inverse_undoes_a_zoom():
    boxes = np.array([[10, 20, 30, 50]], dtype=np.float32)
    matrix = affine_matrix(0, 1.7, (0, 0), (7, 9), (64, 64))
    np.testing.assert_allclose(
        transform_boxes(transform_boxes(boxes, matrix), np.linalg.inv(matrix)), boxes, atol=1e-3
    )


def test_filter_matches_the_fixture():
    archive = golden('data_affine.npz')
    for thresholds, expected in zip(
        archive['filter_thresholds'], archive['filter_keep'], strict=True
    ):
        keep = keep_boxes(archive['filter_before'], archive['filter_after'], *thresholds)
        np.testing.assert_array_equal(keep, expected)


@pytest.mark.parametrize(
    'after, kept',
    [
        ([0, 0, 10, 10], True),
        ([0, 0, 2, 10], False),  # not wider than the least size
        ([0, 0, 2.5, 4], False),  # a tenth of the area is not more than a tenth
        ([0, 0, 80, 4], False),  # twenty times as wide as high
        ([0, 0, 79, 4], True),
        ([0, 0, 0, 0], False),
    ],
)
def test_filter_is_strict(after, kept):
    before = np.array([[0, 0, 10, 10]], dtype=np.float32)
    assert keep_boxes(before, np.array([after], dtype=np.float32), 2, 0.1, 20).tolist() == [kept]


def random_matrices(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        affine_matrix(
            rng.uniform(-180, 180) * (index % 2),
            rng.uniform(0.3, 2),
            tuple(rng.uniform(-20, 20, 2) * (index % 2)),
            tuple(rng.uniform(-50, 150, 2)),
            (120, 90),
        )
        for index in range(count)
    ]


def assert_alike(warped, expected):
    """Require equal pixels; OpenCV 4 rounds places to 1/32 of a pixel another way now and then."""
    if int(cv2.__version__.split('.')[0]) >= 5:
        np.testing.assert_array_equal(warped, expected)
    off = np.abs(warped.astype(int) - expected)
    assert off.max() <= 9 and (off > 0).mean() < 1e-2


def test_warped_pixels_are_those_of_opencv():
    img = cv2.resize(
        np.random.default_rng(1).integers(0, 256, (12, 15, 3)).astype(np.uint8), (120, 90)
    )
    for matrix in random_matrices(20):
        expected = cv2.warpPerspective(img, matrix, (100, 70), borderValue=(1, 2, 3))
        one = cv2.warpPerspective(img, matrix, (100, 70), borderValue=9)
        assert_alike(warp_image(img, matrix, (100, 70), 9), one)
        warped = warp_image(img, matrix, (100, 70), (1, 2, 3))
        assert_alike(warped, expected)
        with_unused_channel = np.dstack([img, img[..., :1]])
        warped = warp_image(with_unused_channel, matrix, (100, 70), (1, 2, 3))
        assert_alike(warped, expected)
        assert warped.shape == (70, 100, 3) and warped.flags.c_contiguous


def test_nothing_outside_the_seen_window_is_read():
    rng = np.random.default_rng(2)
    smaller = 0
    for matrix in random_matrices(40):
        img = rng.integers(0, 256, (90, 120, 3)).astype(np.uint8)
        left, top, right, bottom = seen_window(matrix, (60, 40), (120, 90))
        assert 0 <= left < right <= 120 and 0 <= top < bottom <= 90
        other = rng.integers(0, 256, img.shape).astype(np.uint8)
        other[top:bottom, left:right] = img[top:bottom, left:right]
        warps = [cv2.warpPerspective(each, matrix, (60, 40)) for each in (img, other)]
        np.testing.assert_array_equal(*warps)
        smaller += (right - left) * (bottom - top) < img.shape[0] * img.shape[1]
    assert smaller > 20, 'and often it is smaller than the image'


@pytest.mark.parametrize(
    'image_wh, ratio, tile_wh',
    [((1280, 960), 0.5, (640, 480)), ((100, 400), 1.6, (160, 640)), ((3000, 1), 0.2133, (640, 1))],
)
def test_fit_inside(image_wh, ratio, tile_wh):
    found = fit_inside(image_wh, (640, 640))
    assert found[0] == pytest.approx(ratio, abs=1e-4)
    assert found[1] == tile_wh
