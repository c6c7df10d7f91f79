"""Figures of curves and of confusion, for one class and for many."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmyolo_lite.evaluation import detection_errors as errors
from mmyolo_lite.evaluation.results_file import confusion_entry, curves_entry
from mmyolo_lite.visualization import curve_plots


def names_of(count):
    return [f'class ${number}' for number in range(count)]


def curves_of(count, without=()):
    rng = np.random.default_rng(0)
    images = []
    for label in range(count):
        labels = np.repeat(label, 10 if label not in without else 0)
        truth = errors.Truth(labels, np.zeros(len(labels), bool), np.ones(len(labels)))
        found = errors.Found(np.repeat(label, 10), rng.random(10))
        matches = np.where(rng.random(10) < 0.7, np.arange(10), -1)
        images.append((found, truth, matches if len(labels) else np.full(10, -1)))
    curves = errors.curves(errors.outcomes(images, count, 100))
    return curves_entry(curves, names_of(count), errors.best_confidence(curves, 0.05))


def matrix_of(count):
    rng = np.random.default_rng(0)
    entry = confusion_entry([], names_of(count))
    entry['matrix'] = rng.integers(0, 3, (count + 1, count + 1)).tolist()
    return entry


def drawn(draw, *arguments, **options):
    figure = Figure(layout='constrained')
    draw(*arguments, figure, **options)
    figure.canvas.draw()
    return figure


@pytest.mark.parametrize('which', curve_plots.CURVES)
@pytest.mark.parametrize('count', [1, 5, 80])
def test_each_class_has_a_line_and_their_mean(which, count):
    figure = drawn(curve_plots.plot_curves, curves_of(count), which, 'bbox')
    (axes,) = figure.axes
    lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert len(lines) == count + (count > 1)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) <= count + 3 and len(texts) <= 20


def test_the_mean_is_the_mean_of_classes_with_objects():
    curves = curves_of(3, without=[1])
    figure = drawn(curve_plots.plot_curves, curves, 'R', 'segm')
    mean = next(line for line in figure.axes[0].lines if line.get_label() == 'mean of classes')
    both = [np.array(curves['classes'][label]['recall']) for label in (0, 2)]
    np.testing.assert_allclose(mean.get_ydata(), (both[0] + both[1]) / 2)


def test_without_objects_the_figure_says_so():
    figure = drawn(curve_plots.plot_curves, curves_of(2, without=[0, 1]), 'PR', 'bbox')
    assert [text.get_text() for text in figure.axes[0].texts] == ['no objects']


@pytest.mark.parametrize('count', [1, 25, 80, 200])
def test_a_matrix_of_any_size_names_its_axes(count):
    figure = drawn(curve_plots.plot_confusion, matrix_of(count), 'bbox')
    axes = figure.axes[0]
    assert 'predicted' in axes.get_ylabel() and 'true' in axes.get_xlabel()
    numbered = count + 1 <= curve_plots.MAX_NUMBERED
    assert bool(axes.texts) == numbered


def test_cells_are_where_the_matrix_has_them():
    entry = matrix_of(2)
    entry['matrix'] = [[8, 1, 0], [0, 3, 0], [2, 0, 0]]
    axes = drawn(curve_plots.plot_confusion, entry, 'bbox').axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): '8', (1, 0): '1', (1, 1): '3', (0, 2): '2'}  # x: true, y: predicted
    axes = drawn(curve_plots.plot_confusion, entry, 'bbox', normalized=True).axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): '0.80', (1, 0): '0.25', (1, 1): '0.75', (0, 2): '0.20'}


def test_a_matrix_without_anything():
    drawn(curve_plots.plot_confusion, confusion_entry([], ['a']), 'segm', normalized=True)
