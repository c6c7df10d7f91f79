"""The average of the weights over the course of training (spec: loss.md 10)."""

import math
from itertools import chain

import torch
from mmengine.model.averaged_model import BaseAveragedModel
from torch import Tensor, nn

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import MODELS


@MODELS.register_module()
class ExpMomentumEMA(BaseAveragedModel):
    """Exponential moving average whose momentum starts near 1 and falls to `momentum`.

    After k updates ``m = (1 - momentum) * exp(-(1 + k) / gamma) + momentum`` and ``average += m *
    (source - average)``; the first update copies.

    Args:
        model: the source.
        momentum: its final value, in (0, 1).
        gamma: updates over which the momentum falls, > 0.
        interval: average at every such update.
        device: where the average lives; None is the model's.
        update_buffers: average floating-point buffers too, and leave integer ones at their first
            values. Otherwise buffers are copied at every update.
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        gamma: int = 2000,
        interval: int = 1,
        device: torch.device | None = None,
        update_buffers: bool = False,
    ) -> None:
        if gamma <= 0 or not 0 < momentum < 1:
            raise ConfigError(
                f'ExpMomentumEMA: momentum {momentum} must lie in (0, 1) and gamma {gamma} above 0.'
            )
        super().__init__(model, interval, device, update_buffers)
        self.momentum, self.gamma = momentum, gamma
        # the last seen tensor of `steps`, its version, and its value
        self._known: tuple[Tensor | None, int, int] = (None, 0, 0)

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        """Move one tensor in place; :meth:`update_parameters` moves all at once.

        Args:
            averaged_param: of any shape.
            source_param: of the same shape.
            steps: updates so far.
        """
        averaged_param.lerp_(source_param, self.momentum_at(int(steps)))

    def momentum_at(self, steps: int) -> float:
        """Return the momentum after `steps` updates."""
        return (1 - self.momentum) * math.exp(-(1 + steps) / self.gamma) + self.momentum

    def update_parameters(self, model: nn.Module) -> None:
        """Take one step towards `model`, in a few kernels for all tensors."""
        steps = self._count()
        source = dict(chain(model.named_parameters(), model.named_buffers()))
        with torch.no_grad():
            if steps % self.interval == 0:
                average, current = self._pairs(source, only_float=steps > 0)
                if steps == 0:
                    torch._foreach_copy_(average, current)
                elif average:
                    torch._foreach_lerp_(average, current, self.momentum_at(steps))
            if not self.update_buffers:
                buffers = dict(self.module.named_buffers())
                if buffers:
                    torch._foreach_copy_(list(buffers.values()), [source[n] for n in buffers])
        self.steps += 1
        self._known = (self.steps, self.steps._version, steps + 1)

    def _count(self) -> int:
        """Return `steps`, read from the device only if others than we have changed it: the host
        would wait there for all that the device has left to do.
        """
        tensor, version, count = self._known
        if tensor is not None and tensor is self.steps and version == tensor._version:
            return count
        return int(self.steps)

    def _pairs(
        self, source: dict[str, Tensor], only_float: bool
    ) -> tuple[list[Tensor], list[Tensor]]:
        averaged = chain(
            self.module.named_parameters(),
            self.module.named_buffers() if self.update_buffers else (),
        )
        chosen = {
            name: value.data
            for name, value in averaged
            if not only_float or value.is_floating_point()
        }
        return list(chosen.values()), [
            source[name].data.to(value.device) for name, value in chosen.items()
        ]
