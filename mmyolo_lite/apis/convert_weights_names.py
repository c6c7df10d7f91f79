"""The names and shapes of official YOLOv5 weights (P5, v6, v7), and the model that they fit (spec:
weights.md).

Letters: A priors per cell, C classes, K mask channels.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmyolo_lite.errors import CheckpointError
from mmyolo_lite.models.backbones.csp_darknet import YOLOv5CSPDarknet
from mmyolo_lite.models.blocks import make_divisible, make_round
from mmyolo_lite.models.heads.head_modules import YOLOv5HeadModule, YOLOv5InsHeadModule
from mmyolo_lite.models.necks.pafpn import YOLOv5PAFPN

_UNIT, _CSP, _SPPF, _HEAD = range(4)
_LAYERS = {
    0: ('backbone.stem', _UNIT),
    **{2 * stage - 1: (f'backbone.stage{stage}.0', _UNIT) for stage in range(1, 5)},
    **{2 * stage: (f'backbone.stage{stage}.1', _CSP) for stage in range(1, 5)},
    9: ('backbone.stage4.2', _SPPF),
    10: ('neck.reduce_layers.2', _UNIT),
    13: ('neck.top_down_layers.0.0', _CSP),
    14: ('neck.top_down_layers.0.1', _UNIT),
    17: ('neck.top_down_layers.1', _CSP),
    18: ('neck.downsample_layers.0', _UNIT),
    20: ('neck.bottom_up_layers.0', _CSP),
    21: ('neck.downsample_layers.1', _UNIT),
    23: ('neck.bottom_up_layers.1', _CSP),
    24: ('bbox_head.head_module', _HEAD),
}
_INSIDE = {
    _UNIT: [],
    _CSP: [
        (r'^cv1\.', 'main_conv.'),
        (r'^cv2\.', 'short_conv.'),
        (r'^cv3\.', 'final_conv.'),
        (r'^m\.(\d+)\.cv([12])\.', r'blocks.\1.conv\2.'),
    ],
    _SPPF: [(r'^cv([12])\.', r'conv\1.')],
    _HEAD: [(r'^m\.(\d+)\.', r'convs_pred.\1.'), (r'^proto\.cv([123])\.', r'proto_pred.conv\1.')],
}
ANCHORS = 'model.24.anchors'
_P6_HEAD = 'model.33.'
_WITHOUT_ANCHORS = ('model.24.cv2.', 'model.24.dfl.')
_FACTORS = {
    'n': (0.33, 0.25),
    's': (0.33, 0.5),
    'm': (0.67, 0.75),
    'l': (1.0, 1.0),
    'x': (1.33, 1.25),
}
_HEAD_MODULE = 'bbox_head.head_module'
_IN_CHANNELS = [256, 512, 1024]
_EPS = 0.001  # of every batch norm, here and there


def own_name(name: str) -> str | None:
    """Return the name in this project of an official parameter or buffer, None if it has none.

    >>> own_name('model.2.m.0.cv1.conv.weight')
    'backbone.stage1.1.blocks.0.conv1.conv.weight'
    """
    found = re.fullmatch(r'model\.(\d{1,2})\.(.+)', name)
    layer = _LAYERS.get(int(found[1])) if found else None
    if found is None or layer is None:
        return None
    prefix, kind = layer
    rest = found[2]
    for pattern, replacement in _INSIDE[kind]:
        rest, count = re.subn(pattern, replacement, rest)
        if count:
            break
    else:
        if kind != _UNIT:
            return None
    return f'{prefix}.{rest}'


def rename(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights under the names of this project, and the names that have none.

    A prefix ``module.`` that all names have is taken away first.

    Raises:
        CheckpointError: it is a P6 model, or one without anchors.
    """
    prefix = 'module.' if weights and all(name.startswith('module.') for name in weights) else ''
    given = {name.removeprefix(prefix): value for name, value in weights.items()}
    if any(name.startswith(_P6_HEAD) for name in given):
        raise CheckpointError(
            'these are the weights of a P6 model (four levels, input of 1280 pixels), and there is '
            'no such model here. Take the P5 file of the same size, without the 6 in its name.'
        )
    if any(name.startswith(_WITHOUT_ANCHORS) for name in given):
        raise CheckpointError(
            'these are the weights of a model without anchors (a u in its name), which YOLOv5 v6 '
            'and v7 are not. Take the file of the same size without the u.'
        )
    renamed, unmatched = {}, []
    for name, value in given.items():
        own = own_name(name)
        if own is not None:
            renamed[own] = value
        elif name != ANCHORS:
            unmatched.append(name)
    return renamed, unmatched


