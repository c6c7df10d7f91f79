"""Figures and pictures written to files, each whole or not at all."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.errors import DataError
from mmyolo_lite.whole_files import replacing

Draw = Callable[[Any], None]
"""Draws into a figure of matplotlib that it is given."""
DPI = 120
JPEG_QUALITY = 90


def encode_image(picture: NDArray[np.uint8], path: Path) -> bytes:
    """Return a BGR picture (H, W, 3) in the format that a path's suffix names.

    Raises:
        DataError: OpenCV writes no such format, or not of that size.
    """
    try:
        done, content = cv2.imencode(path.suffix or '.', picture)
    except cv2.error:
        done = False
    if not done:
        raise DataError(f'{path} cannot be written: name it .jpg or .png')
    return content.tobytes()


def save_jpeg(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a BGR picture (H, W, 3) as a JPEG file.

    Raises:
        OSError: it cannot be written.
    """
    done, coded = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise OSError(f'{path}: the picture cannot be coded')
    with replacing(path) as part:
        part.write_bytes(coded.tobytes())


def save_figure(draw: Draw, path: Path) -> None:
    """Write a figure; the suffix of the path tells its format.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(layout='constrained', dpi=DPI)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Glyph .* missing from')  # of names of classes
        draw(figure)
        with replacing(path) as part:
            figure.savefig(part)
