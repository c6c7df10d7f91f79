"""What the processes of a training compute together."""

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean over all processes of a tensor of any shape, the same in all of them, without
    gradient; they all have to ask.
    """
    values = values.detach()
    if get_world_size() > 1:
        values = values.clone()
        all_reduce(values, op='mean')
    return values


def any_process(flag: bool, device: torch.device) -> bool:
    """Say whether `flag` is set in any process; they all have to ask, and wait for the answer."""
    return bool(mean_over_processes(torch.tensor(float(flag), device=device)) > 0)
