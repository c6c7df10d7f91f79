"""Polygons to the masks the segmentation loss reads."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import BaseBoxes, autocast_box_type

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops.polygons import require_polygons
from mmyolo_lite.ops.rasterize import overlap_map, stack_masks
from mmyolo_lite.registry import TRANSFORMS


def _in_order(boxes: BaseBoxes, order: np.ndarray) -> BaseBoxes:
    """Return boxes by their indices (N,); of a few, NumPy finds them quicker than PyTorch."""
    return type(boxes)(boxes.tensor.numpy()[order], clone=False)


@TRANSFORMS.register_module()
class Polygon2Mask(BaseTransform):
    """Rasterise the polygons at a fraction of the image size (spec: data.md 6.5).

    Overlap form: one id map for the image, ``gt_panoptic_seg`` of shape (1, h, w), uint8 for up to
    255 objects and int32 above. Value 0 is background, value v belongs to row ``v - 1`` of the
    boxes and labels, which are re-ordered from large to small for that; smaller objects lie on top.
    ``gt_masks`` is removed.

    Single form: ``gt_masks`` becomes a uint8 tensor (N, h, w) in the order of the boxes.

    Args:
        downsample_ratio: Image size over mask size.
        mask_overlap: Overlap form; must agree with the model's setting of the same name.
        coco_style: Only False is supported.

    Raises:
        ConfigError: If `downsample_ratio` is not a positive integer or `coco_style` is set; when
            called, if there are no polygons to rasterise.
    """

    def __init__(
        self, downsample_ratio: int = 4, mask_overlap: bool = True, coco_style: bool = False
    ) -> None:
        if not isinstance(downsample_ratio, int) or downsample_ratio < 1:
            raise ConfigError(
                f'Polygon2Mask: downsample_ratio is {downsample_ratio!r}, it must be a '
                'positive integer'
            )
        if coco_style:
            raise ConfigError('Polygon2Mask: coco_style=True is not supported, leave it out')
        self.downsample_ratio = downsample_ratio
        self.mask_overlap = mask_overlap

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Replace the polygons ``results['gt_masks']``."""
        if 'gt_masks' not in results:
            raise ConfigError(
                'Polygon2Mask finds no gt_masks: set with_mask=True in LoadAnnotations'
            )
        masks = results['gt_masks']
        require_polygons(masks.masks)
        size_hw = (masks.height, masks.width)
        if not self.mask_overlap:
            stack = stack_masks(masks.masks, size_hw, self.downsample_ratio)
            results['gt_masks'] = torch.from_numpy(stack)
            return results
        ids, order = overlap_map(masks.masks, size_hw, self.downsample_ratio)
        results.pop('gt_masks')
        results['gt_panoptic_seg'] = torch.from_numpy(ids[None])
        if 'gt_bboxes' in results:
            results['gt_bboxes'] = _in_order(results['gt_bboxes'], order)
        if 'gt_bboxes_labels' in results:
            results['gt_bboxes_labels'] = results['gt_bboxes_labels'][order]
        return results
