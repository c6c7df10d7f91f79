"""Run-length masks in COCO's form, encoded from the part of the image that they cover.

Letters: n masks, (H, W) image, (h, w) part of it.
"""

from collections.abc import Iterable
from typing import Any, SupportsIndex, overload

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

Rle = dict[str, Any]
"""``size``: [H, W]; ``counts``: bytes, the compressed form of pycocotools."""


def encode_columns(
    columns: NDArray[np.bool_], corner_yx: tuple[int, int], size_hw: tuple[int, int]
) -> Rle:
    """Encode a mask that is False outside one part of the image.

    Args:
        columns: (w, h), the part, its columns as rows: the order in which COCO's runs go.
        corner_yx: row and column of its first pixel in the image.
        size_hw: (H, W).

    Returns:
        What ``pycocotools.mask.encode`` gives for the whole (H, W) mask, without making one.
    """
    from pycocotools import mask as coco_mask

    height, width = size_hw
    count = columns.shape[1] + 1
    bordered = np.zeros((len(columns), count + 1), dtype=np.bool_)
    bordered[:, 1:-1] = columns
    # every column starts and ends outside, so borders alternate: a run begins, a run ends
    column, row = np.divmod(np.flatnonzero(bordered[:, 1:] != bordered[:, :-1]), count)
    borders = (corner_yx[1] + column) * height + corner_yx[0] + row
    # a run that ends at the lower border goes on where the next column begins
    joined = np.flatnonzero(borders[1:-1:2] == borders[2::2]) * 2 + 1
    borders = np.delete(borders, np.concatenate([joined, joined + 1]))
    runs = np.diff(borders, prepend=0, append=height * width)
    # pycocotools writes no run behind the last pixel
    runs = runs[:-1] if len(runs) > 1 and runs[-1] == 0 else runs
    counts = {'size': [height, width], 'counts': runs.tolist()}
    return coco_mask.frPyObjects(counts, height, width)


class RunLengthMasks(list):
    """The masks of one image as a list of run-length dicts, in place of an (n, H, W) array.

    A list to evaluators, which take it as it is; to what draws, it turns into an array.

    Args:
        masks: n of them.
        size_hw: (H, W), known also when there are none.
    """

    def __init__(self, masks: Iterable[Rle] = (), size_hw: tuple[int, int] = (0, 0)) -> None:
        super().__init__(masks)
        self.size_hw = size_hw

    @overload
    def __getitem__(self, index: SupportsIndex) -> Rle: ...
    @overload
    def __getitem__(self, index: slice) -> 'RunLengthMasks': ...
    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return RunLengthMasks(found, self.size_hw) if isinstance(index, slice) else found

    def __add__(self, other: Iterable[Rle]) -> 'RunLengthMasks':  # type: ignore[override]
        return RunLengthMasks([*self, *other], self.size_hw)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, H, W)."""
        return (len(self), *self.size_hw)

    def numpy(self) -> NDArray[np.bool_]:
        """Return the masks as one bool array (n, H, W)."""
        from pycocotools import mask as coco_mask

        stack = np.zeros(self.shape, dtype=np.bool_)
        for mask, rle in zip(stack, self, strict=True):
            mask[:] = coco_mask.decode(rle)
        return stack

    def to_tensor(self) -> Tensor:
        """Return the masks as one bool tensor (n, H, W)."""
        return torch.from_numpy(self.numpy())

    def astype(self, dtype: DTypeLike) -> NDArray:
        """Return the masks as one array (n, H, W); mmdet's visualizer asks for it."""
        return self.numpy().astype(dtype, copy=False)
