"""Gradients accumulated over several batches amount to those of one large batch."""

import logging
from functools import cache
from typing import Any

from mmengine.logging import MessageHub, print_log
from mmengine.optim import OptimWrapper
from mmengine.utils.dl_utils import has_batch_norm
from torch import Tensor, nn


class SummedGradients(OptimWrapper):
    """An optimizer wrapper that adds gradients up, and steps at the end of each epoch too.

    The losses of this project are sums over the images of a batch (spec: loss.md 3.5), so gradients
    of batches add up to that of the large batch. mmengine averages them, which steps as far as one
    of the small batches would. It also carries a remainder over the end of an epoch, which no
    checkpoint holds.
    """

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Return the loss as it is."""
        return loss

    def should_update(self) -> bool:
        """Say whether the batch just seen is the last before a step."""
        return self._ends_group(self._inner_count)

    def should_sync(self) -> bool:
        """Say whether the coming batch is the last before a step."""
        return self._ends_group(self._inner_count + 1)

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Start to count at an iteration, 0 or that of a checkpoint."""
        self._inner_count, self._max_counts = init_counts, max_counts
        counts, position = self._accumulative_counts, self._position(init_counts)
        if position % counts:
            print_log(
                f'The gradients of the last {position % counts} iterations before the checkpoint '
                'are lost: training was stopped between two steps of the optimizer '
                f'(accumulative_counts={counts}).',
                'current',
                logging.WARNING,
            )
        if has_batch_norm(model):
            print_log(
                f'Gradients of {counts} batches add up to one step; batch norms still see one '
                'batch at a time.',
                'current',
            )

    def _position(self, count: int) -> int:
        """Return how many batches of the epoch are seen after `count` of the training."""
        return count % epoch_length() if epoch_length() else count

    def _ends_group(self, count: int) -> bool:
        position = self._position(count)
        ends_epoch = position == 0 and epoch_length() > 0
        return ends_epoch or position % self._accumulative_counts == 0 or count == self._max_counts


def epoch_length() -> int:
    """Return the iterations of an epoch of the current training, or 0 outside of one."""
    hub = MessageHub.get_current_instance()
    epochs, iters = hub.get_info('max_epochs'), hub.get_info('max_iters')
    return iters // epochs if epochs and iters else 0


def sum_gradients(wrapper: OptimWrapper) -> OptimWrapper:
    """Let a wrapper that accumulates add gradients up; return it."""
    if getattr(wrapper, '_accumulative_counts', 1) > 1:
        kind: Any = type(wrapper)
        wrapper.__class__ = _summing(kind)
    return wrapper


@cache
def _summing(kind: Any) -> Any:
    return type(kind.__name__, (SummedGradients, kind), {'__doc__': kind.__doc__})
