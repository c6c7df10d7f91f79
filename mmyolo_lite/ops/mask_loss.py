"""The mask loss of instance segmentation: prototypes times coefficients against target masks (spec:
loss.md 5).

Letters: B images, N objects of the batch, P positives (of all levels), S candidates of an object, K
mask channels, Hm Wm prototype map size.

Two ways give the same values. :func:`mask_loss_per_positive` works inside each object's box, once
for all its positives: least arithmetic, many small calls, sizes known to the host; it is for CPUs.
:func:`mask_loss_per_candidate` works on a fixed number of candidates of every object at once, on
full maps: few calls, and nothing that the host would have to wait for; it is for accelerators.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmyolo_lite.ops.boxes import cxcywh_to_xyxy
from mmyolo_lite.ops.constants import filled

MAX_CHUNK_PIXELS = 2**26
"""Most mask pixels worked on at a time: 256 MiB an array of float32. Where there are more, each
chunk is computed again in the backward pass, so that the maps of one live at a time."""

PixelLoss = Callable[[Tensor, Tensor], Tensor]


def resize_target_masks(masks: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Resample masks or index maps (M, h, w) to (M, H, W), `size_hw`, with the older "nearest",
    keeping their values.
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
    """What masks the objects have.

    `masks` are (B, Hm, Wm) index maps if `overlap`, else (N, Hm, Wm) of 0 and 1; `targets` (N, 6)
    rows ``[image, class, cx, cy, w, h]`` in units of the input.
    """

    masks: Tensor
    targets: Tensor
    overlap: bool


def _boxes_on_map(targets: Tensor, map_hw: Sequence[int]) -> Tensor:
    """Return (N, 4) xyxy boxes in prototype pixels, float, unclipped."""
    height, width = map_hw
    return cxcywh_to_xyxy(targets[:, 2:] * filled((width, height, width, height), targets))


def _in_chunks(
    sizes: Sequence[int], run: Callable[..., Tensor], *tensors: Tensor
) -> Iterator[Tensor]:
    """Call ``run(range, *tensors)`` for ranges of items of together MAX_CHUNK_PIXELS at most, or of
    one item; with several ranges each is run again in the backward pass.
    """
    starts, filling = [0], 0
    for item, size in enumerate(sizes):
        filling += size
        if filling > MAX_CHUNK_PIXELS and item > starts[-1]:
            starts.append(item)
            filling = size
    for start, end in zip(starts, [*starts[1:], len(sizes)], strict=True):
        if len(starts) == 1:
            yield run(range(start, end), *tensors)
        else:
            yield checkpoint(
                run, range(start, end), *tensors, use_reentrant=False, preserve_rng_state=False
            )


class _Window(NamedTuple):
    """Where an object lies: its image, and the pixels of its box as slices."""

    image: int
    rows: slice
    columns: slice

    @property
    def area(self) -> int:
        """Number of pixels."""
        return (self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start)


def _windows(targets: Tensor, map_hw: Sequence[int]) -> list[_Window]:
    """Return the window of each object, inside the map."""
    height, width = map_hw
    limits = torch.tensor((width, height, width, height))
    # column j is inside if x1 <= j < x2, so the window is [ceil x1, ceil x2)
    boxes = torch.minimum(_boxes_on_map(targets, map_hw).ceil().clamp(min=0).long(), limits)
    images = targets[:, 0].long().tolist()
    return [
        _Window(image, slice(y1, y2), slice(x1, x2))
        for image, (x1, y1, x2, y2) in zip(images, boxes.tolist(), strict=True)
    ]


class _Patches(torch.autograd.Function):
    """Cut windows out of prototypes (B, K, Hm, Wm), each (K, pixels).

    Slicing gives the same, but its backward pass makes a map of zeros for every window.
    """

    @staticmethod
    def forward(ctx: Any, prototypes: Tensor, windows: Sequence[_Window]) -> tuple[Tensor, ...]:
        """Copy the windows."""
        ctx.windows, ctx.shape = windows, prototypes.shape
        return tuple(prototypes[w.image, :, w.rows, w.columns].flatten(1) for w in windows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Add the gradients up in one map."""
        total = grads[0].new_zeros(ctx.shape)
        for w, grad in zip(ctx.windows, grads, strict=True):
            place = total[w.image, :, w.rows, w.columns]
            place += grad.view(place.shape)
        return total, None


