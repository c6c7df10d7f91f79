"""Mixed precision on a CPU.

mmengine 0.10.7's ``AmpOptimWrapper`` asserts an accelerator, although autocast serves CPUs with
bfloat16, which needs no loss scaling. This wrapper, registered under the same name in our scope, is
mmengine's where there is an accelerator and autocasts to bfloat16 where there is none. Can go when
mmengine drops the assertion.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper as _MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(_MMEngineAmpOptimWrapper):
    """Train in mixed precision: float16 or bfloat16 on an accelerator, bfloat16 on a CPU.

    Args:
        loss_scale: mmengine's; without effect on a CPU, where bfloat16 has the range of float32.
        dtype: 'float16', 'bfloat16' or None for the device's default.
        kwargs: mmengine's.

    Raises:
        ConfigError: a `dtype` that a CPU cannot autocast to.
    """

    def __init__(
        self, loss_scale: Any = 'dynamic', dtype: str | torch.dtype | None = None, **kwargs: Any
    ) -> None:
        self._on_cpu = get_device() == 'cpu'
        if not self._on_cpu:
            super().__init__(loss_scale=loss_scale, dtype=dtype, **kwargs)
            return
        if dtype not in (None, 'bfloat16', torch.bfloat16):
            raise ConfigError(
                f'optim_wrapper.dtype is {dtype!r}, but mixed precision on a CPU is bfloat16 only. '
                "Set dtype='bfloat16' or leave it out."
            )
        OptimWrapper.__init__(self, **kwargs)
        self.cast_dtype = torch.bfloat16

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass under autocast."""
        if not self._on_cpu:
            with super().optim_context(model):
                yield
            return
        with OptimWrapper.optim_context(self, model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Back-propagate, scaling the loss where the device needs it."""
        if self._on_cpu:
            OptimWrapper.backward(self, loss, **kwargs)
        else:
            super().backward(loss, **kwargs)

    def step(self, **kwargs: Any) -> None:
        """Step the optimizer."""
        if self._on_cpu:
            OptimWrapper.step(self, **kwargs)
        else:
            super().step(**kwargs)

    def state_dict(self) -> dict:
        """Return the optimizer's state, with the loss scaler's where there is one."""
        return OptimWrapper.state_dict(self) if self._on_cpu else super().state_dict()

    def load_state_dict(self, state_dict: dict) -> None:
        """Load the optimizer's state; a loss scaler's is dropped on a CPU."""
        if self._on_cpu:
            OptimWrapper.load_state_dict(
                self, {k: v for k, v in state_dict.items() if k != 'loss_scaler'}
            )
        else:
            super().load_state_dict(state_dict)
