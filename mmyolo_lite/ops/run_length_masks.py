"""Run-length masks of one image in place of an array of them.

Letters: n masks, (H, W) image.
"""

from collections.abc import Iterable
from typing import Any, SupportsIndex, overload

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

Rle = dict[str, Any]
"""``size``: [H, W]; ``counts``: bytes, the compressed form of pycocotools."""


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
