"""From raw head maps to boxes and masks of the original image (spec: predict.md 2 and 3).

Letters: P priors, C classes, K mask channels, n detections, (H, W) network input, (H0, W0) original image.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

MAX_CHUNK_PIXELS = 2**25
"""Most mask pixels worked on at a time: 128 MiB an array of float32."""


@dataclass(frozen=True)
class Letterbox:
    """How one image was put into the network input.

    `scale_wh` is resized over original size; `pad_ltrb` is left, top, right, bottom padding in network pixels, as
    recorded by the pipeline (halves are possible), or None where none was recorded.
    """

    ori_hw: tuple[int, int]
    scale_wh: tuple[float, float]
    pad_ltrb: tuple[float, float, float, float] | None = None

    def to_original(self, boxes: Tensor) -> Tensor:
        """Map xyxy boxes (..., 4) of the network input to the original image; undone by :meth:`to_network`."""
        if self.pad_ltrb is not None:
            boxes = boxes - boxes.new_tensor(self.pad_ltrb[:2] * 2)
        return boxes / boxes.new_tensor(self.scale_wh * 2)

    def to_network(self, boxes: Tensor) -> Tensor:
        """Map xyxy boxes (..., 4) of the original image to the network input; undone by :meth:`to_original`."""
        boxes = boxes * boxes.new_tensor(self.scale_wh * 2)
        return boxes if self.pad_ltrb is None else boxes + boxes.new_tensor(self.pad_ltrb[:2] * 2)


def filter_candidates(scores: Tensor, score_thr: float, top_k: int, multi_label: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Choose (row, class) pairs whose score passes.

    Args:
        scores: (P, C) in [0, 1].
        score_thr: keep scores above it, strict.
        top_k: keep at most so many, the best.
        multi_label: a row may give several classes; otherwise only its best.

    Returns:
        (n,) scores descending (ties: the lower flat index first), (n,) int64 labels, (n,) int64 rows.
    """
    if multi_label and scores.shape[1] > 1:
        rows, labels = (scores > score_thr).nonzero(as_tuple=True)
        values = scores[rows, labels]
    else:
        best, best_label = scores.max(dim=1)
        rows = (best > score_thr).nonzero()[:, 0]
        values, labels = best[rows], best_label[rows]
    order = values.argsort(descending=True, stable=True)[:top_k]
    return values[order], labels[order], rows[order]


def assemble_masks(coefficients: Tensor, prototypes: Tensor, boxes: Tensor, input_hw: tuple[int, int]) -> Tensor:
    """Return mask probabilities at network size, zero outside each box.

    Args:
        coefficients: (n, K).
        prototypes: (K, H/4, W/4).
        boxes: (n, 4) xyxy network pixels.
        input_hw: (H, W).

    Returns:
        (n, H, W) float32 in [0, 1].
    """
    probabilities = (coefficients.float() @ prototypes.float().flatten(1)).sigmoid()
    probabilities = probabilities.view(-1, *prototypes.shape[1:])
    masks = F.interpolate(probabilities[None], input_hw, mode='bilinear', align_corners=False)[0]
    columns = torch.arange(input_hw[1], device=masks.device)
    rows = torch.arange(input_hw[0], device=masks.device)[:, None]
    x1, y1, x2, y2 = boxes[..., None, None].unbind(dim=1)
    return masks * ((columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2))


def _resize_binary(masks: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resize bool masks (n, h, w) with OpenCV's uint8 bilinear kernel, one at a time (spec: predict.md 3.1)."""
    height, width = size_hw
    resized = [cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
               for mask in masks.cpu().numpy().astype(np.uint8)]
    return torch.from_numpy(np.stack(resized)).bool()


def paste_masks(coefficients: Tensor, prototypes: Tensor, boxes: Tensor, input_hw: tuple[int, int],
                letterbox: Letterbox | None, mask_thr: float, fast: bool = True) -> Tensor:
    """Build the binary masks of one image, in chunks of instances under :data:`MAX_CHUNK_PIXELS`.

    Args:
        coefficients: (n, K).
        prototypes: (K, H/4, W/4).
        boxes: (n, 4) xyxy network pixels.
        input_hw: (H, W).
        letterbox: how the image lies in the input; None leaves the masks at network size.
        mask_thr: a pixel is inside if its probability is above it, strict.
        fast: interpolate probabilities on the device; otherwise threshold first and resize with OpenCV on the CPU.

    Returns:
        (n, H0, W0) bool; (n, H, W) without `letterbox`.
    """
    height, width = input_hw
    out_hw = input_hw if letterbox is None else letterbox.ori_hw
    chunk = max(MAX_CHUNK_PIXELS // max(height * width, out_hw[0] * out_hw[1]), 1)
    parts = []
    for start in range(0, len(boxes), chunk):
        part = slice(start, start + chunk)
        masks = assemble_masks(coefficients[part], prototypes, boxes[part], input_hw)
        if letterbox is not None:
            if letterbox.pad_ltrb is not None:
                left, top = letterbox.pad_ltrb[:2]
                # both ends use left and top, as MMYOLO does
                masks = masks[:, int(top):int(height - top), int(left):int(width - left)]
            if not fast:
                parts.append(_resize_binary(masks > mask_thr, out_hw))
                continue
            masks = F.interpolate(masks[None], out_hw, mode='bilinear', align_corners=False)[0]
        parts.append(masks > mask_thr)
    return torch.cat(parts) if parts else torch.zeros((0, *out_hw), dtype=torch.bool, device=boxes.device)
