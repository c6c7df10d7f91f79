"""How YOLOv5's parameters are grouped and decayed (spec: loss.md 8)."""

from typing import Any

from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

BIAS_GROUP = 2
"""Index of the group of biases, which warms up from its own learning rate."""


def group_parameters(
    model: nn.Module,
) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Sort the parameters of `model` into decayed weights, norm weights and biases.

    Each appears once, in the order of ``modules()``. Parameters that are neither a weight nor a
    bias go with the decayed weights, which is logged.
    """
    decayed: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    biases: list[nn.Parameter] = []
    seen: set[int] = set()
    stray = []
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            if name == 'bias':
                biases.append(parameter)
            elif name == 'weight' and isinstance(module, _NormBase):
                norms.append(parameter)
            else:
                decayed.append(parameter)
                if name != 'weight':
                    stray.append(f'{prefix}.{name}'.lstrip('.'))
    if stray:
        print_log(
            f'Parameters trained with weight decay, like weights: {", ".join(stray)}',
            logger='current',
        )
    return decayed, norms, biases


def scaled_weight_decay(
    weight_decay: float, total_batch_size: int, base_total_batch_size: int
) -> float:
    """Scale weight decay to the batch size that gradients would be accumulated to."""
    accumulate = max(round(base_total_batch_size / total_batch_size), 1)
    return weight_decay * total_batch_size * accumulate / base_total_batch_size


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class YOLOv5OptimizerConstructor:
    """Build the optimizer with three groups: decayed weights, norm weights, biases.

    Args:
        optim_wrapper_cfg: config of the wrapper; its ``optimizer`` may hold ``batch_size_per_gpu``,
            with which ``weight_decay`` is scaled to the total batch size.
        paramwise_cfg: ``base_total_batch_size``, the batch size that `weight_decay` is meant for.

    Raises:
        ConfigError: ``base_total_batch_size`` or ``optimizer`` is missing.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        paramwise_cfg = {'base_total_batch_size': 64} if paramwise_cfg is None else paramwise_cfg
        if 'base_total_batch_size' not in paramwise_cfg:
            raise ConfigError(
                'optim_wrapper.paramwise_cfg needs base_total_batch_size (64 for YOLOv5); '
                f'it has {sorted(paramwise_cfg)}.'
            )
        if 'optimizer' not in optim_wrapper_cfg:
            raise ConfigError(
                'optim_wrapper needs an optimizer, such as optimizer=dict(type="SGD", lr=0.01).'
            )
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        self.optimizer_cfg = dict(self.optim_wrapper_cfg.pop('optimizer'))
        self.base_total_batch_size = paramwise_cfg['base_total_batch_size']

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Return the optimizer wrapper of `model`."""
        inner: Any = model.module if is_model_wrapper(model) else model
        optimizer_cfg = dict(self.optimizer_cfg)
        weight_decay = optimizer_cfg.pop('weight_decay', 0)
        batch_size = optimizer_cfg.pop('batch_size_per_gpu', None)
        if batch_size is not None:
            total = get_world_size() * batch_size
            scaled = scaled_weight_decay(weight_decay, total, self.base_total_batch_size)
            if scaled != weight_decay:
                print_log(
                    f'weight_decay {weight_decay} becomes {scaled:g} for a total batch size of '
                    f'{total}',
                    logger='current',
                )
            weight_decay = scaled
        decayed, norms, biases = group_parameters(inner)
        groups: list[dict[str, Any]] = [
            {'params': decayed, 'weight_decay': weight_decay},
            {'params': norms},
            {'params': biases},
        ]
        optimizer = OPTIMIZERS.build({**optimizer_cfg, 'params': groups})
        return OPTIM_WRAPPERS.build(self.optim_wrapper_cfg, default_args={'optimizer': optimizer})
