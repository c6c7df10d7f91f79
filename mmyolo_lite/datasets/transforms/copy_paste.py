"""Copy-paste: mirrored copies of an image's own objects, where they hide little."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import PolygonMasks

from mmyolo_lite.datasets.transforms.mix import box_array, to_boxes
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops import polygons as poly
from mmyolo_lite.ops.rasterize import rasterize_regions
from mmyolo_lite.registry import TRANSFORMS


def covered_share(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which share of each other box every box covers.

    Args:
        boxes: (N, 4) xyxy.
        others: (M, 4) xyxy.

    Returns:
        (N, M): intersection of ``boxes[i]`` and ``others[j]`` over the area of ``others[j]``.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    intersection = np.clip(high - low, 0, None).prod(axis=2)
    return intersection / ((others[:, 2:] - others[:, :2]).prod(axis=1) + 1e-7)


@TRANSFORMS.register_module()
class YOLOv5CopyPaste(BaseTransform):
    """Add mirrored copies of objects to the image they come from (spec: data.md 5.4).

    An object is eligible if its mirrored box hides less than `ioa_thresh` of every box. Draws one
    ``np.random.choice`` among the eligible ones, even when none is to be chosen. Images without
    masks pass through.

    Args:
        ioa_thresh: Largest share of any object's box that a copy's box may cover.
        prob: Share of the eligible objects that is copied; not the probability of doing anything.

    Raises:
        ConfigError: If `prob` or `ioa_thresh` is not in [0, 1].
    """

    def __init__(self, ioa_thresh: float = 0.3, prob: float = 0.5) -> None:
        for name, value in (('ioa_thresh', ioa_thresh), ('prob', prob)):
            if not 0 <= value <= 1:
                raise ConfigError(
                    f'YOLOv5CopyPaste: {name} is {value}, it must lie between 0 and 1'
                )
        self.ioa_thresh = ioa_thresh
        self.prob = prob

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Paste the copies and append their boxes, polygons, labels and flags."""
        if len(results.get('gt_masks', ())) == 0:
            return results
        img, boxes = results['img'], box_array(results)
        height, width = img.shape[:2]
        mirrored = np.stack(
            [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1
        )
        eligible = np.flatnonzero((covered_share(mirrored, boxes) < self.ioa_thresh).all(axis=1))
        chosen = np.random.choice(eligible, size=round(self.prob * len(eligible)), replace=False)
        if len(chosen) == 0:
            return results
        polygons = results['gt_masks'].masks
        copied = [polygons[index] for index in chosen]
        results['img'] = _paste_mirrored(img, copied)
        results['gt_bboxes'] = to_boxes(np.concatenate([boxes, mirrored[chosen]]))
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            if key in results:
                results[key] = np.concatenate([results[key], results[key][chosen]])
        results['gt_masks'] = PolygonMasks(polygons + poly.mirror(copied, width), height, width)
        return results


def _paste_mirrored(img: np.ndarray, objects: poly.Polygons) -> np.ndarray:
    """Return a copy of the image (H, W, C) with the mirrored pixels of `objects` pasted in."""
    height, width = img.shape[:2]
    result = img.copy()
    for region, (top, left) in rasterize_regions(objects, (height, width)):
        if region.size == 0:
            continue
        bottom, right = top + region.shape[0], left + region.shape[1]
        # Pixels come from the unpasted image, so overlapping copies agree on them.
        window = result[top:bottom, width - right : width - left]
        window[...] = cv2.copyTo(
            cv2.flip(img[top:bottom, left:right], 1), cv2.flip(region, 1), window.copy()
        )
    return result
