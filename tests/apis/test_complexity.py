"""Tests of counting and timing models."""

import pytest

from mmyolo_lite.apis.complexity import check_runs, complexity, measure_speed
from mmyolo_lite.apis.model import load_model
from mmyolo_lite.errors import ConfigError
from tests.shared_data import REPO

CONFIG = REPO / 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_150e_balloon_instance.py'


@pytest.fixture(scope='module')
def model():
    return load_model(CONFIG, None, 'cpu')


def test_parameters_are_those_of_the_network_and_operations_grow_with_the_area(model):
    small, large = (complexity(model, (side, side)) for side in (64, 128))
    expected = sum(value.numel() for value in model.network.parameters())
    assert small.parameters == large.parameters == expected
    assert large.macs == pytest.approx(4 * small.macs, rel=0.02)
    assert 'backbone' in small.table


def test_speed_tells_the_network_from_the_whole(model):
    speed = measure_speed(model, (64, 64), batch_size=2, runs=4)
    assert len(speed.whole) == len(speed.network) == 4
    assert speed.lines()[0].startswith('network: ') and 'batch of 2' in speed.lines()[1]


def test_shapes_and_numbers_that_cannot_be_are_refused(model):
    with pytest.raises(ConfigError, match='multiples of 32'):
        complexity(model, (64, 65))
    with pytest.raises(ConfigError, match='^--batch-size is 0; it must be 1 or more'):
        measure_speed(model, (64, 64), batch_size=0)
    with pytest.raises(ConfigError, match='^--max-iter is 3; it must be 4 or more'):
        measure_speed(model, (64, 64), runs=3)
    with pytest.raises(ConfigError, match='^--repeat-num is 0; it must be 1 or more'):
        check_runs(1, 4, 0)
