"""Figures about the boxes of a data set, readable for one class and for five hundred."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.datasets.statistics import BoxTable, area_counts, area_edges, class_counts
from mmyolo_lite.visualization.picture_files import save_figure

MAX_BARS = 40
"""Classes with a bar of their own; the others share one."""
MAX_VIOLINS = 20
"""Classes with a violin of their own."""
MAX_SAMPLES = 20_000
"""Boxes of a class that a violin is computed from."""
MAX_NAME = 24
BLUE, ORANGE, GREY = '#3b6ea5', '#d9822b', '#b8bcc2'


def _ranked(table: BoxTable, limit: int) -> NDArray[np.intp]:
    """Return the labels with most boxes, at most `limit`, most first; without those that have
    none.
    """
    counts = class_counts(table)
    order = np.argsort(-counts, kind='stable')
    return order[counts[order] > 0][:limit]


def _name(text: Any) -> str:
    text = str(text).replace('$', r'\$')  # matplotlib would set it as a formula
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + '…'


def _rows(count: float) -> float:
    """Return a height in inches for so many rows."""
    return 1.8 + 0.28 * max(count, 3)


def plot_class_counts(table: BoxTable, figure: Any) -> None:
    """Draw the number of boxes of each class as bars, most first."""
    counts, labels = class_counts(table), _ranked(table, MAX_BARS)
    names = [_name(table.class_names[label]) for label in labels]
    values = counts[labels].tolist()
    others = int((counts > 0).sum()) - len(labels)
    if others:
        names.append(f'{others} other classes')
        values.append(int(counts.sum() - sum(values)))
    figure.set_size_inches(8, _rows(len(names)))
    axes = figure.add_subplot()
    colors = [BLUE] * len(labels) + [GREY] * bool(others)
    bars = axes.barh(range(len(names)), values, color=colors)
    axes.bar_label(bars, labels=[f'{value:,}' for value in values], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    none = int((counts == 0).sum())
    axes.set_title('boxes by class' + (f' ({none} classes have none)' if none else ''))
    axes.set_xlabel('boxes')


def _violins(axes: Any, samples: list[NDArray], color: str, names: Sequence[str]) -> None:
    """Draw one horizontal violin over the logarithms of each sample, with its median."""
    rng = np.random.default_rng(0)
    for row, sample in enumerate(samples):
        if len(sample) > MAX_SAMPLES:
            sample = rng.choice(sample, MAX_SAMPLES, replace=False)
        logs = np.log10(sample.clip(min=1e-3))
        median = np.median(logs)
        if np.ptp(logs) > 1e-6:
            parts = axes.violinplot(
                [logs], [row], orientation='horizontal', widths=0.85, showextrema=False
            )
            for body in parts['bodies']:
                body.set(facecolor=color, alpha=0.75)
        axes.plot([median], [row], marker='|', color='black', markersize=9)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis='x', alpha=0.3)


def _label_logarithms(axes: Any, ticks: Sequence[float]) -> None:
    low, high = axes.get_xlim()
    shown = [tick for tick in ticks if low <= np.log10(tick) <= high]
    axes.set_xticks(np.log10(shown) if shown else [], [f'{tick:g}' for tick in shown])


def _by_class(table: BoxTable, values: NDArray) -> tuple[list[NDArray], list[str]]:
    """Return the values of each ranked class, all classes first when there are several."""
    labels = _ranked(table, MAX_VIOLINS)
    samples = [values[table.labels == label] for label in labels]
    names = [_name(table.class_names[label]) for label in labels]
    if len(labels) > 1:
        samples, names = [values, *samples], ['all', *names]
    return samples, names


def plot_sizes(table: BoxTable, figure: Any) -> None:
    """Draw the distribution of widths and of heights of each class."""
    sides = [_by_class(table, values) for values in table.boxes_wh.T]
    figure.set_size_inches(11, _rows(1.4 * len(sides[0][1])))
    for axes, (samples, names), title, color in zip(
        figure.subplots(1, 2, sharex=True, sharey=True),
        sides,
        ('width', 'height'),
        (BLUE, ORANGE),
        strict=True,
    ):
        _violins(axes, samples, color, names)
        axes.set_title(f'box {title}')
        axes.set_xlabel('pixels of the image (line: median)')
        _label_logarithms(axes, [s * 10**e for e in range(5) for s in (1, 3)])


def plot_ratios(table: BoxTable, figure: Any) -> None:
    """Draw the distribution of width by height of each class."""
    wide, high = table.boxes_wh.T
    samples, names = _by_class(table, wide / high.clip(min=1e-6))
    figure.set_size_inches(8, _rows(1.4 * len(names)))
    axes = figure.add_subplot()
    _violins(axes, samples, BLUE, names)
    axes.axvline(0, color='black', linewidth=0.8, linestyle=':')
    axes.set_title('width / height of boxes')
    axes.set_xlabel('wide to the right, tall to the left (line: median)')
    _label_logarithms(axes, [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50])


def plot_areas(table: BoxTable, figure: Any, rule: Sequence[float] | None = None) -> None:
    """Draw the share of each class of area within each class, with the counts."""
    labels, edges = _ranked(table, MAX_BARS), area_edges(rule)
    counts = area_counts(table, rule)[labels]
    figure.set_size_inches(9, _rows(len(labels)))
    axes = figure.add_subplot()
    left = np.zeros(len(labels))
    shades = np.linspace(0.25, 0.9, len(edges) - 1)
    for column, shade in enumerate(shades):
        shares = counts[:, column] / counts.sum(axis=1).clip(min=1)
        last = column == len(shades) - 1
        text = f'{edges[column]:g}² ' + ('and more' if last else f'to {edges[column + 1]:g}²')
        bars = axes.barh(
            range(len(labels)), shares, left=left, label=text, color=_blue(float(shade))
        )
        numbers = [
            f'{n}' if share > 0.06 else ''
            for n, share in zip(counts[:, column], shares, strict=True)
        ]
        axes.bar_label(
            bars,
            numbers,
            label_type='center',
            fontsize=7,
            color='white' if shade > 0.7 else 'black',
        )
        left += shares
    axes.set_yticks(range(len(labels)), [_name(table.class_names[i]) for i in labels], fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel('share of the boxes (numbers: boxes)')
    axes.set_title('area of boxes in square pixels of the image')
    figure.legend(loc='outside lower center', ncols=min(len(shades), 4), fontsize=8)


def _blue(shade: float) -> tuple[float, float, float]:
    return (1 - 0.8 * shade, 1 - 0.6 * shade, 1 - 0.35 * shade)


def plot_images(table: BoxTable, figure: Any) -> None:
    """Draw how many boxes images have, and where in the image their centres are."""
    figure.set_size_inches(11, 4.5)
    counts_axes, place_axes = figure.subplots(1, 2)
    every = np.bincount(table.image_index, minlength=len(table.images_wh))
    top = int(every.max(initial=1))
    bins = np.arange(0, top + 2) - 0.5 if top <= 50 else 50
    counts_axes.hist(every, bins=bins, color=BLUE, rwidth=0.9)
    counts_axes.set(title='boxes per image', xlabel='boxes', ylabel='images')
    centers = (table.boxes_xyxy[:, :2] + table.boxes_xyxy[:, 2:]) / 2 / table.owners_wh
    *_, mesh = place_axes.hist2d(*centers.T, bins=24, range=[[0, 1], [0, 1]], cmap='Blues')
    place_axes.invert_yaxis()
    place_axes.set(
        title='where the centres of boxes are',
        xlabel='left (0) to right (1)',
        ylabel='top (0) to bottom (1)',
    )
    figure.colorbar(mesh, ax=place_axes, label='boxes')


PLOTS: dict[str, tuple[str, Callable[..., None]]] = {
    'show_bbox_num': ('bbox_num', plot_class_counts),
    'show_bbox_wh': ('bbox_wh', plot_sizes),
    'show_bbox_wh_ratio': ('bbox_ratio', plot_ratios),
    'show_bbox_area': ('bbox_area', plot_areas),
    'show_bbox_per_image': ('bbox_per_image', plot_images),
}
"""End of the file name and drawing function by MMYOLO's name of the figure."""


def save_plots(
    table: BoxTable,
    out_dir: Path,
    name: str,
    functions: Sequence[str] = tuple(PLOTS),
    area_rule: Sequence[float] | None = None,
) -> list[Path]:
    """Write figures as ``<out_dir>/<name>_<figure>.jpg``.

    Args:
        table: boxes, at least one.
        out_dir: is made if needed.
        name: of the data set or class, start of each file's name.
        functions: keys of :data:`PLOTS`.
        area_rule: sides between classes of area.

    Returns:
        The paths written.
    """
    paths = []
    for function in functions:
        ending, plot = PLOTS[function]
        arguments = (area_rule,) if plot is plot_areas else ()

        def draw(figure: Any, plot: Callable = plot, arguments: tuple = arguments) -> None:
            plot(table, figure, *arguments)
            figure.suptitle(_name(name), fontsize=10, color='dimgray')

        paths.append(out_dir / f'{name}_{ending}.jpg')
        save_figure(draw, paths[-1])
    return paths
