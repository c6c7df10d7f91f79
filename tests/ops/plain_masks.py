"""Masks as spec: predict.md 3.1 describes them: every mask at the full size of input and image.

What "times faster" refers to, and what the strategies of the package are compared with.
"""

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.nn import functional as F

from mmyolo_lite.ops.masks import MaskSettings

CHUNK = 10
"""Masks at a time: all 300 of an image of 4000x3000 at once would take 14 GB."""


def plain_masks(
    coefficients: Tensor, prototypes: Tensor, boxes: Tensor, settings: MaskSettings
) -> list[dict]:
    """Return the run-length masks of one image, by interpolation of probabilities.

    Args:
        coefficients: (n, K).
        prototypes: (K, h, w).
        boxes: (n, 4) xyxy network pixels.
        settings: with a padded letterbox.
    """
    height, width = settings.input_hw
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    left, top = (int(pad) for pad in settings.letterbox.pad_ltrb[:2])
    found = []
    for start in range(0, len(boxes), CHUNK):
        part = slice(start, start + CHUNK)
        masks = (coefficients[part] @ prototypes.flatten(1)).sigmoid()
        masks = masks.view(1, -1, *prototypes.shape[1:])
        masks = F.interpolate(masks, (height, width), mode='bilinear', align_corners=False)[0]
        x1, y1, x2, y2 = boxes[part, :, None, None].unbind(dim=1)
        masks = masks * ((columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2))
        masks = masks[None, :, top : height - top, left : width - left]
        masks = F.interpolate(masks, settings.out_hw, mode='bilinear', align_corners=False)[0]
        masks = (masks > settings.mask_thr).numpy().astype(np.uint8)
        found += [coco_mask.encode(np.asfortranarray(mask)) for mask in masks]
    return found
