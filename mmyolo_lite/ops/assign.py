"""Which predictions answer for which objects: YOLOv5's shape match with neighbour cells (spec:
loss.md 2).

Letters: N objects of the batch, A priors per cell, P positives of one level, h w map size in cells.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mmyolo_lite.ops.boxes import pairwise_iof, xyxy_to_cxcywh


@dataclass
class Positives:
    """The positives of one level, in the order own, left, up, right, down; inside by prior, then by
    object.

    Each of `image, prior, row, column, label, target` is (P,) int64; `target` is the row of the
    object in the batch's table. `box` (P, 4) is cx, cy, w, h in cells, relative to the cell's
    corner.
    """

    image: Tensor
    prior: Tensor
    row: Tensor
    column: Tensor
    label: Tensor
    target: Tensor
    box: Tensor

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
        (table[:, :2], xyxy_to_cxcywh(table[:, 2:]) / table.new_tensor((width, height) * 2)), dim=1
    )


def assign_level(
    targets: Tensor,
    anchors: Tensor,
    map_hw: tuple[int, int],
    prior_match_thr: float = 4.0,
    near_neighbor_thr: float = 0.5,
) -> Positives:
    """Find the positives of one level.

    An object and a prior match if neither side differs by `prior_match_thr` times or more. A match
    yields its own cell and the neighbours that its centre is near to. Centres outside the map go to
    the nearest border cell.

    Args:
        targets: (N, 6) from :func:`normalize_targets`.
        anchors: (A, 2) prior widths and heights in cells.
        map_hw: (h, w).
        prior_match_thr: largest ratio of sides, strict.
        near_neighbor_thr: a centre closer than this to a cell's border takes in the cell behind it,
            in cells.
    """
    height, width = map_hw
    size = targets.new_tensor((width, height))
    centre, wh = targets[:, 2:4] * size, targets[:, 4:] * size
    ratio = wh[None] / anchors[:, None]
    fits = torch.maximum(ratio, 1 / ratio).amax(dim=-1) < prior_match_thr  # (A, N)

    # (5, N, 2): own, left, up, right, down
    t = near_neighbor_thr
    offsets = t * targets.new_tensor(((0, 0), (1, 0), (0, 1), (-1, 0), (0, -1)))
    opposite = size - centre
    near_start = ((centre % 1 < t) & (centre > 1)).T
    near_end = ((opposite % 1 < t) & (opposite > 1)).T
    near = torch.cat((torch.ones_like(near_start[:1]), near_start, near_end))  # (5, N)

    code, prior, target = (near[:, None] & fits[None]).nonzero(
        as_tuple=True
    )  # ascending in this order
    cell = (centre[target] - offsets[code]).trunc()
    cell = torch.minimum(cell.clamp(min=0), size - 1)
    box = torch.cat((centre[target] - cell, wh[target]), dim=1)
    column, row = cell.long().unbind(dim=1)
    image, label = targets[target, :2].long().unbind(dim=1)
    return Positives(image, prior, row, column, label, target, box)


def scatter_last(values: Tensor, positives: Positives, shape: torch.Size) -> Tensor:
    """Write one value per positive into a map of zeros; where cells repeat, the last positive wins
    on any device.

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
    kept = torch.ones((batch, len(priors)), device=priors.device)
    covered = (largest > iof_threshold).nonzero()[:, 0]
    kept[ignored[region[covered], 0].long(), covered] = 0
    return kept.view(batch, height, width, num_priors).permute(0, 3, 1, 2)
