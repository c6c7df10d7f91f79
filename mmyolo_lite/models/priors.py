"""A small cache of generated priors."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MAX_CACHED_SIZES = 16
"""Input shapes whose priors are kept; batch shapes of a validation set are of this order."""


class PriorCache:
    """Priors of the last few map sizes, kept apart by size, dtype and device.

    Args:
        generator: has ``grid_priors(sizes, dtype, device)``, as mmdet's anchor generators.
    """

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        self._cache: OrderedDict[tuple, list[Tensor]] = OrderedDict()

    def levels(
        self, map_sizes: Sequence[Sequence[int]], dtype: torch.dtype, device: torch.device
    ) -> list[Tensor]:
        """Return for each level (h * w * A, 4) xyxy pixels, index (row * w + column) * A + a.

        Args:
            map_sizes: (h, w) of each level.
            dtype: of the priors.
            device: of the priors.
        """
        key = (tuple(tuple(size) for size in map_sizes), dtype, device)
        if key not in self._cache:
            self._cache[key] = self._generator.grid_priors(map_sizes, dtype=dtype, device=device)
            if len(self._cache) > MAX_CACHED_SIZES:
                self._cache.popitem(last=False)
        return self._cache[key]
