"""Lines in a picture file, for command lines that draw one figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.visualization.picture_files import save_figure
from mmyolo_lite.whole_files import disk_errors

FORMATS = ('.png', '.jpg', '.pdf', '.svg')


def save_lines(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    path: Path,
    title: str,
    labels: tuple[str, str],
) -> None:
    """Draw lines into one figure.

    Args:
        lines: by name, x and y.
        path: of the picture; its suffix is one of :data:`FORMATS`.
        title: of the figure.
        labels: of the two axes.

    Raises:
        ConfigError: another suffix.
        DataError: the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f'{path}: pictures are written as {", ".join(FORMATS)}')

    def draw(figure: Any) -> None:
        figure.set_size_inches(9, 5.5)
        axes = figure.subplots()
        for name, (x, y) in lines.items():
            few = {'marker': 'o', 'markersize': 3} if len(x) < 40 else {}
            axes.plot(x, y, label=name, linewidth=1.4, **few)
        # names from outside may hold a $, which starts a formula otherwise
        axes.set_title(title, parse_math=False)
        axes.set_xlabel(labels[0], parse_math=False)
        axes.set_ylabel(labels[1], parse_math=False)
        axes.grid(alpha=0.3)
        for text in axes.legend().get_texts():
            text.set_parse_math(False)

    with disk_errors(path):
        save_figure(draw, path)
