"""Batch norms over all processes on CPUs, where PyTorch's SyncBatchNorm does not train.

Letters: B images, C channels, R processes; N is the number of values of a channel in the batches of
all processes.
"""

from typing import Any

import torch
from mmengine.dist import get_world_size
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm


class CpuSyncBatchNorm(_BatchNorm):
    """A batch norm that shares its statistics with the other processes while it trains.

    The batches of the processes may differ in size. Names of parameters and statistics are those of
    a batch norm.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f'expected at least 2 dimensions, got {input.dim()}')

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, ...)."""
        if not self.training or get_world_size() == 1:
            return super().forward(input)
        self._check_input_dim(input)
        return self._normalise(input)

    @torch.compiler.disable
    def _normalise(self, values: Tensor) -> Tensor:
        """Normalise a batch of a training by the statistics of all processes, and note these."""
        outputs, mean, var, count = _SharedNorm.apply(values, self.weight, self.bias, self.eps)
        if self.track_running_stats and self.running_mean is not None:
            assert self.running_var is not None and self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            unbiased = var * count / (count - 1).clamp(min=1)
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean), share)
                self.running_var.lerp_(unbiased.to(self.running_var), share)
        return outputs


class _SharedNorm(torch.autograd.Function):
    """Batch normalisation by the statistics of all processes."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the normalised values (B, C, ...), mean (C,), variance (C,) and N."""
        axes = [axis for axis in range(values.dim()) if axis != 1]
        var, mean = torch.var_mean(values.float(), axes, correction=0)
        own_count = mean.new_full((1,), values.numel() // values.shape[1])
        # in double precision, so that it does not matter how the batch was dealt out
        own = torch.cat((own_count, mean, var)).double()
        parts = [torch.empty_like(own) for _ in range(get_world_size())]
        distributed.all_gather(parts, own)
        counts, means, variances = torch.stack(parts).split((1, len(mean), len(mean)), dim=1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        var = (counts * (variances + (means - mean) ** 2)).sum(0) / count
        outputs = torch.batch_norm(
            values, weight, bias, mean.float(), var.float(), False, 0.0, eps, False
        )
        ctx.save_for_backward(values, weight, mean.float(), (var + eps).rsqrt().float(), count)
        ctx.mark_non_differentiable(mean, var, count)
        return outputs, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients of values, weight and bias; the last two are those of the own batch,
        which data-parallel training averages.
        """
        values, weight, mean, inverse_std, count = ctx.saved_tensors
        axes = [axis for axis in range(values.dim()) if axis != 1]
        shape = [1, -1] + [1] * (values.dim() - 2)
        upstream = gradient.float()
        normed = (values.float() - mean.view(shape)) * inverse_std.view(shape)
        sums = torch.stack((upstream.sum(axes), (upstream * normed).sum(axes)))
        shared = sums.double()
        distributed.all_reduce(shared)
        mean_up, mean_product = (shared / count).float()
        factor = inverse_std if weight is None else inverse_std * weight
        inward = upstream - mean_up.view(shape) - normed * mean_product.view(shape)
        inward = (inward * factor.view(shape)).to(values.dtype)
        return (
            inward,
            None if weight is None else sums[1],
            None if weight is None else sums[0],
            None,
        )


def sync_norms_on_cpu(model: nn.Module) -> None:
    """Put norms that train on a CPU in the place of PyTorch's synchronised ones, in place."""
    for module in model.modules():
        if isinstance(module, nn.SyncBatchNorm):
            # a new module in its place would be unknown to whoever holds this one already
            module.__class__ = CpuSyncBatchNorm  # type: ignore[assignment]
