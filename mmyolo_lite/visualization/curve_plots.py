"""Figures of precision, recall and F1, and of the confusion of classes, for one class and many."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLORS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#5d3a9b', '#7f7f7f')
"""Told apart by colour-blind readers too (after Okabe and Ito)."""
LINE_STYLES = ('-', '--', ':')
MAX_NAMED = 16
"""Classes with a colour and a name of their own; of more, all are grey behind the mean."""
MAX_NUMBERED = 26
"""Rows of a confusion matrix with numbers in its cells."""
MAX_LABELLED = 130
"""Rows of a confusion matrix with names beside it."""
MAX_NAME = 22
KIND_NAMES = {'bbox': 'boxes', 'segm': 'masks'}

CURVES = {
    'PR': ('recall', 'precision'),
    'F1': ('confidence', 'f1'),
    'P': ('confidence', 'precision'),
    'R': ('confidence', 'recall'),
}
"""Horizontal and vertical axis of each figure."""


def short_name(text: Any) -> str:
    """Return a name that fits beside an axis and is not taken for a formula."""
    name = str(text)
    name = name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + '…'
    return name.replace('$', r'\$')


def numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Return values as an array (n,) with nan in place of None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def column_means(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean (n,) of rows (n,) at each place, of what is not nan."""
    table = np.array(rows)
    known = ~np.isnan(table)
    total = np.where(known, table, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / known.sum(axis=0).clip(min=1), np.nan)


def plot_curves(curves: Mapping[str, Any], which: str, kind: str, figure: Any) -> None:
    """Draw one of :data:`CURVES`, a line a class and one for their mean.

    Args:
        curves: of one kind, as a results file holds them.
        which: key of :data:`CURVES`.
        kind: ``bbox`` or ``segm``.
        figure: of matplotlib.
    """
    x_name, y_name = CURVES[which]
    keys = ('pr_recall', 'pr_precision') if which == 'PR' else (x_name, y_name)
    entries = [one for one in curves['classes'] if one['ap50'] is not None]
    figure.set_size_inches(8, 5.2)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=x_name, ylabel=y_name.replace('f1', 'F1'))
    title = {'PR': 'precision and recall at IoU 0.5', 'F1': 'F1', 'P': 'precision', 'R': 'recall'}
    by = '' if which == 'PR' else ' by confidence (IoU 0.5)'
    axes.set_title(f'{KIND_NAMES[kind]}: {title[which]}{by}')
    axes.grid(alpha=0.25)
    if not entries:
        axes.text(0.5, 0.5, 'no objects', ha='center', color='dimgray')
        return
    lines = [(numbers(one[keys[0]]), numbers(one[keys[1]])) for one in entries]
    styles = [{'color': color, 'linestyle': style} for style in LINE_STYLES for color in COLORS]
    is_named = len(entries) <= MAX_NAMED
    for one, (x, y), style in zip(entries, lines, cycle(styles), strict=False):
        label = short_name(one['name']) + (f' {one["ap50"]:.3f}' if which == 'PR' else '')
        look: dict[str, Any] = {**style, 'linewidth': 1.3, 'label': label}
        if not is_named:
            label = 'one class' if one is entries[0] else ''
            look = {'color': '#9aa3ad', 'linewidth': 0.7, 'alpha': 0.6, 'label': label}
        axes.plot(x, y, **look)
    mean = column_means([y for _, y in lines])
    if len(entries) > 1:
        axes.plot(lines[0][0], mean, color='black', linewidth=2.6, label='mean of classes')
    _note(axes, curves, entries, which, mean)
    figure.legend(loc='outside right upper', fontsize=8, frameon=False)


def _note(
    axes: Any,
    curves: Mapping[str, Any],
    entries: Sequence[Mapping[str, Any]],
    which: str,
    mean: NDArray[np.float64],
) -> None:
    """Write the one number of a figure beside its lines."""
    confidence = curves['best_confidence']
    place = round(confidence * len(mean))
    if which == 'PR':
        text = f'mAP at IoU 0.5: {np.mean([one["ap50"] for one in entries]):.3f}'
        text += '' if len(entries) == 1 else f'\n{len(entries)} classes'
        axes.plot([], [], ' ', label=text)
        return
    shown = f'{mean[place]:.3f}' if np.isfinite(mean[place]) else 'none'
    axes.axvline(
        confidence,
        color='black',
        linewidth=1,
        linestyle=(0, (4, 3)),
        label=f'confidence {confidence:.3f} of the\nbest mean F1: here {shown}',
    )


def plot_confusion(
    entry: Mapping[str, Any],
    kind: str,
    figure: Any,
    normalized: bool = False,
    color_theme: str = 'Blues',
) -> None:
    """Draw a confusion matrix: rows are predicted classes, columns true ones.

    Args:
        entry: as a results file holds it.
        kind: ``bbox`` or ``segm``.
        figure: of matplotlib.
        normalized: divide by the sum of each column, the objects of a class.
        color_theme: a colour map of matplotlib.
    """
    from matplotlib.colors import PowerNorm

    matrix, labels = np.array(entry['matrix'], dtype=np.float64), entry['labels']
    count = len(labels)
    columns = matrix.sum(axis=0, keepdims=True)
    shown = matrix / columns.clip(min=1) if normalized else matrix
    side = float(np.clip(4.2 + 0.42 * count, 5.5, 15))
    figure.set_size_inches(side + 1, side)
    axes = figure.add_subplot()
    # rare mistakes of a large set would be invisible beside its hits
    norm = PowerNorm(0.5, 0, 1 if normalized else max(float(matrix.max()), 1.0))
    image = axes.imshow(np.where(shown > 0, shown, np.nan), cmap=color_theme, norm=norm)
    figure.colorbar(
        image, ax=axes, shrink=0.8, label='share of the column' if normalized else 'objects'
    )
    _label_matrix(axes, labels, side)
    if count <= MAX_NUMBERED:
        _write_numbers(axes, shown, norm, normalized, side)
    what = 'confusion, columns sum to 1' if normalized else 'confusion'
    axes.set_title(
        f'{KIND_NAMES[kind]}: {what} (score > {entry["score_thr"]:g}, IoU > {entry["iou_thr"]:g})'
    )
    axes.set_xlabel('true class (background: found where nothing is)')
    axes.set_ylabel('predicted class (background: missed)')


def _label_matrix(axes: Any, labels: Sequence[str], side: float) -> None:
    count = len(labels)
    if count > MAX_LABELLED:
        axes.tick_params(labelsize=7)
        return
    size = float(np.clip(side * 72 * 0.62 / count, 4, 10))
    names = [short_name(label) for label in labels]
    axes.set_xticks(range(count), names, rotation=90 if count > 3 else 0, fontsize=size)
    axes.set_yticks(range(count), names, fontsize=size)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which='minor', color='#dde1e6', linewidth=0.4)
    axes.tick_params(which='minor', length=0)


def _write_numbers(
    axes: Any, shown: NDArray[np.float64], norm: Any, normalized: bool, side: float
) -> None:
    size = float(np.clip(side * 72 * 0.25 / len(shown), 5, 12))
    for row, column in zip(*np.nonzero(shown), strict=True):
        value = shown[row, column]
        text = f'{value:.2f}' if normalized else f'{value:,.0f}'
        ink = 'white' if norm(value) > 0.55 else 'black'
        axes.text(column, row, text, ha='center', va='center', fontsize=size, color=ink)
