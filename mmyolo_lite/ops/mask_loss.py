"""The mask loss of instance segmentation: prototypes times coefficients against target masks (spec:
loss.md 5).

Letters: B images, N objects of the batch, P positives (of all levels), K mask channels, Hm Wm
prototype map size.

Two strategies give the same values. On a CPU each object is worked on inside its own box, once for
all its positives: little arithmetic, many small calls. On other devices all images are worked on at
once, in chunks of positives: few calls, full maps.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmyolo_lite.ops.boxes import cxcywh_to_xyxy

MAX_CHUNK_PIXELS = 2**25
"""Most mask pixels worked on at a time by the dense strategy: 128 MiB an array of float32."""

PixelLoss = Callable[[Tensor, Tensor], Tensor]


def resize_target_masks(masks: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resample masks or index maps (M, h, w) to `size_hw` with the older "nearest", keeping their
    values.
    """
    if tuple(masks.shape[-2:]) == tuple(size_hw):
        return masks
    # integer kernels for nearest do not exist on every device; float32 holds every index exactly
    return F.interpolate(masks[None].float(), size_hw, mode='nearest')[0].to(masks.dtype)


def mask_references(image_of_target: Tensor, overlap: bool) -> Tensor:
    """Say where each object's mask is found.

    Args:
        image_of_target: (N,) int64, rows of one image contiguous.
        overlap: True for index maps, one per image.

    Returns:
        (N,) int64: the object's value in its image's index map, or its row in the stack of masks.
    """
    rows = torch.arange(len(image_of_target), device=image_of_target.device)
    if not overlap:
        return rows
    first_row = torch.searchsorted(image_of_target.contiguous(), image_of_target.contiguous())
    return rows - first_row + 1


class TargetMasks(NamedTuple):
    """What the positives' masks should be.

    `masks` are (B, Hm, Wm) index maps if `overlap`, else (N, Hm, Wm) of 0 and 1; `targets` (N, 6)
    rows ``[image, class, cx, cy, w, h]`` in units of the input; `target_index` (P,) int64 the row
    of `targets` of each positive.
    """

    masks: Tensor
    targets: Tensor
    target_index: Tensor
    overlap: bool


def mask_loss_per_positive(
    coefficients: Tensor, prototypes: Tensor, wanted: TargetMasks, pixel_loss: PixelLoss
) -> Tensor:
    """Return the mean over the map of the loss inside each positive's box, over the box's relative
    area.

    Args:
        coefficients: (P, K) raw.
        prototypes: (B, K, Hm, Wm).
        wanted: the masks to learn.
        pixel_loss: (logits, targets 0/1) -> loss per pixel, same shape.

    Returns:
        (P,) float32.
    """
    strategy = _inside_boxes if coefficients.device.type == 'cpu' else _dense
    sums = strategy(coefficients.float(), prototypes.float(), wanted, pixel_loss)
    map_area = prototypes.shape[-2] * prototypes.shape[-1]
    return sums / map_area / wanted.targets[wanted.target_index, 4:].prod(dim=1)


def _boxes_on_map(targets: Tensor, map_hw: tuple[int, int]) -> Tensor:
    """Return (N, 4) xyxy boxes in prototype pixels, float, unclipped."""
    height, width = map_hw
    return cxcywh_to_xyxy(targets[:, 2:] * targets.new_tensor((width, height, width, height)))


def _inside_boxes(
    coefficients: Tensor, prototypes: Tensor, wanted: TargetMasks, pixel_loss: PixelLoss
) -> Tensor:
    """Sum the loss over each positive's window, object by object."""
    masks, targets, target_index, overlap = wanted
    height, width = prototypes.shape[-2:]
    reference = mask_references(targets[:, 0].long(), overlap)
    # column j is inside if x1 <= j < x2, so the window is [ceil x1, ceil x2)
    limits = torch.tensor((width, height, width, height))
    windows = torch.minimum(
        _boxes_on_map(targets, (height, width)).ceil().clamp(min=0).long(), limits
    ).tolist()
    order = target_index.argsort(stable=True)
    counts = torch.bincount(target_index, minlength=len(targets)).tolist()
    sums = []
    for row, positives in enumerate(order.split(counts)):
        if not len(positives):
            continue
        x1, y1, x2, y2 = windows[row]
        image = int(targets[row, 0])
        patch = prototypes[image, :, y1:y2, x1:x2].flatten(1)  # (K, pixels)
        if overlap:
            truth = masks[image, y1:y2, x1:x2] == reference[row]
        else:
            truth = masks[row, y1:y2, x1:x2]
        logits = coefficients[positives] @ patch
        truth = truth.float().flatten()[None].expand_as(logits)
        sums.append(pixel_loss(logits, truth).sum(dim=1))
    in_order = torch.cat(sums) if sums else coefficients.sum(dim=1)
    return torch.zeros_like(in_order).index_copy(0, order, in_order)


def _dense(
    coefficients: Tensor, prototypes: Tensor, wanted: TargetMasks, pixel_loss: PixelLoss
) -> Tensor:
    """Sum the loss over each positive's window, all images at once, in chunks of positives."""
    masks, targets, target_index, overlap = wanted
    batch, _, height, width = prototypes.shape
    reference = mask_references(targets[:, 0].long(), overlap)
    boxes = _boxes_on_map(targets, (height, width))
    image = targets[target_index, 0].long()
    order = image.argsort(stable=True)
    counts = torch.bincount(image, minlength=batch)
    first = counts.cumsum(0) - counts
    # most positives of one image: the one synchronisation
    slots = int(counts.max()) if len(image) else 0
    columns = torch.arange(width, device=boxes.device)
    rows = torch.arange(height, device=boxes.device)[:, None]

    def chunk_sums(slot: Tensor, coefficients: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the positives at these slots of every image, (B * slots,), and their sums."""
        filled = slot[None] < counts[:, None]  # (B, slots)
        positive = order[(first[:, None] + slot[None]).clamp(max=len(order) - 1)]
        target = target_index[positive]
        logits = torch.bmm(coefficients[positive], prototypes.flatten(2))
        logits = logits.unflatten(2, (height, width))
        truth = masks[:, None] if overlap else masks[target]
        truth = truth == (reference[target][..., None, None] if overlap else 1)
        x1, y1, x2, y2 = boxes[target][..., None, None].unbind(dim=2)
        window = (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
        values = pixel_loss(logits, truth.float()) * (window & filled[..., None, None])
        return positive.flatten(), values.sum(dim=(2, 3)).flatten()

    sums = coefficients.new_zeros(len(coefficients))
    chunk = max(MAX_CHUNK_PIXELS // (batch * height * width), 1)
    for start in range(0, slots, chunk):
        slot = torch.arange(start, min(start + chunk, slots), device=boxes.device)
        if slots > chunk:
            # computed again in the backward pass, so that only one chunk's maps live at a time
            positive, values = checkpoint(
                chunk_sums, slot, coefficients, prototypes, use_reentrant=False
            )
        else:
            positive, values = chunk_sums(slot, coefficients, prototypes)
        # an empty slot repeats another positive and holds zero, so adding is safe
        sums = sums.index_add(0, positive, values)
    return sums
