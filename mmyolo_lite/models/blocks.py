"""Rounding rules and building blocks shared by backbone, neck and heads (spec: model.md 2 and 3).

Letters: B images, c channels, H W map size in cells.
"""

import math
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmdet.models.layers.csp_layer import CSPLayer
from mmengine.model import BaseModule
from torch import Tensor, nn

NORM_CFG = {'type': 'BN', 'momentum': 0.03, 'eps': 0.001}
"""Batch norm of every YOLOv5 convolution."""
ACT_CFG = {'type': 'SiLU', 'inplace': True}
"""Activation of every YOLOv5 convolution."""


def make_divisible(x: float, widen_factor: float = 1.0, divisor: int = 8) -> int:
    """Scale a channel count and round it *up* to a multiple of `divisor`.

    >>> make_divisible(64, 0.33)
    24
    """
    return math.ceil(x * widen_factor / divisor) * divisor


def make_round(x: int, deepen_factor: float = 1.0) -> int:
    """Scale a block count, ties to even, never below 1; counts up to 1 stay.

    >>> make_round(9, 0.5)
    4
    """
    return max(round(x * deepen_factor), 1) if x > 1 else x


def conv_unit(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    padding: int | None = None,
    **cfg: Any,
) -> ConvModule:
    """Build convolution (no bias) + norm + activation; padding defaults to ``kernel_size // 2``.

    `cfg` holds ``norm_cfg`` and ``act_cfg``; both default to YOLOv5's.
    """
    cfg = {'norm_cfg': NORM_CFG, 'act_cfg': ACT_CFG, **cfg}
    padding = kernel_size // 2 if padding is None else padding
    return ConvModule(in_channels, out_channels, kernel_size, stride=stride, padding=padding, **cfg)


def csp_layer(
    in_channels: int, out_channels: int, num_blocks: int, add_identity: bool, **cfg: Any
) -> CSPLayer:
    """Build a cross-stage-partial layer (https://arxiv.org/abs/1911.11929) of `num_blocks`
    bottlenecks.
    """
    cfg = {'norm_cfg': NORM_CFG, 'act_cfg': ACT_CFG, **cfg}
    return CSPLayer(
        in_channels, out_channels, num_blocks=num_blocks, add_identity=add_identity, **cfg
    )


class SPPFBottleneck(BaseModule):
    """Fast spatial pyramid pooling: one max-pool applied three times in a row (spec: model.md 3).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: side of the max-pool window, in cells; odd.
        cfg: ``norm_cfg`` and ``act_cfg``.

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, H, W)
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 5, **cfg: Any
    ) -> None:
        super().__init__()
        hidden = in_channels // 2
        self.conv1 = conv_unit(in_channels, hidden, 1, **cfg)
        self.poolings = nn.MaxPool2d(kernel_size, stride=1, padding=kernel_size // 2)
        self.conv2 = conv_unit(4 * hidden, out_channels, 1, **cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Pool; for shapes see the class."""
        maps = [self.conv1(x)]
        for _ in range(3):
            maps.append(self.poolings(maps[-1]))
        return self.conv2(torch.cat(maps, dim=1))


def reset_convolutions(module: nn.Module) -> None:
    """Give every convolution PyTorch's own default weights (Kaiming uniform, a = sqrt 5; spec:
    model.md 7).
    """
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            child.reset_parameters()


def freeze(module: nn.Module) -> None:
    """Stop training `module`: no gradients, batch norms in eval mode."""
    for child in module.modules():
        child.training = (
            False  # not eval(): a module may freeze itself whenever its mode is switched
        )
    module.requires_grad_(False)
