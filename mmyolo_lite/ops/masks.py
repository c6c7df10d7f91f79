"""From prototypes and coefficients to binary masks of the original image (spec: predict.md 3.1).

Letters: K mask channels, n detections, (H, W) network input, (H0, W0) original image, (h, w)
prototype map.

Masks come as one bool tensor, or as run-length masks without a tensor of that size ever being made.
They are made in three steps: probabilities at prototype size, bilinear to network size and zero
outside the box, bilinear to the original size and compared with the threshold. Two strategies give
the same masks but for rounding. On a CPU each instance is worked on inside its own box: little
arithmetic, many small calls. On other devices, and where OpenCV resizes, whole images are worked on
in chunks of instances: few calls, bounded memory.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmyolo_lite.ops.postprocess import Letterbox
from mmyolo_lite.ops.run_length_masks import RunLengthMasks
from mmyolo_lite.ops.run_lengths import encode_columns

MAX_CHUNK_PIXELS = 2**25
"""Most mask pixels worked on at a time: 128 MiB an array of float32."""
MAX_STRIP_PIXELS = 2**21
"""Most pixels of one instance that are interpolated at a time: 8 MiB an array of float32."""


class MaskSettings(NamedTuple):
    """How masks are pasted.

    Attributes:
        input_hw: (H, W).
        letterbox: how the image lies in the input; None leaves the masks at network size.
        mask_thr: a pixel is inside if its probability is above it, strict.
        fast: interpolate probabilities on the device; otherwise threshold first and resize with
            OpenCV on the CPU.
    """

    input_hw: tuple[int, int]
    letterbox: Letterbox | None
    mask_thr: float = 0.5
    fast: bool = True

    @property
    def out_hw(self) -> tuple[int, int]:
        """Size of the masks."""
        return self.input_hw if self.letterbox is None else self.letterbox.ori_hw


class Patch(NamedTuple):
    """The part of a mask that can be inside.

    Attributes:
        top: first row in the mask.
        left: first column in the mask.
        columns: (w, h) bool, transposed: its columns as rows.
    """

    top: int
    left: int
    columns: Tensor


def paste_masks(
    coefficients: Tensor, prototypes: Tensor, boxes: Tensor, settings: MaskSettings
) -> Tensor:
    """Build the binary masks of one image.

    Args:
        coefficients: (n, K).
        prototypes: (K, h, w).
        boxes: (n, 4) xyxy network pixels.
        settings: sizes and threshold.

    Returns:
        (n, H0, W0) bool; (n, H, W) without a letterbox.
    """
    probabilities = _probabilities(coefficients, prototypes)
    if not _goes_by_box(boxes, settings):
        chunks = list(_chunks(probabilities, boxes, settings))
        empty = torch.zeros((0, *settings.out_hw), dtype=torch.bool, device=boxes.device)
        return torch.cat(chunks or [empty])
    height, width = settings.out_hw
    # columns lie together in memory, the order in which COCO's run-length encoding reads them
    masks = torch.zeros((len(boxes), width, height), dtype=torch.bool)
    for mask, patch in zip(masks, _patches(probabilities, boxes, settings), strict=True):
        (w, h), top, left = patch.columns.shape, patch.top, patch.left
        mask[left : left + w, top : top + h] = patch.columns
    return masks.transpose(1, 2)


def encode_masks(
    coefficients: Tensor, prototypes: Tensor, boxes: Tensor, settings: MaskSettings
) -> RunLengthMasks:
    """Build the masks of one image as run-length masks; they equal :func:`paste_masks` bit for bit.

    The memory taken does not grow with n. Arguments as there.
    """
    probabilities = _probabilities(coefficients, prototypes)
    if _goes_by_box(boxes, settings):
        patches = _patches(probabilities, boxes, settings)
    else:
        patches = (
            _crop(mask)
            for chunk in _chunks(probabilities, boxes, settings)
            for mask in chunk.transpose(1, 2)
        )
    return RunLengthMasks(
        (
            encode_columns(patch.columns.numpy(), (patch.top, patch.left), settings.out_hw)
            for patch in patches
        ),
        settings.out_hw,
    )


def _goes_by_box(boxes: Tensor, settings: MaskSettings) -> bool:
    return settings.fast and boxes.device.type == 'cpu'


def _probabilities(coefficients: Tensor, prototypes: Tensor) -> Tensor:
    """Return (n, h, w), float32."""
    logits = coefficients.float() @ prototypes.float().flatten(1)
    return logits.sigmoid_().view(-1, *prototypes.shape[1:])


def _crop(mask: Tensor) -> Patch:
    """Return the part of a mask (W, H), its columns as rows, that has pixels; on the CPU."""
    columns, rows = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
    if not len(columns):
        return Patch(0, 0, mask[:0, :0].cpu())
    left, top = int(columns[0]), int(rows[0])
    return Patch(top, left, mask[left : int(columns[-1]) + 1, top : int(rows[-1]) + 1].cpu())


def _image_window(input_hw: tuple[int, int], letterbox: Letterbox) -> tuple[int, int, int, int]:
    """Return the first and the end row, the first and the end column of the image in the input.

    Both ends use left and top, as MMYOLO does.
    """
    height, width = input_hw
    if letterbox.pad_ltrb is None:
        return 0, height, 0, width
    left, top = letterbox.pad_ltrb[:2]
    return int(top), int(height - top), int(left), int(width - left)


def _chunks(probabilities: Tensor, boxes: Tensor, settings: MaskSettings) -> Iterator[Tensor]:
    """Yield masks (m, H0, W0) of all instances in order, worked on as full maps, in chunks under
    :data:`MAX_CHUNK_PIXELS`.
    """
    input_hw, letterbox, mask_thr, fast = settings
    out_hw = settings.out_hw
    chunk = max(MAX_CHUNK_PIXELS // max(input_hw[0] * input_hw[1], out_hw[0] * out_hw[1]), 1)
    columns = torch.arange(input_hw[1], device=boxes.device)
    rows = torch.arange(input_hw[0], device=boxes.device)[:, None]
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
                yield _resize_binary(masks > mask_thr, out_hw)
                continue
            masks = F.interpolate(masks[None], out_hw, mode='bilinear', align_corners=False)[0]
        yield masks > mask_thr


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


def _patches(probabilities: Tensor, boxes: Tensor, settings: MaskSettings) -> Iterator[Patch]:
    """Yield the mask of each instance in order, worked on inside its own box."""
    input_hw, (out_h, out_w) = settings.input_hw, settings.out_hw
    window = (0, input_hw[0], 0, input_hw[1])
    if settings.letterbox is not None:
        window = _image_window(input_hw, settings.letterbox)
    top, bottom, left, right = window
    # pixel j is inside if x1 <= j < x2, so a box covers the whole pixels [ceil x1, ceil x2)
    for probability, (x1, y1, x2, y2) in zip(
        probabilities, boxes.ceil().long().tolist(), strict=True
    ):
        vertical = _Axis(
            max(y1, top), min(y2, bottom), top, bottom, out_h, input_hw[0], probability.shape[0]
        )
        horizontal = _Axis(
            max(x1, left), min(x2, right), left, right, out_w, input_hw[1], probability.shape[1]
        )
        if vertical.empty or horizontal.empty:
            yield Patch(0, 0, torch.zeros((0, 0), dtype=torch.bool))
            continue
        # half-way: columns of the image, still rows of the network
        rows = vertical.to_network(horizontal.to_network(probability.T).T)
        columns = vertical.to_image(rows).T
        yield Patch(
            vertical.out_start,
            horizontal.out_start,
            _above(columns, horizontal, settings.mask_thr),
        )


def _above(values: Tensor, axis: '_Axis', mask_thr: float) -> Tensor:
    """Return (out, m) bool: network pixels (stop - start, m) interpolated along `axis` to the image
    and compared, in strips under :data:`MAX_STRIP_PIXELS`.
    """
    size, width = axis.out_stop - axis.out_start, values.shape[1]
    step = max(MAX_STRIP_PIXELS // max(width, 1), 1)
    if step >= size:
        return axis.to_image(values) > mask_thr
    found = torch.empty((size, width), dtype=torch.bool)
    for start in range(0, size, step):
        part = slice(start, min(start + step, size))
        found[part] = axis.to_image(values, part) > mask_thr
    return found


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

    def to_image(self, values: Tensor, part: slice | None = None) -> Tensor:
        """Interpolate network pixels of the box to image pixels, with zeros around the box.

        Args:
            values: (stop - start, m).
            part: of the image pixels from ``out_start``; None for all.
        """
        start, stop = self.out_start, self.out_stop
        if part is not None:
            start, stop = start + part.start, start + part.stop
        low, high, weight = _taps(start, stop, self.step, self.image_size)
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
