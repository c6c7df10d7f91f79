"""The mask loss as spec: loss.md 5 describes it: a loop over levels and images, whole maps.

What "times faster" refers to, and what the strategies of the package are compared with.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mmyolo_lite.ops.assign import Positives
from mmyolo_lite.ops.boxes import cxcywh_to_xyxy


def plain_mask_terms(
    coefficients: Sequence[Tensor],
    prototypes: Tensor,
    positives: Sequence[Positives],
    masks: Tensor,
    targets: Tensor,
    overlap: bool,
) -> Tensor:
    """Return (L, B): for each level and image the mean over its positives, before weighting.

    Args:
        coefficients: for each level (P, K), raw.
        prototypes: (B, K, Hm, Wm).
        positives: of each level.
        masks: (B, Hm, Wm) index maps if `overlap`, else (N, Hm, Wm) of 0 and 1.
        targets: (N, 6) rows ``[image, class, cx, cy, w, h]`` in units of the input.
        overlap: whether `masks` are index maps.
    """
    batch, _, height, width = prototypes.shape
    device = prototypes.device
    images = targets[:, 0].tolist()
    # the number of an object in its image's index map, or its row in the stack
    references = torch.tensor(
        [1 + images[:row].count(image) if overlap else row for row, image in enumerate(images)],
        device=device,
    )
    columns = torch.arange(width, device=device)
    rows = torch.arange(height, device=device)[:, None]
    levels = []
    for level_coefficients, found in zip(coefficients, positives, strict=True):
        terms = []
        for image in range(batch):
            here = found.image == image
            if not here.any():
                terms.append(prototypes.new_zeros(()))
                continue
            target = found.target[here]
            logits = level_coefficients[here] @ prototypes[image].flatten(1)
            logits = logits.view(-1, height, width)
            truth = masks[image][None] == references[target][:, None, None]
            truth = truth if overlap else masks[target]
            loss = F.binary_cross_entropy_with_logits(logits, truth.float(), reduction='none')
            boxes = targets[target, 2:] * targets.new_tensor((width, height) * 2)
            x1, y1, x2, y2 = cxcywh_to_xyxy(boxes)[..., None, None].unbind(dim=1)
            window = (columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)
            area = targets[target, 4:].prod(dim=1)
            terms.append(((loss * window).mean(dim=(1, 2)) / area).mean())
        levels.append(torch.stack(terms))
    return torch.stack(levels)
