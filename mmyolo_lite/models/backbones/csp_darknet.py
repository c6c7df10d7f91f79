"""The YOLOv5 v6 backbone, P5 variant (spec: model.md 4)."""

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.models import blocks
from mmyolo_lite.registry import MODELS

# in, out, bottlenecks, identity, SPPF: before widening and deepening
P5_STAGES = (
    (64, 128, 3, True, False),
    (128, 256, 6, True, False),
    (256, 512, 9, True, False),
    (512, 1024, 3, True, True),
)


@MODELS.register_module()
class YOLOv5CSPDarknet(BaseModule):
    """CSPDarknet of YOLOv5: a 6x6 stem and four stages, each halving the map.

    Args:
        arch: only 'P5'.
        plugins: only None.
        deepen_factor: scales the bottlenecks per stage (:func:`blocks.make_round`).
        widen_factor: scales the channels (:func:`blocks.make_divisible`).
        input_channels: channels of the image.
        out_indices: positions returned, 0 the stem, 1 to 4 the stages.
        frozen_stages: positions 0 to this one do not train; -1 freezes none.
        norm_cfg: batch norm config.
        act_cfg: activation config.
        norm_eval: keep every batch norm in eval mode while training.
        init_cfg: mmengine's; None takes PyTorch's default weights.

    Shape:
        (B, input_channels, H, W), H and W multiples of 32 -> tuple of (B, c, H/s, W/s), s = 2 **
        (position + 1)

    Raises:
        ConfigError: an argument out of its range.
    """

    def __init__(
        self,
        arch: str = 'P5',
        plugins: Any = None,
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        input_channels: int = 3,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        norm_cfg: dict = blocks.NORM_CFG,
        act_cfg: dict = blocks.ACT_CFG,
        norm_eval: bool = False,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self._check(arch, plugins, out_indices, frozen_stages)
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        cfg: dict[str, Any] = {'norm_cfg': norm_cfg, 'act_cfg': act_cfg}

        stem_channels = blocks.make_divisible(P5_STAGES[0][0], widen_factor)
        self.stem = blocks.conv_unit(input_channels, stem_channels, 6, stride=2, padding=2, **cfg)
        self.layers = ['stem']
        for number, (c_in, c_out, num_blocks, identity, sppf) in enumerate(P5_STAGES, start=1):
            c_in, c_out = (blocks.make_divisible(c, widen_factor) for c in (c_in, c_out))
            stage = [
                blocks.conv_unit(c_in, c_out, 3, stride=2, **cfg),
                blocks.csp_layer(
                    c_out, c_out, blocks.make_round(num_blocks, deepen_factor), identity, **cfg
                ),
            ]
            if sppf:
                stage.append(blocks.SPPFBottleneck(c_out, c_out, **cfg))
            self.add_module(f'stage{number}', nn.Sequential(*stage))
            self.layers.append(f'stage{number}')
        self._freeze()

    @staticmethod
    def _check(arch: str, plugins: Any, out_indices: Sequence[int], frozen_stages: int) -> None:
        last = len(P5_STAGES)
        if arch != 'P5':
            raise ConfigError(f"backbone.arch is {arch!r}; YOLOv5CSPDarknet knows 'P5' only.")
        if plugins:
            raise ConfigError(
                'backbone.plugins is set; YOLOv5CSPDarknet takes none. Remove the field.'
            )
        if not set(out_indices) <= set(range(last + 1)):
            raise ConfigError(
                f'backbone.out_indices is {tuple(out_indices)}; positions run from 0 to {last}.'
            )
        if frozen_stages not in range(-1, last + 1):
            raise ConfigError(
                f'backbone.frozen_stages is {frozen_stages}; it must be between -1 (none) and '
                f'{last}.'
            )

    def init_weights(self) -> None:
        """Set PyTorch's default weights, or follow `init_cfg` if there is one."""
        if self.init_cfg is None:
            blocks.reset_convolutions(self)
        else:
            super().init_weights()

    def _freeze(self) -> None:
        for name in self.layers[: self.frozen_stages + 1]:
            blocks.freeze(getattr(self, name))

    def train(self, mode: bool = True) -> 'YOLOv5CSPDarknet':
        """Switch the mode; frozen stages stay frozen."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the maps at `out_indices`; for shapes see the class."""
        outputs = []
        for position, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if position in self.out_indices:
                outputs.append(x)
        return tuple(outputs)
