"""From prototypes and coefficients to binary masks of the original image (spec: predict.md 3.1).

Letters: K mask channels, n detections, (H, W) network input, (H0, W0) original image, (h, w)
prototype map.

Masks come as one bool tensor, or as run-length masks without a tensor of that size ever being made.
They are made in three steps: probabilities at prototype size, bilinear to network size and zero
outside the box, bilinear to the original size and compared with the threshold. Two strategies give
the same masks but for rounding. On a CPU each instance is worked on inside its own box
(:mod:`mmyolo_lite.ops.box_masks`): little arithmetic, many small calls. On other devices, and where
OpenCV resizes, whole images are worked on in chunks of instances: few calls, bounded memory.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmyolo_lite.ops.box_masks import Patch, Way, masks_in_boxes
from mmyolo_lite.ops.postprocess import Letterbox
from mmyolo_lite.ops.run_length_masks import RunLengthMasks
from mmyolo_lite.ops.run_lengths import encode_columns

MAX_CHUNK_PIXELS = 2**25
"""Most mask pixels worked on at a time: 128 MiB an array of float32."""


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
    if not _goes_by_box(boxes, settings):
        chunks = list(_chunks(coefficients, prototypes, boxes, settings))
        empty = torch.zeros((0, *settings.out_hw), dtype=torch.bool, device=boxes.device)
        return torch.cat(chunks or [empty])
    height, width = settings.out_hw
    # columns lie together in memory, the order in which COCO's run-length encoding reads them
    masks = np.zeros((len(boxes), width, height), dtype=np.bool_)
    patches = _patches(coefficients, prototypes, boxes, settings)
    for mask, (top, left, columns) in zip(masks, patches, strict=True):
        mask[left : left + columns.shape[0], top : top + columns.shape[1]] = columns
    return torch.from_numpy(masks).transpose(1, 2)


def encode_masks(
    coefficients: Tensor, prototypes: Tensor, boxes: Tensor, settings: MaskSettings
) -> RunLengthMasks:
    """Build the masks of one image as run-length masks; they equal :func:`paste_masks` bit for bit.

    The memory taken does not grow with n. Arguments as there.
    """
    arguments = (coefficients, prototypes, boxes, settings)
    if _goes_by_box(boxes, settings):
        patches = _patches(*arguments)
    else:
        patches = (_crop(mask) for chunk in _chunks(*arguments) for mask in chunk.transpose(1, 2))
    return RunLengthMasks(
        (encode_columns(columns, (top, left), settings.out_hw) for top, left, columns in patches),
        settings.out_hw,
    )


def _goes_by_box(boxes: Tensor, settings: MaskSettings) -> bool:
    return settings.fast and boxes.device.type == 'cpu'


def _patches(
    coefficients: Tensor, prototypes: Tensor, boxes: Tensor, settings: MaskSettings
) -> Iterator[Patch]:
    """Yield the mask of each instance in order, worked on inside its own box."""
    window = _image_window(settings.input_hw, settings.letterbox)
    return masks_in_boxes(
        coefficients.float().numpy(),
        prototypes.float().numpy(),
        boxes.numpy(),
        Way(settings.input_hw, window, settings.out_hw),
        settings.mask_thr,
    )


def _crop(mask: Tensor) -> Patch:
    """Return the part of a mask (W, H), its columns as rows, that has pixels; on the CPU."""
    columns, rows = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
    if not len(columns):
        return Patch(0, 0, np.zeros((0, 0), dtype=np.bool_))
    left, top = int(columns[0]), int(rows[0])
    part = mask[left : int(columns[-1]) + 1, top : int(rows[-1]) + 1]
    return Patch(top, left, part.cpu().numpy())


def _image_window(
    input_hw: tuple[int, int], letterbox: Letterbox | None
) -> tuple[int, int, int, int]:
    """Return the first and the end row, the first and the end column of the image in the input; of
    all the input without a letterbox.

    Both ends use left and top, as MMYOLO does.
    """
    height, width = input_hw
    if letterbox is None or letterbox.pad_ltrb is None:
        return 0, height, 0, width
    left, top = letterbox.pad_ltrb[:2]
    return int(top), int(height - top), int(left), int(width - left)


def _chunks(
    coefficients: Tensor, prototypes: Tensor, boxes: Tensor, settings: MaskSettings
) -> Iterator[Tensor]:
    """Yield masks (m, H0, W0) of all instances in order, worked on as full maps, in chunks under
    :data:`MAX_CHUNK_PIXELS`.
    """
    input_hw, letterbox, mask_thr, fast = settings
    probabilities = (
        (coefficients.float() @ prototypes.float().flatten(1))
        .sigmoid_()
        .view(-1, *prototypes.shape[1:])
    )
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
