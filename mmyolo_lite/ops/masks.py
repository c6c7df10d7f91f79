"""From prototypes and coefficients to binary masks of the original image (spec: predict.md 3.1).

Letters: K mask channels, n detections, (H, W) network input, (H0, W0) original image, (h, w)
prototype map.

Masks are made in three steps: probabilities at prototype size, bilinear to network size and zero
outside the box, bilinear to the original size and compared with the threshold. Two strategies give
the same masks but for rounding. On a CPU each instance is worked on inside its own box: little
arithmetic, many small calls. On other devices, and where OpenCV resizes, whole images are worked on
in chunks of instances: few calls, bounded memory.
"""

import math

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmyolo_lite.ops.postprocess import Letterbox

MAX_CHUNK_PIXELS = 2**25
"""Most mask pixels worked on at a time: 128 MiB an array of float32."""


def paste_masks(
    coefficients: Tensor,
    prototypes: Tensor,
    boxes: Tensor,
    input_hw: tuple[int, int],
    letterbox: Letterbox | None,
    mask_thr: float,
    fast: bool = True,
) -> Tensor:
    """Build the binary masks of one image.

    Args:
        coefficients: (n, K).
        prototypes: (K, h, w).
        boxes: (n, 4) xyxy network pixels.
        input_hw: (H, W).
        letterbox: how the image lies in the input; None leaves the masks at network size.
        mask_thr: a pixel is inside if its probability is above it, strict.
        fast: interpolate probabilities on the device; otherwise threshold first and resize with
            OpenCV on the CPU.

    Returns:
        (n, H0, W0) bool; (n, H, W) without `letterbox`.
    """
    probabilities = (
        (coefficients.float() @ prototypes.float().flatten(1))
        .sigmoid()
        .view(-1, *prototypes.shape[1:])
    )
    if fast and boxes.device.type == 'cpu':
        return _inside_boxes(probabilities, boxes, input_hw, letterbox, mask_thr)
    return _in_chunks(probabilities, boxes, input_hw, letterbox, mask_thr, fast)


def _image_window(input_hw: tuple[int, int], letterbox: Letterbox) -> tuple[int, int, int, int]:
    """Return the first and the end row, the first and the end column of the image in the input.

    Both ends use left and top, as MMYOLO does.
    """
    height, width = input_hw
    if letterbox.pad_ltrb is None:
        return 0, height, 0, width
    left, top = letterbox.pad_ltrb[:2]
    return int(top), int(height - top), int(left), int(width - left)