@dataclass(frozen=True)
class Architecture:
    """What the shapes of weights say about their model.

    Attributes:
        size: n, s, m, l or x.
        num_classes: C.
        num_base_priors: A.
        mask_channels: K, 0 for detection.
    """

    size: str
    num_classes: int
    num_base_priors: int
    mask_channels: int

    @property
    def task(self) -> str:
        """'detection' or 'segmentation'."""
        return 'segmentation' if self.mask_channels else 'detection'

    @property
    def factors(self) -> tuple[float, float]:
        """``deepen_factor`` and ``widen_factor``."""
        return _FACTORS[self.size]


def architecture(weights: Mapping[str, Tensor], num_base_priors: int = 3) -> Architecture:
    """Find the model that weights belong to.

    Args:
        weights: tensors by the names of this project.
        num_base_priors: A.

    Raises:
        CheckpointError: it is none of the family, or the prediction layer does not fit.
    """
    stem, prediction, coefficients = (
        weights.get(name)
        for name in (
            'backbone.stem.conv.weight',
            f'{_HEAD_MODULE}.convs_pred.0.weight',
            f'{_HEAD_MODULE}.proto_pred.conv3.conv.weight',
        )
    )
    if stem is None or prediction is None or not stem.dim() or not prediction.dim():
        raise CheckpointError(
            'these are no weights of YOLOv5 v6 or v7: the first or the last layer (model.0.conv, '
            'model.24.m.0) is missing.'
        )
    depths = tuple(
        len({n.split('.')[4] for n in weights if n.startswith(f'backbone.stage{stage}.1.blocks.')})
        for stage in range(1, 5)
    )
    size = next(
        (
            size
            for size, (deepen, widen) in _FACTORS.items()
            if stem.shape[0] == make_divisible(64, widen)
            and depths == tuple(make_round(count, deepen) for count in (3, 6, 9, 3))
        ),
        None,
    )
    if size is None:
        raise CheckpointError(
            f'no size n, s, m, l or x has a first layer of {stem.shape[0]} channels and stages of '
            f'{", ".join(map(str, depths))} bottlenecks.'
        )
    masks = coefficients.shape[0] if coefficients is not None and coefficients.dim() else 0
    outputs = prediction.shape[0]
    classes = outputs // num_base_priors - 5 - masks
    if outputs % num_base_priors or classes < 1:
        raise CheckpointError(
            f'the prediction layer has {outputs} outputs, which fit no number of classes with '
            f'{num_base_priors} anchors a level and {masks} mask coefficients.'
        )
    return Architecture(size, classes, num_base_priors, masks)


def expected_weights(model: Architecture) -> dict[str, Tensor]:
    """Return the state dict of the model, in its order; the tensors have shapes and no content."""
    deepen, widen = model.factors
    module: dict[str, Any] = {
        'in_channels': _IN_CHANNELS,
        'num_classes': model.num_classes,
        'widen_factor': widen,
        'num_base_priors': model.num_base_priors,
    }
    with torch.device('meta'):
        parts: dict[str, nn.Module] = {
            'backbone': YOLOv5CSPDarknet(deepen_factor=deepen, widen_factor=widen),
            'neck': YOLOv5PAFPN(_IN_CHANNELS, _IN_CHANNELS, deepen, widen, num_csp_blocks=3),
            _HEAD_MODULE: YOLOv5InsHeadModule(mask_channels=model.mask_channels, **module)
            if model.mask_channels
            else YOLOv5HeadModule(**module),
        }
    return {
        f'{prefix}.{name}': tensor
        for prefix, part in parts.items()
        for name, tensor in part.state_dict().items()
    }


def with_identity_norms(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], int]:
    """Give fused convolutions, which have a bias and no batch norm, a norm that adds the bias.

    Args:
        weights: tensors by the names of this project.
        expected: state dict of the model, whose shapes count.

    Returns:
        The weights, and the number of convolutions that were fused.
    """
    done, count = dict(weights), 0
    for name in weights:
        norm = name.removesuffix('.conv.bias') + '.bn'
        if not name.endswith('.conv.bias') or f'{norm}.weight' not in expected:
            continue
        bias = done.pop(name).float()
        count += 1
        done[f'{norm}.bias'] = bias
        done[f'{norm}.running_mean'] = torch.zeros_like(bias)
        done[f'{norm}.running_var'] = torch.full_like(bias, 1 - _EPS)
        done[f'{norm}.weight'] = torch.ones_like(bias)
        done[f'{norm}.num_batches_tracked'] = torch.zeros((), dtype=torch.int64)
    return done, count
