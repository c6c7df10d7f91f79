"""The part of a run-length mask that has pixels, without an array of the whole image.

Letters: (H, W) image.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.ops.run_lengths import encode_columns, uncompressed


class MaskCrop(NamedTuple):
    """A mask cut to its pixels.

    Attributes:
        top: row of the first pixel in the image.
        left: column of the first pixel in the image.
        pixels: (h, w) bool; its outer rows and columns have pixels, or it is (0, 0).
    """

    top: int
    left: int
    pixels: NDArray[np.bool_]


def crop_mask(rle: dict[str, Any]) -> MaskCrop:
    """Decode the part of a run-length mask that has pixels; :func:`place_mask` undoes it.

    Args:
        rle: ``size`` [H, W] and compressed ``counts``. No more than the columns that have pixels
            are in memory.

    >>> rle = place_mask(MaskCrop(2, 1, np.ones((1, 3), dtype=bool)), (4, 5))
    >>> crop_mask(rle)
    MaskCrop(top=2, left=1, pixels=array([[ True,  True,  True]]))
    """
    from pycocotools import mask as coco_mask

    left, top, width, height = (int(value) for value in coco_mask.toBbox(rle))
    if not width or not height:
        return MaskCrop(0, 0, np.zeros((0, 0), dtype=np.bool_))
    column = int(rle['size'][0])
    start = left * column
    ends = np.cumsum(uncompressed(rle['counts'])).clip(start, start + width * column)
    lengths = np.diff(ends, prepend=start)
    columns = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, column)
    return MaskCrop(top, left, columns[:, top : top + height].T)


def place_mask(crop: MaskCrop, size_hw: tuple[int, int]) -> dict[str, Any]:
    """Return the run-length mask of an image (H, W) that has the pixels of a crop inside it."""
    return encode_columns(crop.pixels.T, (crop.top, crop.left), size_hw)


def moved_mask(
    rle: dict[str, Any], offset_yx: tuple[int, int], size_hw: tuple[int, int]
) -> dict[str, Any]:
    """Return the mask of a part of an image as one of the image (H, W).

    Args:
        rle: of the part, which lies inside the image.
        offset_yx: row and column of the part's first pixel in the image.
        size_hw: (H, W).
    """
    top, left, pixels = crop_mask(rle)
    return place_mask(MaskCrop(top + offset_yx[0], left + offset_yx[1], pixels), size_hw)


def united_mask(masks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the union of run-length masks of one image, at least one; no array is made."""
    from pycocotools import mask as coco_mask

    return coco_mask.merge(list(masks)) if len(masks) > 1 else masks[0]


def shared_pixels(one: dict[str, Any], other: dict[str, Any]) -> int:
    """Return the number of pixels that lie in both run-length masks; no array is made."""
    from pycocotools import mask as coco_mask

    return int(coco_mask.area(coco_mask.merge([one, other], intersect=True)))
