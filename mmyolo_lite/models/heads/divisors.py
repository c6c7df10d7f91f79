"""What sums of losses are divided by, so that it does not matter how many processes share a batch.

Letters: L levels, B images, A priors per cell, P positives of a level.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.dist import get_world_size
from torch import Tensor

from mmyolo_lite.models.process_means import any_process, mean_over_processes
from mmyolo_lite.ops.assign import Positives


@dataclass(frozen=True)
class Divisors:
    """Of one level.

    Args:
        positives: of sums over positives, a scalar; None is their number in the batch.
        cells: of sums over cells, a scalar; None is their number in the batch.
        ignoring: whether regions are ignored.
    """

    positives: Tensor | None
    cells: Tensor | None
    ignoring: bool


def own_divisors(weight: Tensor | None, kept: Tensor | None) -> Divisors:
    """Return those of a batch that one process has for itself.

    Args:
        weight: (P,) weights of the positives, or None if all count alike.
        kept: (B, A, H, W), 1 for the cells that count, or None if all do.
    """
    return Divisors(
        None if weight is None else weight.sum().clamp(min=1),
        None if kept is None else kept.sum().clamp(min=1),
        kept is not None,
    )


def batch_divisors(
    positives: Sequence[Positives],
    weights: Sequence[Tensor | None],
    kept: Sequence[Tensor | None],
    objectness: Sequence[Tensor],
    may_ignore: bool,
) -> list[Divisors]:
    """Return the divisors of each level.

    With several processes these are the averages of their numbers: data-parallel training averages
    gradients, and the average of sums, divided by the average number, is the mean over the batches
    of all. A mean over the positives of each process would give those of a process with few of them
    more weight than in one process with all images.

    Args:
        positives: of L levels.
        weights: L times (P,), see :func:`own_divisors`.
        kept: likewise.
        objectness: L maps (B, A, H, W).
        may_ignore: whether batches may have ignored regions, the same in all processes.
    """
    if get_world_size() == 1:
        return [own_divisors(*pair) for pair in zip(weights, kept, strict=True)]
    device = objectness[0].device
    ignoring = may_ignore and any_process(kept[0] is not None, device)
    own = [
        torch.tensor(float(len(found)), device=device) if weight is None else weight.sum()
        for found, weight in zip(positives, weights, strict=True)
    ]
    if ignoring:
        own += [
            torch.tensor(float(level.numel()), device=device) if cells is None else cells.sum()
            for level, cells in zip(objectness, kept, strict=True)
        ]
    shared = mean_over_processes(torch.stack(own)).clamp(min=1 / get_world_size())
    count, cells = shared[: len(weights)], shared[len(weights) :]
    return [
        Divisors(count[level], cells[level] if ignoring else None, ignoring)
        for level in range(len(weights))
    ]
