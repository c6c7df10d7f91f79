"""Small constant tensors made on the device they are used on."""

from collections.abc import Sequence

import torch
from torch import Tensor


def filled(values: Sequence[float], like: Tensor) -> Tensor:
    """Return (n,) `values` in the dtype and on the device of `like`.

    ``like.new_tensor(values)`` copies from the host, and on an accelerator the host waits for that
    copy; filling does not.

    >>> filled((3, 4), torch.zeros(1))
    tensor([3., 4.])
    """
    return torch.cat([like.new_full((1,), value) for value in values])
