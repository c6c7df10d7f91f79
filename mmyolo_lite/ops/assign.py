"""Which predictions answer for which objects: YOLOv5's shape match with neighbour cells (spec:
loss.md 2).

Letters: B images, L levels, N objects of the batch, A priors per cell, P positives of one level, h
w map size in cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mmyolo_lite.ops.boxes import pairwise_iof, xyxy_to_cxcywh
from mmyolo_lite.ops.constants import filled


@dataclass
class Positives:
    """The positives of one level, in the order own, left, up, right, down; inside by prior, then by
    object.

    Each of `image, prior, row, column, label, target` is (P,) int64; `target` is the row of the
    object in the batch's table. `box` (P, 4) is cx, cy, w, h in cells, relative to the cell's
    corner. `valid` is None, or (P,) bool where P is a fixed number of candidates, 5 A N, in the
    same order: those that are False only fill up and count for nothing.
    """

    image: Tensor
    prior: Tensor
    row: Tensor
    column: Tensor
    label: Tensor
    target: Tensor
    box: Tensor
    valid: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    def gather(self, attributes: Tensor) -> Tensor:
        """Pick the numbers at the positives: (B, A, h, w, D) -> (P, D)."""
        return attributes[self.image, self.prior, self.row, self.column]


def normalize_targets(bboxes_labels: Tensor, shape_hw: tuple[int, int]) -> Tensor:
    """Turn the batch's table into relative units, leaving the input alone.

    Args:
        bboxes_labels: (N, 6) rows ``[image, class, x1, y1, x2, y2]`` in input pixels.
        shape_hw: size of the network input in pixels.

    Returns:
        (N, 6) float32 rows ``[image, class, cx, cy, w, h]``, in units of the input.
    """
    table = bboxes_labels.float()
    height, width = shape_hw
    return torch.cat(
        (table[:, :2], xyxy_to_cxcywh(table[:, 2:]) / filled((width, height) * 2, table)), dim=1
    )


class _Candidates(NamedTuple):
    """What may become a positive; `fits` (L, 5, A, N) says what does. `cell` (L, 5, N, 2) column
    and row, `box` (L, 5, N, 4), as in :class:`Positives`, both float.
    """

    fits: Tensor
    cell: Tensor
    box: Tensor


def _candidates(
    targets: Tensor, anchors: Tensor, sizes: Tensor, match_thr: float, near_thr: float
) -> _Candidates:
    """Return all candidates of all levels; `sizes` (L, 1, 2) are widths and heights of maps."""
    centre, wh = targets[:, 2:4] * sizes, targets[:, 4:] * sizes  # (L, N, 2)
    ratio = wh[:, None] / anchors[:, :, None]
    match = torch.maximum(ratio, 1 / ratio).amax(dim=-1) < match_thr  # (L, A, N)

    t = near_thr
    offsets = filled((0, 0, t, 0, 0, t, -t, 0, 0, -t), targets).view(5, 1, 2)
    opposite = sizes - centre
    near_start = ((centre % 1 < t) & (centre > 1)).permute(0, 2, 1)  # (L, 2, N): left, up
    near_end = ((opposite % 1 < t) & (opposite > 1)).permute(0, 2, 1)
    own = torch.ones_like(near_start[:, :1])
    near = torch.cat((own, near_start, near_end), dim=1)  # (L, 5, N)

    cell = (centre[:, None] - offsets).trunc()
    cell = torch.minimum(cell.clamp(min=0), sizes[:, None] - 1)
    box = torch.cat((centre[:, None] - cell, wh[:, None].expand_as(cell)), dim=-1)
    return _Candidates(near[:, :, None] & match[:, None], cell, box)


def _valid_only(targets: Tensor, candidates: _Candidates) -> list[Positives]:
    """Keep the valid candidates; how many there are comes from the device once."""
    # ascending in this order
    level, code, prior, target = candidates.fits.nonzero(as_tuple=True)
    column, row = candidates.cell[level, code, target].long().unbind(dim=1)
    image, label = targets[target, :2].long().unbind(dim=1)
    box = candidates.box[level, code, target]
    counts = torch.bincount(level, minlength=len(candidates.fits)).tolist()
    fields = (image, prior, row, column, label, target, box)
    return [Positives(*parts) for parts in zip(*(f.split(counts) for f in fields), strict=True)]


def _padded(targets: Tensor, candidates: _Candidates) -> list[Positives]:
    """Keep all candidates, with a box that is harmless in those that are not valid."""
    levels, _, priors, objects = shape = candidates.fits.shape
    cell = candidates.cell.nan_to_num(0).long()  # every index has to be inside the map
    column, row = cell[:, :, None].expand(*shape, 2).unbind(dim=-1)
    image, label = targets[:, :2].long().T[:, None, None, None].expand(2, *shape)
    prior = torch.arange(priors, device=targets.device)[:, None].expand(shape)
    target = torch.arange(objects, device=targets.device).expand(shape)
    # not where(): its scalar would be copied from the host
    box = candidates.box[:, :, None].masked_fill(~candidates.fits[..., None], 1)
    fields = [f.reshape(levels, -1) for f in (image, prior, row, column, label, target)]
    flat = (*fields, box.reshape(levels, -1, 4), candidates.fits.reshape(levels, -1))
    return [Positives(*parts) for parts in zip(*flat, strict=True)]


def assign_levels(
    targets: Tensor,
    anchors: Tensor,
    map_sizes: Sequence[Sequence[int]],
    prior_match_thr: float = 4.0,
    near_neighbor_thr: float = 0.5,
    padded: bool = False,
) -> list[Positives]:
    """Find the positives of all levels at once.

    An object and a prior match if neither side differs by `prior_match_thr` times or more. A match
    yields its own cell and the neighbours that its centre is near to. Centres outside the map go to
    the nearest border cell.

    Args:
        targets: (N, 6) from :func:`normalize_targets`.
        anchors: (L, A, 2) prior widths and heights in cells.
        map_sizes: (h, w) of each level.
        prior_match_thr: largest ratio of sides, strict.
        near_neighbor_thr: a centre closer than this to a cell's border takes in the cell behind it,
            in cells.
        padded: keep all 5 A N candidates of a level and say which are valid. Their number follows
            from shapes alone, so that the host need not wait for an accelerator to count them.

    Returns:
        for each level the positives.
    """
    sizes = filled([side for h, w in map_sizes for side in (w, h)], targets).view(-1, 1, 2)
    found = _candidates(targets, anchors, sizes, prior_match_thr, near_neighbor_thr)
    return (_padded if padded else _valid_only)(targets, found)


def assign_level(
    targets: Tensor,
    anchors: Tensor,
    map_hw: Sequence[int],
    prior_match_thr: float = 4.0,
    near_neighbor_thr: float = 0.5,
) -> Positives:
    """Find the positives of one level; as :func:`assign_levels`, with `anchors` (A, 2)."""
    return assign_levels(targets, anchors[None], [map_hw], prior_match_thr, near_neighbor_thr)[0]


def merge_neighbours(values: Tensor, valid: Tensor) -> Tensor:
    """Keep one value of each cell: of own, left or right, up or down.

    An object takes in both sides only if its centre lies on a cell's border, and then right (or
    down) is its own cell again (spec: loss.md 2). That holds for thresholds up to 0.5.

    Args:
        values: (5, A, N, D), a function of the cell; :func:`split_neighbours` undoes it.
        valid: (5, A, N) bool.

    Returns:
        (3, A, N, D).
    """
    own, left, up, right, down = values
    beside = torch.where(valid[1, ..., None], left, right)
    return torch.stack((own, beside, torch.where(valid[2, ..., None], up, down)))


def split_neighbours(values: Tensor, valid: Tensor) -> Tensor:
    """Undo :func:`merge_neighbours` where `valid`: (3, A, N) -> (5, A, N)."""
    own, beside, above = values
    right = torch.where(valid[1], own, beside)
    down = torch.where(valid[2], own, above)
    return torch.stack((own, beside, above, right, down))


def scatter_last(values: Tensor, positives: Positives, shape: torch.Size) -> Tensor:
    """Write one value per valid positive into a map of zeros; where cells repeat, the last positive
    wins on any device.

    Args:
        values: (P,) float.
        positives: where to write.
        shape: (B, A, h, w).

    Returns:
        the map, dtype of `values`.
    """
    _, priors, height, width = shape
    cell = (
        (positives.image * priors + positives.prior) * height + positives.row
    ) * width + positives.column
    order = torch.arange(len(values), device=values.device)
    if positives.valid is not None:
        order = order.masked_fill(~positives.valid, -1)
    last = order.new_full((shape.numel(),), -1).scatter_reduce_(0, cell, order, 'amax')
    padded = torch.cat((values, values.new_zeros(1)))  # index -1 is the zero of empty cells
    return padded[last].view(shape)


def cells_outside(
    ignored: Tensor, priors: Tensor, shape: torch.Size, iof_threshold: float
) -> Tensor:
    """Mark the priors that no ignored region covers (spec: loss.md 6).

    The region that covers a prior most decides, and only in that region's image, as in MMYOLO.

    Args:
        ignored: (M, 6) rows ``[image, class, x1, y1, x2, y2]`` in input pixels, M > 0.
        priors: (h * w * A, 4) xyxy input pixels, index (row * w + column) * A + a.
        shape: (B, A, h, w).
        iof_threshold: a prior is covered if intersection over its area is above this.

    Returns:
        (B, A, h, w) float32, 0 where covered, else 1.
    """
    batch, num_priors, height, width = shape
    largest, region = pairwise_iof(priors, ignored[:, 2:]).max(dim=1)
    image = ignored[region, 0].long()  # (h * w * A,)
    images = torch.arange(batch, device=priors.device)[:, None]
    kept = ~((images == image) & (largest > iof_threshold))
    return kept.float().view(batch, height, width, num_priors).permute(0, 3, 1, 2)
