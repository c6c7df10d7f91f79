"""Feature maps as pictures over the original image, without the letterbox.

Letters: C channels, h w map, (H, W) network input, (H0, W0) original image.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmengine.visualization import Visualizer
from numpy.typing import NDArray
from torch import Tensor

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops.postprocess import Letterbox
from mmyolo_lite.visualization.drawing import Image, grid, with_title


def undo_letterbox(maps: Tensor, letterbox: Letterbox, input_hw: tuple[int, int]) -> Tensor:
    """Stretch maps over the original image; what lies in the padding is left out.

    The value at a pixel of the image is the map's, bilinear, at the pixel's place in the network
    input: a map that holds its own coordinates becomes :meth:`Letterbox.to_network` of the pixels'.

    Args:
        maps: (C, h, w) float, over the whole input; few channels, since the result is large.
        letterbox: how the image lies in the input.
        input_hw: (H, W), padding of the batch included.

    Returns:
        (C, H0, W0) float32 on the CPU.
    """
    maps = maps.detach().float().cpu()
    for dim, pad, scale, side, original in _axes(letterbox, input_hw):
        centres = (torch.arange(original) + 0.5) * scale + pad
        maps = _sample(maps, centres * (maps.shape[dim] / side) - 0.5, dim)
    return maps


def _axes(letterbox: Letterbox, input_hw: tuple[int, int]) -> list[tuple]:
    """Return for height and width: dimension of a map (C, h, w), padding before the image, scale,
    side of the input, side of the original image.
    """
    left, top = (0.0, 0.0) if letterbox.pad_ltrb is None else letterbox.pad_ltrb[:2]
    return [
        (1, top, letterbox.scale_wh[1], input_hw[0], letterbox.ori_hw[0]),
        (2, left, letterbox.scale_wh[0], input_hw[1], letterbox.ori_hw[1]),
    ]


def _sample(maps: Tensor, positions: Tensor, dim: int) -> Tensor:
    """Read maps along a dimension at fractional positions, linear, the border's value outside."""
    positions = positions.clamp(0, maps.shape[dim] - 1)
    before = positions.floor().long()
    after = (before + 1).clamp(max=maps.shape[dim] - 1)
    shape = [1] * maps.ndim
    shape[dim] = -1
    return torch.lerp(
        maps.index_select(dim, before),
        maps.index_select(dim, after),
        (positions - before).view(shape),
    )


def image_part(maps: Tensor, letterbox: Letterbox, input_hw: tuple[int, int]) -> Tensor:
    """Return the cells (C, h', w') of maps (C, h, w) whose centres lie in the image, not in the
    padding; all, should there be none. The network input has `input_hw` pixels.
    """
    for dim, pad, scale, side, original in _axes(letterbox, input_hw):
        centres = (torch.arange(maps.shape[dim]) + 0.5) * (side / maps.shape[dim])
        inside = ((centres > pad) & (centres < pad + original * scale)).nonzero()[:, 0]
        if len(inside):
            maps = maps.narrow(dim, int(inside[0]), len(inside))
    return maps


def strongest_channels(maps: Tensor, count: int) -> list[int]:
    """Return the numbers of the `count` channels (C, h, w) with the largest sums, the largest
    first.
    """
    return maps.float().sum(dim=(1, 2)).topk(min(count, maps.shape[0])).indices.tolist()


def overlay(heat: Tensor, image: Image, alpha: float = 0.5) -> Image:
    """Draw a map in colours over an image, blue at its least and red at its largest value.

    Args:
        heat: (1, H0, W0) or, as colours that become grey, (3, H0, W0).
        image: (H0, W0, 3) uint8, BGR.
        alpha: opacity of the map, from 0 to 1.

    Returns:
        (H0, W0, 3) uint8, BGR.
    """
    reduction = 'squeeze_mean' if len(heat) == 1 else None
    heat = torch.nan_to_num(heat)
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    drawn = Visualizer.draw_featmap(heat, rgb, reduction, topk=-1, alpha=alpha)
    return cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR)  # type: ignore[return-value]


class MapDrawing:
    """How maps become pictures.

    Args:
        channel_reduction: ``'squeeze_mean'`` draws the mean of all channels, ``'select_max'`` the
            channel with the largest sum in the image, None the `topk` such channels one by one.
        topk: so many channels; 0 or less takes a map of one or three channels as a picture.
        arrangement: rows and columns of these.
        alpha: opacity of the map, from 0 to 1.

    Raises:
        ConfigError: an option cannot be.
    """

    def __init__(
        self,
        channel_reduction: str | None = 'select_max',
        topk: int = 4,
        arrangement: Sequence[int] = (2, 2),
        alpha: float = 0.5,
    ) -> None:
        if not 0 <= alpha <= 1:
            raise ConfigError(f'alpha is {alpha}; it must be from 0 to 1.')
        rows, columns = arrangement
        if channel_reduction is None and (min(rows, columns) < 1 or rows * columns < topk):
            raise ConfigError(
                f'An arrangement of {rows} rows and {columns} columns has no place for the {topk} '
                f'channels of topk. Give --arrangement {-(-topk // max(columns, 1))} '
                f'{max(columns, 1)}, or fewer channels.'
            )
        self.channel_reduction, self.topk = channel_reduction, topk
        self.columns, self.alpha = columns, alpha

    def draw(
        self, maps: Tensor, image: Image, letterbox: Letterbox, input_hw: tuple[int, int]
    ) -> Image:
        """Return a picture (BGR) of the maps of one level over the original image.

        Args:
            maps: (C, h, w), over the whole network input.
            image: (H0, W0, 3) uint8, BGR.
            letterbox: how the image lies in the input.
            input_hw: (H, W).

        Raises:
            ConfigError: a map of neither one nor three channels is to be shown as it is.
        """

        def over_image(part: Tensor) -> Image:
            return overlay(undo_letterbox(part, letterbox, input_hw), image, self.alpha)

        # channels are chosen before they grow to the size of the image
        if self.channel_reduction == 'squeeze_mean':
            return over_image(maps.float().mean(dim=0, keepdim=True))
        inside = image_part(maps, letterbox, input_hw)
        if self.channel_reduction == 'select_max':
            return over_image(maps[strongest_channels(inside, 1)])
        if self.topk > 0:
            pictures = [
                with_title(over_image(maps[[channel]]), f'channel: {channel}')
                for channel in strongest_channels(inside, self.topk)
            ]
            return grid(pictures, self.columns)
        if len(maps) not in (1, 3):
            raise ConfigError(
                f'--topk {self.topk} shows a map of one or three channels as it is, but this one '
                f'has {len(maps)}. Give --topk 1 or more, or --channel-reduction squeeze_mean.'
            )
        return over_image(maps)


def normalised(heat: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return a map (h, w) without its negative part, from 0 to 1; all zero stays zero."""
    heat = np.maximum(np.nan_to_num(heat), 0).astype(np.float32)
    largest = heat.max(initial=0)
    return heat / largest if largest > 0 else heat
