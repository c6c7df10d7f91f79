"""The YOLOv5 neck: a feature pyramid and a path back down (spec: model.md 5)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.models import blocks
from mmyolo_lite.registry import MODELS


@MODELS.register_module()
class YOLOv5PAFPN(BaseModule):
    """Path aggregation (https://arxiv.org/abs/1803.01534) over three maps, with CSP layers.

    Args:
        in_channels: channels of the three maps before widening, strides 8, 16, 32.
        out_channels: accepted and unused; outputs have the widths of the inputs.
        deepen_factor: scales `num_csp_blocks`.
        widen_factor: scales the channels.
        num_csp_blocks: bottlenecks of every CSP layer.
        freeze_all: no part of the neck trains.
        norm_cfg: batch norm config.
        act_cfg: activation config.
        init_cfg: mmengine's; None takes PyTorch's default weights.

    Shape:
        tuple of (B, c_l, h_l, w_l), each map half the size of the one before -> the same shapes

    Raises:
        ConfigError: `in_channels` and `widen_factor` give widths that cannot be wired.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int] | int,
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        num_csp_blocks: int = 1,
        freeze_all: bool = False,
        norm_cfg: dict = blocks.NORM_CFG,
        act_cfg: dict = blocks.ACT_CFG,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.freeze_all = freeze_all
        cfg: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}
        c0, c1, c2 = self._widths(in_channels, widen_factor)
        count = blocks.make_round(num_csp_blocks, deepen_factor)

        def csp(c_in: int, c_out: int) -> nn.Module:
            return blocks.csp_layer(c_in, c_out, count, add_identity=False, **cfg)

        # The order of registration is the order of parameters in checkpoints (spec: model.md 12).
        self.reduce_layers = nn.ModuleList(
            [nn.Identity(), nn.Identity(), blocks.conv_unit(c2, c1, 1, **cfg)]
        )
        self.upsample_layers = nn.ModuleList(
            [nn.Upsample(scale_factor=2, mode='nearest') for _ in range(2)]
        )
        self.top_down_layers = nn.ModuleList(
            [nn.Sequential(csp(2 * c1, c1), blocks.conv_unit(c1, c0, 1, **cfg)), csp(2 * c0, c0)]
        )
        self.downsample_layers = nn.ModuleList(
            [blocks.conv_unit(c, c, 3, stride=2, **cfg) for c in (c0, c1)]
        )
        self.bottom_up_layers = nn.ModuleList([csp(2 * c0, c1), csp(2 * c1, c2)])
        self.out_layers = nn.ModuleList([nn.Identity() for _ in range(3)])
        self.train()

    @staticmethod
    def _widths(in_channels: Sequence[int], widen_factor: float) -> list[int]:
        if len(in_channels) != 3:
            raise ConfigError(
                f'neck.in_channels has {len(in_channels)} numbers; YOLOv5PAFPN joins three maps.'
            )
        widths = [blocks.make_divisible(c, widen_factor) for c in in_channels]
        if widths[1] != 2 * widths[0] or widths[2] != 2 * widths[1]:
            valid = max(round(widen_factor * 32), 1) / 32
            raise ConfigError(
                f'neck: in_channels {tuple(in_channels)} with widen_factor {widen_factor} become '
                f'widths {tuple(widths)}, but each must be twice the one before. Multiples of 1/32 '
                f'work with the widths 256, 512, 1024; the nearest to yours is {valid}.'
            )
        return widths

    def init_weights(self) -> None:
        """Set PyTorch's default weights, or follow `init_cfg` if there is one."""
        if self.init_cfg is None:
            blocks.reset_convolutions(self)
        else:
            super().init_weights()

    def train(self, mode: bool = True) -> 'YOLOv5PAFPN':
        """Switch the mode; a frozen neck stays frozen."""
        super().train(mode)
        if self.freeze_all:
            blocks.freeze(self)
        return self

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the three joined maps, the finest first; for shapes see the class."""
        x0, x1, x2 = inputs
        r2 = self.reduce_layers[2](x2)
        t1 = self.top_down_layers[0](torch.cat((self.upsample_layers[0](r2), x1), dim=1))
        t0 = self.top_down_layers[1](torch.cat((self.upsample_layers[1](t1), x0), dim=1))
        o1 = self.bottom_up_layers[0](torch.cat((self.downsample_layers[0](t0), t1), dim=1))
        o2 = self.bottom_up_layers[1](torch.cat((self.downsample_layers[1](o1), r2), dim=1))
        return tuple(layer(x) for layer, x in zip(self.out_layers, (t0, o1, o2), strict=True))
