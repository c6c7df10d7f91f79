"""Drawing marks the right pixels and survives odd input."""

import time

import numpy as np
import pytest

from mmyolo_lite.ops.mask_crops import MaskCrop, place_mask
from mmyolo_lite.visualization.drawing import (
    Legend,
    Objects,
    draw_objects,
    fit,
    grid,
    put_text,
    with_title,
)

LEGEND = Legend(('cat', 'dog'), [(255, 0, 0), (0, 255, 0)])
GREY = np.full((100, 200, 3), 128, dtype=np.uint8)


def one(label: int = 0, **more) -> Objects:
    return Objects(np.array([[50.0, 40, 150, 90]]), np.array([label]), **more)


def test_boxes_have_the_colour_of_their_class_and_the_image_stays() -> None:
    picture = draw_objects(GREY, one(1), LEGEND)
    assert picture[90, 100].tolist() == [0, 255, 0] and (picture[65, 100] == 128).all()
    assert (GREY == 128).all()


@pytest.mark.parametrize('form', ['outline', 'mask', 'quarter mask', 'runs'])
def test_masks_are_half_transparent_inside_alone(form: str) -> None:
    mask = np.zeros((1, 100, 200), dtype=np.bool_)
    mask[:, 50:80, 60:140] = True
    ring = np.array([[60, 50], [140, 50], [140, 80], [60, 80]], dtype=np.float64)
    objects = {
        'outline': one(outlines=[[ring]]),
        'mask': one(masks=mask),
        'quarter mask': one(masks=mask[:, ::4, ::4]),
        'runs': one(runs=[place_mask(MaskCrop(50, 60, mask[0, 50:80, 60:140]), (100, 200))]),
    }[form]
    picture = draw_objects(GREY, objects, LEGEND)
    assert picture[65, 100, 2] > 170 and picture[65, 100, 0] < 100, 'red over grey'
    assert (picture[65, 56] == 128).all(), 'inside the box, outside the mask'


def test_a_ring_in_a_ring_is_a_hole() -> None:
    outer = np.array([[52, 42], [148, 42], [148, 88], [52, 88]], dtype=np.float64)
    inner = np.array([[90, 60], [110, 60], [110, 80], [90, 80]], dtype=np.float64)
    picture = draw_objects(GREY, one(outlines=[[outer, inner]]), LEGEND)
    assert (picture[70, 100] == 128).all() and (picture[70, 70] != 128).any()


def test_crowds_are_grey() -> None:
    picture = draw_objects(GREY, one(crowd=np.array([True])), LEGEND)
    assert picture[90, 100].tolist() == [150, 150, 150]


def test_large_images_shrink_with_their_objects() -> None:
    large = np.full((400, 800, 3), 128, dtype=np.uint8)
    objects = Objects(np.array([[200.0, 160, 600, 360]]), np.array([0]))
    picture = draw_objects(large, objects, LEGEND, max_side=200)
    assert picture.shape == (100, 200, 3)
    assert picture[90, 100, 2] == 255 and picture[90, 100, 0] == 0
    assert fit(GREY, 1000)[1] == 1.0, 'never enlarged'


@pytest.mark.parametrize(
    'box', [(np.nan, 0, 1, 1), (-1e9, -1e9, 1e9, 1e9), (5, 5, 5, 5), (90, 90, 10, 10)]
)
def test_impossible_boxes_do_not_stop_drawing(box: tuple) -> None:
    draw_objects(GREY, Objects(np.array([box]), np.array([0])), LEGEND)


def test_names_beyond_the_fonts_and_labels_beyond_the_names() -> None:
    legend = Legend(('Äpfel 苹果',), [(1, 2, 3)])
    objects = Objects(np.zeros((2, 4)), np.array([0, 7]))
    draw_objects(GREY, objects, legend)
    assert legend.name(7) == '7'
    tiny = np.zeros((3, 3, 3), dtype=np.uint8)
    put_text(tiny, 'a long text', (0, 0), (255, 255, 255))


def test_titles_and_grids() -> None:
    titled = with_title(GREY, 'x' * 100)
    assert titled.shape[0] > 100 and titled.shape[1] > 200
    joined = grid([GREY, titled, GREY], columns=2)
    assert joined.shape[0] > 2 * 100 and joined.shape[1] > 2 * 200


def test_fifty_objects_take_milliseconds() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 1000, (50, 2))
    objects = Objects(np.concatenate([low, low + 200], axis=1), rng.integers(2, size=50))
    image = np.zeros((1200, 1600, 3), dtype=np.uint8)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        draw_objects(image, objects, LEGEND)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.2


@pytest.mark.parametrize('max_side', [1600, 150, 100])
def test_runs_shrink_with_the_image(max_side: int) -> None:
    crops = [MaskCrop(0, 0, np.ones((100, 90), bool)), MaskCrop(97, 197, np.ones((3, 3), bool))]
    runs = [
        place_mask(crop, (100, 200)) for crop in [*crops, MaskCrop(0, 0, np.zeros((0, 0), bool))]
    ]
    boxes = np.array([[120.0, 40, 130, 50]] * 3)
    picture = draw_objects(GREY, Objects(boxes, np.array([0, 1, 1]), runs=runs), LEGEND, max_side)
    height, width = picture.shape[:2]
    painted = (picture[:, : width // 2] != 128).any(axis=2)
    columns = painted.mean(axis=0)
    assert columns[: int(0.44 * width)].all() and not columns[int(0.47 * width) :].any()
    assert (picture[height - 1, width - 1] != 128).any()


def test_scores_stand_in_place_of_numbers() -> None:
    plain, scored = (
        draw_objects(GREY, one(), LEGEND),
        draw_objects(GREY, one(scores=np.array([0.87])), LEGEND),
    )
    assert (plain[:42] != scored[:42]).any() and (plain[50:] == scored[50:]).all()
