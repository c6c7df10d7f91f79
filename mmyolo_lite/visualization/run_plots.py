"""The figures of a training run: its data, its course, its results."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mmyolo_lite.datasets.statistics import BoxTable, class_counts
from mmyolo_lite.visualization.curve_plots import (
    COLORS,
    CURVES,
    plot_confusion,
    plot_curves,
    short_name,
)
from mmyolo_lite.visualization.picture_files import Draw

PREFIXES = {'bbox': 'Box', 'segm': 'Mask'}
MAX_CLASS_BARS = 100
FEW_CLASSES = 12
"""Classes whose bars need no more room than the other panels of labels.jpg."""
SQUARE_PANELS, WIDE_PANELS = 'cf;ps', 'ccc;fps'
MAX_DRAWN_BOXES = 1000
PANEL_COLUMNS = 5
MAX_PANELS = 24
SUMMARY = ('mAP', 'mAP_50', 'mAP_75')
BY_SIZE = ('mAP_s', 'mAP_m', 'mAP_l')


def result_figures(content: Mapping[str, Any]) -> dict[str, Draw]:
    """Return what draws each figure of a results file, by the name of its file."""
    figures: dict[str, Draw] = {}
    for kind in content['kinds']:
        for which in CURVES:
            name = f'{PREFIXES[kind]}{which}_curve.png'
            figures[name] = partial(plot_curves, content['curves'][kind], which, kind)
        entry, start = content['confusion'][kind], '' if kind == 'bbox' else 'mask_'
        figures[f'{start}confusion_matrix.png'] = partial(plot_confusion, entry, kind)
        figures[f'{start}confusion_matrix_normalized.png'] = partial(
            plot_confusion, entry, kind, normalized=True
        )
    return figures


def plot_labels(table: BoxTable, figure: Any, note: str = '') -> None:
    """Draw the boxes of a training set: how many of each class, their forms, places and sizes.

    Args:
        table: the boxes, maybe none.
        figure: of matplotlib.
        note: stands above.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.ticker import MaxNLocator

    is_wide = len(table.class_names) > FEW_CLASSES
    figure.set_size_inches(*((14, 9) if is_wide else (11, 10)))
    panels = figure.subplot_mosaic(WIDE_PANELS if is_wide else SQUARE_PANELS)
    counts_axes, forms, places, sizes = (panels[letter] for letter in 'cfps')
    figure.suptitle(f'{len(table.labels):,} boxes in {len(table.images_wh):,} images{note}')
    _plot_counts(table, counts_axes)
    wide_high = table.boxes_wh / table.owners_wh
    centers = (table.boxes_xyxy[:, :2] + table.boxes_xyxy[:, 2:]) / 2 / table.owners_wh
    _plot_forms(wide_high, table.labels, forms)
    titles = (
        ('centres of boxes', 'x / image width', 'y / image height'),
        ('sizes of boxes', 'width / image width', 'height / image height'),
    )
    for axes, points, (title, x_name, y_name) in zip(
        (places, sizes), (centers, wide_high), titles, strict=True
    ):
        bins = int(np.clip(np.sqrt(len(points)), 12, 50))
        counts, *_, mesh = axes.hist2d(*points.T, bins=bins, range=[[0, 1], [0, 1]], cmap='Blues')
        mesh.set_norm(PowerNorm(0.5, 0, max(counts.max(), 1)))
        axes.set(title=title, xlabel=x_name, ylabel=y_name, aspect='equal')
        bar = figure.colorbar(mesh, ax=axes, shrink=0.8, label='boxes')
        bar.locator = MaxNLocator(integer=True)
        bar.update_ticks()
    places.invert_yaxis()


def _plot_counts(table: BoxTable, axes: Any) -> None:
    counts = class_counts(table)[:MAX_CLASS_BARS]
    places = range(len(counts))
    colors = [COLORS[place % len(COLORS)] for place in places]
    bars = axes.bar(places, counts, color=colors)
    if len(counts) <= FEW_CLASSES:
        axes.bar_label(bars, labels=[f'{value:,}' for value in counts.tolist()], fontsize=8)
    names = [short_name(name) for name in table.class_names[: len(counts)]]
    size = float(np.clip(560 / max(len(counts), 1), 4, 9))
    axes.set_xticks(places, names, rotation=90 if len(counts) > 4 else 0, fontsize=size)
    axes.set_xlim(-0.8, max(len(counts), 1) - 0.2)
    if len(counts) < 3:
        axes.set_xlim(-1.5, len(counts) + 0.5)
    more = len(table.class_names) - len(counts)
    axes.set(title='boxes by class' + (f' (the first {len(counts)})' if more else ''))
    axes.set_ylabel('boxes')


