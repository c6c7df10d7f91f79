"""Balloons whose centre lies outside of the picture."""

import numpy as np
import pytest

from mmyolo_lite.datasets.sample_balloon import paint_balloon, random_balloon

LIGHT = np.array([0.0, -0.6, 0.8])


@pytest.mark.parametrize('centre_xy', [(-100.0, 20.0), (20.0, 300.0), (-14.0, 20.0)])
def test_a_balloon_outside_paints_nothing(centre_xy: tuple[float, float]) -> None:
    balloon = random_balloon(np.random.default_rng(0), centre_xy, 10.0)
    canvas = np.full((64, 64, 3), 0.5, np.float32)
    assert not paint_balloon(canvas, balloon, LIGHT).any()
    assert (canvas == 0.5).all()


def test_a_balloon_at_the_edge_is_painted() -> None:
    balloon = random_balloon(np.random.default_rng(0), (-5.0, 20.0), 10.0)
    canvas = np.full((64, 64, 3), 0.5, np.float32)
    assert paint_balloon(canvas, balloon, LIGHT).any()
