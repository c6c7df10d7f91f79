"""Batch shapes of validation sets."""

import json

import numpy as np
import pytest

from mmyolo_lite.datasets import BatchShapePolicy
from mmyolo_lite.errors import ConfigError, DataError
from tests.shared_data import golden


def images(*sizes_wh):
    return [
        dict(img_id=i, width=width, height=height) for i, (width, height) in enumerate(sizes_wh)
    ]


def test_recorded_orders_and_shapes_are_reproduced():
    data = golden('data_batch_shape.npz')
    for i, args in enumerate(json.loads(str(data['cases_json']))):
        ordered = BatchShapePolicy(**args)(images(*data[f'c{i}_wh'].tolist()))
        assert [info['img_id'] for info in ordered] == data[f'c{i}_order'].tolist()
        np.testing.assert_array_equal(
            [info['batch_shape'] for info in ordered], data[f'c{i}_batch_shape']
        )


@pytest.mark.parametrize(
    'size_wh, expected_hw',
    [((640, 480), (512, 672)), ((480, 640), (672, 512)), ((500, 500), (672, 672))],
)
def test_one_image_a_batch(size_wh, expected_hw):
    (info,) = BatchShapePolicy(batch_size=1)(images(size_wh))
    assert tuple(info['batch_shape']) == expected_hw and info['batch_shape'].dtype == np.int64


def test_images_of_equal_ratio_keep_their_order():
    ordered = BatchShapePolicy(batch_size=4)(images(*[(100, 100), (200, 100)] * 30))
    assert [info['img_id'] for info in ordered] == [*range(1, 60, 2), *range(0, 60, 2)]


def test_the_batch_of_all_processes_shares_a_shape(monkeypatch):
    monkeypatch.setattr('mmyolo_lite.datasets.batch_shapes.get_world_size', lambda: 2)
    ordered = BatchShapePolicy(batch_size=1, extra_pad_ratio=0)(images((640, 320), (640, 480)))
    assert [tuple(info['batch_shape']) for info in ordered] == [(480, 640)] * 2


def test_no_images():
    assert BatchShapePolicy()([]) == []


def test_an_image_without_size_is_named():
    with pytest.raises(DataError, match='b.jpg'):
        BatchShapePolicy()([dict(img_path='b.jpg', width=3)])


@pytest.mark.parametrize(
    'kwargs', [dict(batch_size=0), dict(img_size=1.5), dict(extra_pad_ratio=-1)]
)
def test_wrong_arguments_are_refused(kwargs):
    with pytest.raises(ConfigError, match=next(iter(kwargs))):
        BatchShapePolicy(**kwargs)
