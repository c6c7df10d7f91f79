"""Finds the calls that would make the host wait for an accelerator, by watching the operators that
run on the CPU.
"""

from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense,  # item(), int(), bool(); tolist() is not seen
    aten.nonzero,
    aten.masked_select,
    aten.unique_dim,
    aten._unique2,
    aten.unique_consecutive,
    aten.bincount,
    aten.lift_fresh,  # torch.tensor(...) of host numbers
    aten.equal,
    aten.is_nonzero,
}


class _Watch(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        packet, kwargs = func.overloadpacket, kwargs or {}
        indices = args[1] if packet in (aten.index, aten.index_put, aten.index_put_) else ()
        by_mask = any(index is not None and index.dtype == torch.bool for index in indices)
        sizes_unknown = packet is aten.repeat_interleave and kwargs.get('output_size') is None
        if packet in WAITING or by_mask or sizes_unknown:
            self.found.append(str(func))
        return func(*args, **kwargs)


def host_waits(run: Callable[[], Any]) -> list[str]:
    """Return the names of the operators in `run` whose result or argument lies on the host."""
    where = torch.where

    def watched_where(condition: Tensor, *args: Any) -> Any:
        if not all(isinstance(arg, Tensor) for arg in args):
            watch.found.append('where with a scalar')  # goes through a tensor on the host
        return where(condition, *args)

    with _Watch() as watch, mock.patch.object(torch, 'where', watched_where):
        run()
    return watch.found
