"""Decoding image files to tiles of a mosaic, no more of them than is needed.

Legend: H W pixels of the image, h w of its tile.
"""

import math

import cv2
import mmcv
import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.datasets.jpeg_rows import first_rows

Image = NDArray[np.uint8]

_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_JPEG_MARK = b'\xff\xd8'
"""First bytes of a JPEG file; OpenCV decodes others in full and scales them roughly."""
_MOST_ROWS = 0.9
"""Share of a tile up to which decoding its upper part alone is worth it."""


def decode_tile(
    content: bytes,
    size_wh: tuple[int, int],
    tile_wh: tuple[int, int],
    rows: int | None = None,
    reduced: bool = False,
) -> Image | None:
    """Decode an image file and scale it to a tile.

    Args:
        content: The file.
        size_wh: Width and height that the image must have, EXIF orientation applied.
        tile_wh: Width and height of the tile.
        rows: How many of the tile's rows are needed, from the top; None: all.
        reduced: Decode JPEG files at 1/2, 1/4 or 1/8 of their size as long as the image stays at
            least as large as the tile (spec: data.md 9.3, idea 10).

    Returns:
        (h, w, 3) uint8 BGR, which may lack rows that are not needed; None if the file is damaged
        or has another size.
    """
    tile = decode_reduced(content, size_wh, tile_wh) if reduced else None
    if tile is None and rows is not None and rows <= _MOST_ROWS * tile_wh[1]:
        top = decode_top(content, size_wh, tile_wh, rows)
        if top is not None:
            return top
    if tile is None:
        tile = _decode(content, cv2.IMREAD_COLOR)
        if tile is None or tile.shape[1::-1] != size_wh:
            return None
    return tile if tile.shape[1::-1] == tile_wh else mmcv.imresize(tile, tile_wh)


def decode_top(
    content: bytes, size_wh: tuple[int, int], tile_wh: tuple[int, int], rows: int
) -> Image | None:
    """Decode and scale what the first rows of a tile need, with the pixels of the whole tile.

    Args:
        content: The file; other arguments as in :func:`decode_tile`.
        size_wh: Width and height of the image.
        tile_wh: Width and height of the tile.
        rows: How many are needed.

    Returns:
        (at least `rows`, w, 3) uint8 BGR; None if the file has to be decoded as a whole.
    """
    # the last of the rows lies between two of the image
    needed = math.floor((rows - 0.5) * size_wh[1] / tile_wh[1] - 0.5) + 3
    shorter = first_rows(content, needed, size_wh)
    img = None if shorter is None else _decode(shorter, cv2.IMREAD_COLOR)
    if img is None or img.shape[1] != size_wh[0] or len(img) < needed:
        return None
    if tile_wh == size_wh:
        return img
    # by the ratios of the whole image, which sizes rounded to whole pixels would change
    ratio_x, ratio_y = (tile / size for tile, size in zip(tile_wh, size_wh, strict=True))
    linear = cv2.INTER_LINEAR
    tile = cv2.resize(img[:needed], None, fx=ratio_x, fy=ratio_y, interpolation=linear)
    # OpenCV copies what keeps its size, in place of scaling it by a little
    is_scaled = tile.shape[1] == tile_wh[0] and len(tile) >= rows and len(tile) != needed
    return tile if is_scaled else None  # type: ignore[return-value]


def decode_reduced(
    content: bytes, size_wh: tuple[int, int], least_wh: tuple[int, int]
) -> Image | None:
    """Decode a JPEG file at the smallest size that is at least another.

    Args:
        content: The file.
        size_wh: Width and height of the image.
        least_wh: Width and height that it must keep.

    Returns:
        (H / n, W / n, 3) uint8 BGR with n of 2, 4 or 8; None if it is no JPEG file, or the image is
        too small for that, damaged, or of another size.
    """
    fits = [
        factor
        for factor in _REDUCED
        if all(size // factor >= least for size, least in zip(size_wh, least_wh, strict=True))
    ]
    is_jpeg = content.startswith(_JPEG_MARK)
    img = _decode(content, _REDUCED[max(fits)]) if fits and is_jpeg else None
    expected = tuple(-(-size // max(fits, default=1)) for size in size_wh)
    return img if img is not None and img.shape[1::-1] == expected else None


def _decode(content: bytes | bytearray, flag: int) -> Image | None:
    """Return what OpenCV makes of a file; None if that is nothing with three channels."""
    try:
        img = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except Exception:  # mmcv's loader says what is wrong
        return None
    return img if img is not None and img.ndim == 3 and img.shape[2] == 3 else None  # type: ignore[return-value]