def _in_chunks(
    probabilities: Tensor,
    boxes: Tensor,
    input_hw: tuple[int, int],
    letterbox: Letterbox | None,
    mask_thr: float,
    fast: bool,
) -> Tensor:
    """Work on full maps, in chunks of instances under :data:`MAX_CHUNK_PIXELS`."""
    out_hw = input_hw if letterbox is None else letterbox.ori_hw
    chunk = max(MAX_CHUNK_PIXELS // max(input_hw[0] * input_hw[1], out_hw[0] * out_hw[1]), 1)
    columns = torch.arange(input_hw[1], device=boxes.device)
    rows = torch.arange(input_hw[0], device=boxes.device)[:, None]
    parts = []
    for start in range(0, len(boxes), chunk):
        part = slice(start, start + chunk)
        masks = F.interpolate(
            probabilities[None, part], input_hw, mode='bilinear', align_corners=False
        )[0]
        x1, y1, x2, y2 = boxes[part, :, None, None].unbind(dim=1)
        masks = masks * ((columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2))
        if letterbox is not None:
            top, bottom, left, right = _image_window(input_hw, letterbox)
            masks = masks[:, top:bottom, left:right]
            if not fast:
                parts.append(_resize_binary(masks > mask_thr, out_hw))
                continue
            masks = F.interpolate(masks[None], out_hw, mode='bilinear', align_corners=False)[0]
        parts.append(masks > mask_thr)
    return (
        torch.cat(parts)
        if parts
        else torch.zeros((0, *out_hw), dtype=torch.bool, device=boxes.device)
    )


def _resize_binary(masks: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize bool masks (n, h, w) with OpenCV's uint8 bilinear kernel, one at a time.

    One at a time, because OpenCV 5 takes at most 128 channels, and averages differently for 1, 3
    and 4 of them.
    """
    height, width = size_hw
    resized = [
        cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
        for mask in masks.cpu().numpy().astype(np.uint8)
    ]
    return torch.from_numpy(np.stack(resized)).bool().to(masks.device)


def _inside_boxes(
    probabilities: Tensor,
    boxes: Tensor,
    input_hw: tuple[int, int],
    letterbox: Letterbox | None,
    mask_thr: float,
) -> Tensor:
    """Work on each instance inside its own box."""
    if letterbox is None:
        (out_h, out_w), window = input_hw, (0, input_hw[0], 0, input_hw[1])
    else:
        (out_h, out_w), window = letterbox.ori_hw, _image_window(input_hw, letterbox)
    top, bottom, left, right = window
    # columns lie together in memory, the order in which COCO's run-length encoding reads them
    masks = torch.zeros((len(boxes), out_w, out_h), dtype=torch.bool).transpose(1, 2)
    # pixel j is inside if x1 <= j < x2, so a box covers the whole pixels [ceil x1, ceil x2)
    for mask, probability, (x1, y1, x2, y2) in zip(
        masks, probabilities, boxes.ceil().long().tolist(), strict=True
    ):
        vertical = _Axis(
            max(y1, top), min(y2, bottom), top, bottom, out_h, input_hw[0], probability.shape[0]
        )
        horizontal = _Axis(
            max(x1, left), min(x2, right), left, right, out_w, input_hw[1], probability.shape[1]
        )
        if vertical.empty or horizontal.empty:
            continue
        patch = vertical.to_network(horizontal.to_network(probability.T).T)
        patch = vertical.to_image(horizontal.to_image(patch.T).T)
        mask[vertical.out_start : vertical.out_stop, horizontal.out_start : horizontal.out_stop] = (
            patch > mask_thr
        )
    return masks


class _Axis:
    """One axis of the way of a box from prototype pixels over network pixels to image pixels.

    Args:
        start: first network pixel of the box.
        stop: end of the box in network pixels.
        image_start: first network pixel of the image.
        image_stop: end of the image in network pixels.
        out_size: original pixels of the image.
        input_size: network pixels of the input.
        proto_size: prototype pixels of the input.
    """

    def __init__(
        self,
        start: int,
        stop: int,
        image_start: int,
        image_stop: int,
        out_size: int,
        input_size: int,
        proto_size: int,
    ) -> None:
        self.start, self.stop, self.image_start = start, stop, image_start
        self.image_size = image_stop - image_start
        self.input_size, self.proto_size = input_size, proto_size
        self.step = self.image_size / out_size
        # an image pixel counts if one of its two network pixels lies in the box
        self.out_start = max(math.floor((start - image_start - 0.5) / self.step - 0.5), 0)
        self.out_stop = min(math.ceil((stop - image_start + 0.5) / self.step - 0.5) + 1, out_size)

    @property
    def empty(self) -> bool:
        """Whether the box has no pixel of the image."""
        return self.stop <= self.start or self.out_stop <= self.out_start

    def to_network(self, values: Tensor) -> Tensor:
        """Interpolate prototype pixels (proto_size, m) to the network pixels of the box, (stop -
        start, m).
        """
        low, high, weight = _taps(
            self.start, self.stop, self.proto_size / self.input_size, self.proto_size
        )
        return torch.lerp(values[low], values[high], weight[:, None])

    def to_image(self, values: Tensor) -> Tensor:
        """Interpolate network pixels of the box to image pixels, with zeros around the box."""
        low, high, weight = _taps(self.out_start, self.out_stop, self.step, self.image_size)
        padded = F.pad(values, (0, 0, 1, 1))
        first = self.start - self.image_start - 1
        low, high = ((tap - first).clamp(0, len(padded) - 1) for tap in (low, high))
        return torch.lerp(padded[low], padded[high], weight[:, None])


def _taps(start: int, stop: int, step: float, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two source pixels and the weight of the second for each output pixel of bilinear
    resampling.

    Args:
        start: first output pixel.
        stop: end of the output pixels.
        step: source pixels per output pixel.
        size: source pixels.
    """
    source = ((torch.arange(start, stop, dtype=torch.float32) + 0.5) * step - 0.5).clamp(min=0)
    low = source.long().clamp(max=size - 1)
    return low, (low + 1).clamp(max=size - 1), source - low