def _plot_forms(wide_high: Any, labels: Any, axes: Any) -> None:
    """Draw boxes over each other, all with one centre, in the colours of the classes."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    rng = np.random.default_rng(0)
    chosen = np.arange(len(labels))
    if len(labels) > MAX_DRAWN_BOXES:
        chosen = np.sort(rng.choice(len(labels), MAX_DRAWN_BOXES, replace=False))
    boxes = [Rectangle((0.5 - w / 2, 0.5 - h / 2), w, h) for w, h in wide_high[chosen].tolist()]
    edges = [COLORS[label % len(COLORS)] for label in labels[chosen].tolist()]
    alpha = float(np.clip(60 / max(len(boxes), 1), 0.15, 0.8))
    axes.add_collection(
        PatchCollection(boxes, facecolor='none', edgecolor=edges, linewidth=0.8, alpha=alpha)
    )
    some = f' ({len(chosen):,} of them)' if len(chosen) < len(labels) else ''
    axes.set(title=f'forms of boxes{some}', xlim=(0, 1), ylim=(0, 1), aspect='equal')
    axes.set(xlabel='width / image width', ylabel='height / image height')


def course_panels(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return what is drawn of the rows of results.csv: title of each panel, and its columns.

    Losses have one each; precisions of COCO share one for each kind, and one by size.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = [name for name in names if name not in ('epoch', 'iter', 'time', 'lr')] + ['lr']
    panels: dict[str, list[str]] = {}
    for name in names:
        prefix, _, item = name.partition('_')
        if item in SUMMARY:
            panels.setdefault(f'{prefix} mAP', []).append(name)
        elif item in BY_SIZE:
            panels.setdefault(f'{prefix} mAP by size', []).append(name)
        else:
            panels[name] = [name]
    return panels


def plot_course(rows: Sequence[Mapping[str, Any]], figure: Any) -> None:
    """Draw losses, metrics and learning rate over the training.

    Args:
        rows: of results.csv, numbers or None.
        figure: of matplotlib.
    """
    panels = dict(list(course_panels(rows).items())[:MAX_PANELS])
    columns = min(PANEL_COLUMNS, math.ceil(len(panels) / 2))
    lines = math.ceil(len(panels) / columns)
    figure.set_size_inches(3.3 * columns, 2.7 * lines + 0.3)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    unit = 'epoch' if len({row['epoch'] for row in rows}) > 1 or len(rows) < 2 else 'iter'
    x = np.array([row[unit] for row in rows], dtype=np.float64)
    for axes, (title, names) in zip(grid, panels.items(), strict=False):
        for name, color, marker in zip(names, COLORS, 'os^', strict=False):
            _plot_line(axes, x, [row.get(name) for row in rows], name, color, marker)
        if len(names) > 1:
            axes.legend(fontsize=7, framealpha=0.6)
        axes.set_title(short_name(title), fontsize=10)
        axes.set_xlabel(unit, fontsize=8)
        axes.tick_params(labelsize=8)
        axes.yaxis.get_offset_text().set_fontsize(7)
        axes.grid(alpha=0.25)
        axes.xaxis.get_major_locator().set_params(integer=True)


def _plot_line(
    axes: Any, x: Any, values: Sequence[float | None], name: str, color: str, marker: str
) -> None:
    # COCO says -1 where there are no objects
    usable = np.array(
        [value is not None and math.isfinite(value) and value != -1 for value in values]
    )
    if not usable.any():
        return
    y = np.array([value if good else np.nan for value, good in zip(values, usable, strict=True)])
    few = usable.sum() <= 40
    axes.plot(
        x[usable],
        y[usable].astype(np.float64),
        color=color,
        linewidth=1.4,
        marker=marker if few else None,
        markersize=3,
        label=name.rpartition('/')[2].partition('_')[2] or name,
    )
