"""Figures about a run: its boxes, its course, and a file for each result."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmyolo_lite.datasets.statistics import BoxTable
from mmyolo_lite.visualization import run_plots


def table_of(num_classes, num_boxes):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (num_boxes, 2))
    return BoxTable(
        tuple(f'class {number}' for number in range(num_classes)),
        rng.integers(0, max(num_classes, 1), num_boxes),
        np.zeros(num_boxes, dtype=np.int64),
        np.concatenate([low, low + rng.uniform(1, 50, (num_boxes, 2))], axis=1),
        np.zeros(num_boxes, dtype=np.bool_),
        np.array([[100.0, 100.0]]),
    )


def drawn(draw, *arguments):
    figure = Figure(layout='constrained')
    draw(*arguments, figure)
    figure.canvas.draw()
    return figure


@pytest.mark.parametrize('num_classes, num_boxes', [(1, 0), (1, 30), (80, 2000), (300, 500)])
def test_boxes_of_any_set(num_classes, num_boxes):
    figure = drawn(run_plots.plot_labels, table_of(num_classes, num_boxes))
    bars = figure.axes[0].patches
    assert len(bars) == min(num_classes, run_plots.MAX_CLASS_BARS)
    if num_classes <= run_plots.MAX_CLASS_BARS:
        assert sum(bar.get_height() for bar in bars) == num_boxes
    (forms,) = figure.axes[1].collections
    assert len(forms.get_paths()) == min(num_boxes, run_plots.MAX_DRAWN_BOXES)


ROW = {
    'epoch': 1,
    'iter': 10,
    'lr': 0.1,
    'train/loss': 2.0,
    'train/loss_obj': 1.0,
    'coco/bbox_mAP': 0.1,
    'coco/bbox_mAP_50': 0.2,
    'coco/bbox_mAP_s': -1,
    'time': 3.0,
}


def test_precisions_share_panels():
    assert run_plots.course_panels([ROW]) == {
        'train/loss': ['train/loss'],
        'train/loss_obj': ['train/loss_obj'],
        'coco/bbox mAP': ['coco/bbox_mAP', 'coco/bbox_mAP_50'],
        'coco/bbox mAP by size': ['coco/bbox_mAP_s'],
        'lr': ['lr'],
    }


def test_the_course_has_the_values_that_there_are():
    second = {**ROW, 'epoch': 2, 'train/loss': 1.5, 'coco/bbox_mAP': None, 'coco/bbox_mAP_50': None}
    third = {**ROW, 'epoch': 3, 'coco/bbox_mAP': 0.4}
    figure = drawn(run_plots.plot_course, [ROW, second, third])
    by_title = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    (loss,) = by_title['train/loss'].lines
    assert loss.get_xydata().tolist() == [[1, 2], [2, 1.5], [3, 2]]
    score = by_title['coco/bbox mAP'].lines[0]
    assert score.get_xydata().tolist() == [[1, 0.1], [3, 0.4]], 'epochs without validation'
    assert not by_title['coco/bbox mAP by size'].lines, '-1 says that there are no such objects'


def test_a_course_of_one_epoch_and_of_many_scores():
    drawn(run_plots.plot_course, [ROW])
    many = {**ROW, **{f'coco/{number}_precision': 0.5 for number in range(80)}}
    figure = drawn(run_plots.plot_course, [many, {**many, 'epoch': 2}])
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert len(visible) == run_plots.MAX_PANELS


def test_files_have_the_names_that_users_know():
    content = {
        'kinds': ['bbox', 'segm'],
        'curves': {'bbox': {}, 'segm': {}},
        'confusion': {'bbox': {}, 'segm': {}},
    }
    names = set(run_plots.result_figures(content))
    assert {
        *('BoxPR_curve.png', 'BoxF1_curve.png', 'BoxP_curve.png', 'BoxR_curve.png'),
        *('MaskPR_curve.png', 'MaskF1_curve.png', 'MaskP_curve.png', 'MaskR_curve.png'),
        *('confusion_matrix.png', 'confusion_matrix_normalized.png'),
        *('mask_confusion_matrix.png', 'mask_confusion_matrix_normalized.png'),
    } == names
