"""Figures come out readable in size for one class, for hundreds and for odd names."""

import numpy as np
import pytest
from PIL import Image

from mmyolo_lite.datasets.statistics import BoxTable
from mmyolo_lite.visualization.dataset_plots import MAX_BARS, PLOTS, save_plots


def random_table(num_classes: int, num_boxes: int) -> BoxTable:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 300, (num_boxes, 2))
    boxes = np.concatenate([low, low + rng.lognormal(3, 1, (num_boxes, 2))], axis=1)
    names = tuple(f'class $ number {n}' for n in range(num_classes))
    return BoxTable(
        names,
        rng.integers(num_classes, size=num_boxes),
        rng.integers(20, size=num_boxes),
        boxes,
        np.zeros(num_boxes, dtype=np.bool_),
        np.full((20, 2), 640.0),
    )


@pytest.mark.parametrize(('num_classes', 'num_boxes'), [(1, 1), (1, 300), (500, 3000)])
def test_every_figure_is_written_and_of_bounded_size(num_classes, num_boxes, tmp_path) -> None:
    paths = save_plots(
        random_table(num_classes, num_boxes), tmp_path / 'new', 'set', area_rule=[50]
    )
    assert [path.name for path in paths] == [f'set_{ending}.jpg' for ending, _ in PLOTS.values()]
    for path in paths:
        with Image.open(path) as image:
            assert max(image.size) < 2000 and min(image.size) > 250
            values = np.asarray(image.convert('L'))
        assert values.std() > 8, 'something is drawn'


def test_rare_classes_share_a_bar() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    PLOTS['show_bbox_num'][1](random_table(500, 3000), figure)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(names) == MAX_BARS + 1 and names[-1].endswith('other classes')


def test_a_box_without_height(tmp_path) -> None:
    table = random_table(2, 10)
    table.boxes_xyxy[:, 3] = table.boxes_xyxy[:, 1]
    assert len(save_plots(table, tmp_path, 'flat')) == len(PLOTS)
