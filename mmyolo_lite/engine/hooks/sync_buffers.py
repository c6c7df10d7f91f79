"""Keep the statistics of batch norms equal in all processes, where they are not synchronised while
training.
"""

import torch
from mmengine.dist import all_reduce_params, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from mmyolo_lite.registry import HOOKS


@HOOKS.register_module()
class SyncModelBuffersHook(Hook):
    """Average the norms' statistics of the model and of its moving average after each epoch.

    Without SyncBN each process has statistics of its own images: validation would score every
    process's images with another model, and none with the one in the checkpoint. mmengine's
    ``SyncBuffersHook`` leaves the moving average out.
    """

    priority = 'HIGH'  # before checkpoints and validation

    def after_train_epoch(self, runner: Runner) -> None:
        """Average over the processes."""
        if get_world_size() == 1:
            return
        averages: list[nn.Module] = [
            hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook)
        ]
        for model in (runner.model, *averages):
            statistics: list[torch.Tensor] = [
                buffer
                for module in model.modules()
                if isinstance(module, _NormBase)
                for buffer in module.buffers(recurse=False)
                if buffer.is_floating_point()
            ]
            all_reduce_params(statistics, op='mean')
