"""COCO's run-length masks: encoded from the part of an image that they cover, and decoded even if
their counts are damaged.

pycocotools reads past the end of damaged letters, and leaves pixels that no run covers as they were
in memory.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 2**29
MAX_LETTERS = 8
"""Of a run length; 40 bits."""
_FIRST_LETTER = 48


def decode_runs(counts: Any, height: int, width: int) -> NDArray[np.uint8]:
    """Return the mask (height, width) of runs of background, foreground, background ...

    Args:
        counts: lengths of the runs, down one column after another, or the letters that they are
            compressed to.
        height: rows of the mask.
        width: columns of the mask.

    Raises:
        ValueError: the counts are damaged or do not fill the mask, or that is too large.

    >>> decode_runs([1, 2, 1], 2, 2)
    array([[0, 1],
           [1, 0]], dtype=uint8)
    """
    runs = checked_runs(counts, height, width)
    values = (np.arange(len(runs)) % 2).astype(np.uint8)
    return np.repeat(values, runs).reshape(width, height).T


def checked_runs(counts: Any, height: float, width: float) -> list[int]:
    """Return the lengths of the runs of a mask (height, width), which is not decoded.

    Args and errors as of :func:`decode_runs`.
    """
    if not 0 <= width * height <= MAX_PIXELS:
        raise ValueError(f'run-length mask of {width} x {height} pixels')
    if isinstance(counts, (str, bytes)):
        counts = uncompressed(counts)
    if not isinstance(counts, list) or not all(type(c) is int and c >= 0 for c in counts):
        raise ValueError('run-length mask with damaged counts')
    if sum(counts) != width * height:
        raise ValueError('run-length mask whose counts do not fill the image')
    return counts


def uncompressed(text: str | bytes) -> list[int]:
    """Return the run lengths that letters stand for.

    Each letter holds five bits above 48, and a sixth that says that the number goes on; from the
    fourth on, a number is the difference to the one before the last.

    Raises:
        ValueError: the letters are damaged.

    >>> uncompressed('04')
    [0, 4]
    """
    data = text.encode('utf-8', 'replace') if isinstance(text, str) else text
    letters = np.frombuffer(data, dtype=np.uint8).astype(np.int64) - _FIRST_LETTER
    if not len(letters) or letters.min() < 0 or letters.max() >= 64 or letters[-1] & 32:
        raise ValueError('run-length mask with damaged counts')
    ends = np.flatnonzero(letters & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > MAX_LETTERS:
        raise ValueError('run-length mask with damaged counts')
    place = np.arange(len(letters)) - np.repeat(starts, lengths)
    counts = np.add.reduceat((letters & 31) << (5 * place), starts)
    counts -= np.where(letters[ends] & 16, 1 << (5 * lengths), 0)  # a negative number
    counts[1::2] = counts[1::2].cumsum()
    counts[2::2] = counts[2::2].cumsum()
    if counts.min() < 0:
        raise ValueError('run-length mask with damaged counts')
    return counts.tolist()


def encode_columns(
    columns: NDArray[np.bool_], corner_yx: tuple[int, int], size_hw: tuple[int, int]
) -> dict[str, Any]:
    """Encode a mask that is False outside one part of the image.

    Args:
        columns: (w, h), the part, its columns as rows: the order in which COCO's runs go.
        corner_yx: row and column of its first pixel in the image.
        size_hw: (H, W).

    Returns:
        What ``pycocotools.mask.encode`` gives for the whole (H, W) mask, without making one:
        ``size`` [H, W] and ``counts``, compressed to bytes. :func:`decode_runs` undoes it.
    """
    height, width = size_hw
    bordered = np.zeros((len(columns), columns.shape[1] + 2), dtype=np.bool_)
    bordered[:, 1:-1] = columns
    # every column starts and ends outside, so borders alternate: a run begins, a run ends
    column, row = (bordered[:, 1:] != bordered[:, :-1]).nonzero()
    borders = (corner_yx[1] + column) * height + corner_yx[0] + row
    return _encode_borders(borders, size_hw)


def mirrored(rle: dict[str, Any], direction: str = 'horizontal') -> dict[str, Any]:
    """Return the mirror image of a run-length mask, without decoding it.

    Args:
        rle: ``size`` [H, W] and ``counts``, compressed.
        direction: 'horizontal' (left becomes right), 'vertical' or 'diagonal' (both).

    Raises:
        ValueError: the counts are damaged, or the direction is another one.
    """
    if direction not in ('horizontal', 'vertical', 'diagonal'):
        raise ValueError(f'a mask cannot be mirrored in the direction {direction!r}')
    height, width = rle['size']
    places = np.cumsum(checked_runs(rle['counts'], height, width))
    ends = places[1::2]
    starts = places[0::2][: len(ends)]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(starts):
        return rle
    # column by column: a run may go on in the next ones
    first, last = starts // height, (ends - 1) // height
    parts = last - first + 1
    column = np.arange(parts.sum()) + np.repeat(first - (np.cumsum(parts) - parts), parts)
    top = np.maximum(np.repeat(starts, parts) - column * height, 0)
    bottom = np.minimum(np.repeat(ends, parts) - column * height, height)
    if direction != 'horizontal':
        top, bottom = height - bottom, height - top
    if direction != 'vertical':
        column = width - 1 - column
    borders = np.stack([column * height + top, column * height + bottom], axis=1)
    return _encode_borders(borders[borders[:, 0].argsort()].reshape(-1), (height, width))


def _encode_borders(borders: NDArray[np.int64], size_hw: tuple[int, int]) -> dict[str, Any]:
    """Encode runs of foreground.

    Args:
        borders: start and end of each, in order, as places in the image column by column.
        size_hw: (H, W).
    """
    from pycocotools import mask as coco_mask

    height, width = size_hw
    # a run that ends at the lower border goes on where the next column begins
    joined = np.flatnonzero(borders[1:-1:2] == borders[2::2]) * 2 + 1
    if len(joined):
        borders = np.delete(borders, np.concatenate([joined, joined + 1]))
    runs = np.empty(len(borders) + 1, dtype=np.int64)
    runs[:-1], runs[-1] = borders, height * width
    runs[1:] -= borders
    # pycocotools writes no run behind the last pixel
    runs = runs[:-1] if len(runs) > 1 and runs[-1] == 0 else runs
    counts = {'size': [height, width], 'counts': runs.tolist()}
    return coco_mask.frPyObjects(counts, height, width)