def mask_loss_per_positive(
    coefficients: Tensor,
    prototypes: Tensor,
    target_index: Tensor,
    wanted: TargetMasks,
    pixel_loss: PixelLoss,
) -> Tensor:
    """Return the mean over the map of the loss inside each positive's box, over the box's relative
    area.

    Args:
        coefficients: (P, K) raw.
        prototypes: (B, K, Hm, Wm).
        target_index: (P,) int64, the object of each positive.
        wanted: the masks to learn.
        pixel_loss: (logits, targets 0/1) -> loss per pixel, same shape.

    Returns:
        (P,) float32.
    """
    if not len(target_index):
        return coefficients.float().sum(dim=1)
    prototypes = prototypes.float()
    map_hw = prototypes.shape[-2:]
    order = target_index.argsort(stable=True)
    objects, counts = (part.tolist() for part in target_index.unique(return_counts=True))
    windows = [_windows(wanted.targets, map_hw)[row] for row in objects]
    references = mask_references(wanted.targets[:, 0].long(), wanted.overlap).tolist()
    ends = torch.tensor([0, *counts]).cumsum(0).tolist()

    def chunk_sums(chunk: range, coefficients: Tensor, prototypes: Tensor) -> Tensor:
        """Return the sums of the positives of some of the objects, in order."""
        here = slice(chunk.start, chunk.stop)
        patches = _Patches.apply(prototypes, windows[here])
        parts = coefficients[ends[chunk.start] : ends[chunk.stop]].split(counts[here])
        sums = []
        for row, w, part, patch in zip(objects[here], windows[here], parts, patches, strict=True):
            if wanted.overlap:
                truth = wanted.masks[w.image, w.rows, w.columns] == references[row]
            else:
                truth = wanted.masks[row, w.rows, w.columns]
            logits = part @ patch
            truth = truth.float().flatten()[None].expand_as(logits)
            sums.append(pixel_loss(logits, truth).sum(dim=1))
        return torch.cat(sums)

    sizes = [count * window.area for count, window in zip(counts, windows, strict=True)]
    sums = torch.cat(list(_in_chunks(sizes, chunk_sums, coefficients[order].float(), prototypes)))
    sums = torch.zeros_like(sums).index_copy(0, order, sums)
    return sums / map_hw.numel() / wanted.targets[target_index, 4:].prod(dim=1)


def mask_loss_per_candidate(
    coefficients: Tensor, prototypes: Tensor, wanted: TargetMasks, pixel_loss: PixelLoss
) -> Tensor:
    """Return what :func:`mask_loss_per_positive` does, for the same number of candidates of every
    object.

    Args:
        coefficients: (N, S, K) raw; those of candidates that are no positives give finite numbers
            of no meaning.
        prototypes: (B, K, Hm, Wm).
        wanted: the masks to learn.
        pixel_loss: (logits, targets 0/1) -> loss per pixel, same shape.

    Returns:
        (N, S) float32.
    """
    masks, targets, overlap = wanted
    map_hw = prototypes.shape[-2:]
    image = targets[:, 0].long()
    reference = mask_references(image, overlap)
    boxes = _boxes_on_map(targets, map_hw)
    columns = torch.arange(map_hw[1], device=boxes.device)
    rows = torch.arange(map_hw[0], device=boxes.device)[:, None]

    def chunk_sums(chunk: range, coefficients: Tensor, prototypes: Tensor) -> Tensor:
        """Return the sums (n, S) of some of the objects."""
        here = slice(chunk.start, chunk.stop)
        maps = prototypes.index_select(0, image[here]).flatten(2)
        logits = torch.bmm(coefficients[here], maps)  # (n, S, pixels)
        truth = masks.index_select(0, image[here]) if overlap else masks[here]
        if overlap:
            truth = truth == reference[here][:, None, None]
        x1, y1, x2, y2 = boxes[here][..., None, None].unbind(dim=1)
        window = (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
        values = pixel_loss(logits, truth.float().flatten(1)[:, None].expand_as(logits))
        return (values * window.flatten(1)[:, None]).sum(dim=2)

    size = (coefficients.shape[1] + coefficients.shape[2]) * map_hw.numel()
    chunks = _in_chunks([size] * len(targets), chunk_sums, coefficients.float(), prototypes.float())
    area = targets[:, 4:].prod(dim=1)
    area = area.masked_fill(~(area > 0), 1)  # without area there is no positive
    return torch.cat(list(chunks)) / map_hw.numel() / area[:, None]
