"""How YOLOv5's parameters are grouped and decayed (spec: loss.md 8)."""

import difflib
import math
from collections.abc import Sequence
from typing import Any

from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from mmyolo_lite.engine.accumulation import sum_gradients
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

KINDS = 3
"""Groups come in threes: decayed weights, norm weights, biases."""
BIAS_GROUP = 2
"""Place in a three of the group of biases, which warms up from its own learning rate."""
_FIELDS = ('base_total_batch_size', 'custom_keys')
_MULTIPLIERS = ('lr_mult', 'decay_mult')


Groups = tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]


def group_parameters(model: nn.Module) -> Groups:
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


def split_by_name(model: nn.Module, groups: Groups, keys: Sequence[str]) -> dict[str, Groups]:
    """Divide the groups by the longest of `keys` that is in the name of a parameter.

    Args:
        model: what the parameters belong to.
        groups: of its parameters.
        keys: parts of names, such as 'backbone'.

    Returns:
        Groups by key; those without one under '', first.

    Raises:
        ConfigError: a key is in no name.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    order = sorted(sorted(keys), key=len, reverse=True)  # as in mmengine's constructor
    chosen = {
        identity: next((key for key in order if key in name), '')
        for identity, name in names.items()
    }
    for key in keys:
        if not any(key in name for name in names.values()):
            similar = difflib.get_close_matches(
                key, {part for name in names.values() for part in name.split('.')}, n=1
            )
            hint = f'Did you mean {similar[0]!r}?' if similar else 'Try backbone, neck, bbox_head.'
            raise ConfigError(
                f'optim_wrapper.paramwise_cfg.custom_keys has {key!r}, which is in the name of no '
                f'parameter. {hint}'
            )
    found = {}
    for key in ('', *keys):
        of_key = [[one for one in group if chosen[id(one)] == key] for group in groups]
        found[key] = (of_key[0], of_key[1], of_key[2])
    return found


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class YOLOv5OptimizerConstructor:
    """Build the optimizer with three groups: decayed weights, norm weights, biases.

    Gradients that the wrapper accumulates (``accumulative_counts``) are added up, see
    :class:`mmyolo_lite.engine.accumulation.SummedGradients`.

    Args:
        optim_wrapper_cfg: config of the wrapper; its ``optimizer`` may hold ``batch_size_per_gpu``,
            with which ``weight_decay`` is scaled to the total batch size of a step.
        paramwise_cfg: ``base_total_batch_size``, the batch size that `weight_decay` is meant for;
            ``custom_keys``, a dict of parts of parameters' names to ``lr_mult`` and ``decay_mult``,
            such as ``{'backbone': dict(lr_mult=0.1)}``. The longest key in a name counts, and each
            key gets three groups of its own, behind the others.

    Raises:
        ConfigError: ``base_total_batch_size`` or ``optimizer`` is missing, or a field is unknown
            or out of its range.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        paramwise_cfg = dict(paramwise_cfg or {'custom_keys': {}})
        self.custom_keys = _checked_keys(paramwise_cfg.get('custom_keys', {}))
        if 'custom_keys' in paramwise_cfg:
            paramwise_cfg.setdefault('base_total_batch_size', 64)
        if 'base_total_batch_size' not in paramwise_cfg or set(paramwise_cfg) - set(_FIELDS):
            raise ConfigError(
                'optim_wrapper.paramwise_cfg needs base_total_batch_size (64 for YOLOv5) and may '
                f'have custom_keys, no more; it has {sorted(map(str, paramwise_cfg))}.'
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
            accumulated = self.optim_wrapper_cfg.get('accumulative_counts', 1)
            total = get_world_size() * batch_size * accumulated
            scaled = scaled_weight_decay(weight_decay, total, self.base_total_batch_size)
            if scaled != weight_decay:
                print_log(
                    f'weight_decay {weight_decay} becomes {scaled:g} for a total batch size of '
                    f'{total}',
                    logger='current',
                )
            weight_decay = scaled
        groups: list[dict[str, Any]] = []
        base_lr = optimizer_cfg.get('lr')
        divided = split_by_name(inner, group_parameters(inner), list(self.custom_keys))
        for key, (decayed, norms, biases) in divided.items():
            factors = self.custom_keys.get(key, {})
            decay = weight_decay * factors.get('decay_mult', 1)
            of_key: list[dict[str, Any]] = [
                {'params': decayed, 'weight_decay': decay},
                {'params': norms},
                {'params': biases},
            ]
            if base_lr is not None and 'lr_mult' in factors:
                of_key = [{**group, 'lr': base_lr * factors['lr_mult']} for group in of_key]
            groups += of_key
        optimizer = OPTIMIZERS.build({**optimizer_cfg, 'params': groups})
        wrapper = OPTIM_WRAPPERS.build(
            self.optim_wrapper_cfg, default_args={'optimizer': optimizer}
        )
        return sum_gradients(wrapper)


def _checked_keys(given: Any) -> dict[str, dict[str, float]]:
    """Return ``custom_keys``.

    Raises:
        ConfigError: it is no dict of dicts of multipliers that are 0 or more.
    """
    path = 'optim_wrapper.paramwise_cfg.custom_keys'
    if not isinstance(given, dict):
        raise ConfigError(
            f"{path} is {given!r}; it must be like {{'backbone': dict(lr_mult=0.1)}}."
        )
    for key, factors in given.items():
        for name, value in factors.items() if isinstance(factors, dict) else [('', factors)]:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if name not in _MULTIPLIERS or not (number and 0 <= value < math.inf):
                raise ConfigError(
                    f'{path}[{key!r}] is {factors!r}; it takes {" and ".join(_MULTIPLIERS)}, '
                    'numbers of at least 0.'
                )
    return {str(key): dict(factors) for key, factors in given.items()}
