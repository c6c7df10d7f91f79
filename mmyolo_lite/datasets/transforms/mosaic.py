"""Mosaic: four images in one, around a random centre."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import mmcv
import numpy as np
from mmdet.structures.mask import PolygonMasks

from mmyolo_lite.datasets.transforms.mix import (
    MixTransform,
    box_array,
    join_labels,
    select,
    set_image,
    to_boxes,
)
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops import polygons as poly
from mmyolo_lite.ops.affine import fit_inside
from mmyolo_lite.registry import TRANSFORMS

Window = tuple[int, int, int, int]


def tile_windows(
    position: int, center_xy: tuple[int, int], tile_wh: tuple[int, int], canvas_wh: tuple[int, int]
) -> tuple[Window, Window]:
    """Say where a tile goes and which part of it fits (spec: data.md 5.2).

    Args:
        position: 0 top left, 1 top right, 2 bottom left, 3 bottom right of the centre.
        center_xy: The point all four tiles touch, canvas pixels.
        tile_wh: Width and height of the resized tile.
        canvas_wh: Width and height of the canvas.

    Returns:
        Paste window in the canvas and crop window in the tile, both ``x1, y1, x2, y2`` and of the
        same size.
    """
    paste, crop = [], []
    sides = (position % 2, position // 2)
    for after_center, center, size, limit in zip(sides, center_xy, tile_wh, canvas_wh, strict=True):
        if after_center:
            paste.append((center, min(center + size, limit)))
            crop.append((0, min(size, paste[-1][1] - center)))
        else:
            paste.append((max(center - size, 0), center))
            crop.append((size - (center - paste[-1][0]), size))
    return (
        (paste[0][0], paste[1][0], paste[0][1], paste[1][1]),
        (crop[0][0], crop[1][0], crop[0][1], crop[1][1]),
    )


class Placement(NamedTuple):
    """How an image becomes a tile of the canvas."""

    ratio: float
    """Zoom that fits the image into `img_scale`; boxes follow it."""
    scale_xy: tuple[float, float]
    """Size of the tile, in whole pixels, over that of the image; polygons follow it."""
    tile_wh: tuple[int, int]
    """Width and height of the tile, pixels."""
    paste: Window
    """What it covers of the canvas."""
    crop: Window
    """Which part of the tile that is."""

    @property
    def shift_xy(self) -> tuple[int, int]:
        """Where the tile's corner lies on the canvas, possibly outside."""
        return self.paste[0] - self.crop[0], self.paste[1] - self.crop[1]


def as_tile(img: np.ndarray, placement: Placement) -> np.ndarray:
    """Return an image (H, W, 3) at the size of its tile (h, w, 3), resized if it has another; same
    type and channel order.
    """
    height, width = img.shape[:2]
    if (width, height) == placement.tile_wh:
        return img
    return mmcv.imresize(img, placement.tile_wh)


@TRANSFORMS.register_module()
class Mosaic(MixTransform):
    """Join the current image and three random ones on a canvas twice `img_scale` (spec: data.md
    5.2).

    Each image is scaled to fit `img_scale`, may it grow, and put into one corner around the centre.
    Objects outside the canvas keep a box of zero size when boxes are clipped; the affine transform
    that normally follows drops them. When `prob` decides against mixing, the resized image alone is
    centred on the same canvas, so that what follows meets one image size only.

    Draws: those of the base class, then centre x, then centre y.

    Args:
        img_scale: Width and height that each image is scaled to fit.
        center_ratio_range: Range of the centre's x and y, as a share of `img_scale`.
        bbox_clip_border: Clip boxes to the canvas. False: drop objects off the canvas and clip
            nothing.
        pad_val: Grey level of the canvas where no image lies.
        pre_transform: See the base class, like all that follow.

    Raises:
        ConfigError: If `img_scale` or `center_ratio_range` is not a pair of suitable numbers.
    """

    num_partners = 3

    def __init__(
        self,
        img_scale: tuple[int, int] = (640, 640),
        center_ratio_range: tuple[float, float] = (0.5, 1.5),
        bbox_clip_border: bool = True,
        pad_val: float = 114.0,
        pre_transform: Sequence[dict | Callable] | None = None,
        prob: float = 1.0,
        use_cached: bool = False,
        max_cached_images: int = 40,
        random_pop: bool = True,
        max_refetch: int = 15,
    ) -> None:
        if not (
            isinstance(img_scale, (tuple, list)) and len(img_scale) == 2 and min(img_scale) >= 1
        ):
            raise ConfigError(
                f'Mosaic: img_scale is {img_scale!r}, it must be a tuple (width, height) of '
                'positive integers, such as (640, 640)'
            )
        low, high = center_ratio_range
        if not 0 <= low <= high <= 2:
            raise ConfigError(
                f'Mosaic: center_ratio_range is {center_ratio_range}, it must be ordered and '
                'lie between 0 and 2'
            )
        super().__init__(
            pre_transform, prob, use_cached, max_cached_images, random_pop, max_refetch
        )
        self.img_scale = (int(img_scale[0]), int(img_scale[1]))
        self.canvas_wh = (2 * self.img_scale[0], 2 * self.img_scale[1])
        self.center_ratio_range = (low, high)
        self.bbox_clip_border = bbox_clip_border
        self.pad_val = pad_val

    def mix(self, results: dict) -> dict:
        """Build the mosaic of ``results`` and its three partners."""
        samples = [results, *results['mix_results']]
        return self._join(results, samples, self.place(samples, self.draw_center()))

    def leave_alone(self, results: dict) -> dict:
        """Centre the resized image alone on the canvas."""
        return self._join(results, [results], [self._place(results, None, (0, 0))])

    def draw_center(self) -> tuple[int, int]:
        """Draw the point that the tiles meet in, x then y, canvas pixels."""
        low, high = self.center_ratio_range
        center_x, center_y = (int(np.random.uniform(low, high) * size) for size in self.img_scale)
        return center_x, center_y

    def place(self, samples: Sequence[dict], center: tuple[int, int]) -> list[Placement]:
        """Say where each of four loaded samples goes around `center`."""
        return [self._place(sample, position, center) for position, sample in enumerate(samples)]

    def _place(self, sample: dict, position: int | None, center: tuple[int, int]) -> Placement:
        """Place a sample in a corner of `center` or, without a position, in the middle."""
        # a loader may have made the tile already; the annotations are in original pixels still
        is_tile = sample.get('img_is_tile', False)
        height, width = sample['ori_shape'] if is_tile else sample['img'].shape[:2]
        ratio, tile_wh = fit_inside((width, height), self.img_scale)
        if position is None:
            left, top = (
                (limit - size) // 2 for limit, size in zip(self.canvas_wh, tile_wh, strict=True)
            )
            paste, crop = (left, top, left + tile_wh[0], top + tile_wh[1]), (0, 0, *tile_wh)
        else:
            paste, crop = tile_windows(position, center, tile_wh, self.canvas_wh)
        return Placement(ratio, (tile_wh[0] / width, tile_wh[1] / height), tile_wh, paste, crop)

    def _join(self, results: dict, samples: list[dict], placements: list[Placement]) -> dict:
        """Store the canvas and the joined annotations of all tiles."""
        img = results['img']
        canvas = np.full((*self.canvas_wh[::-1], *img.shape[2:]), self.pad_val, dtype=img.dtype)
        for sample, placement in zip(samples, placements, strict=True):
            (left, top, right, bottom), (x1, y1, x2, y2) = placement.paste, placement.crop
            canvas[top:bottom, left:right] = as_tile(sample['img'], placement)[y1:y2, x1:x2]
        set_image(results, canvas)
        join_labels(results, samples)
        width, height = self.canvas_wh
        if 'gt_masks' in results:
            results['gt_masks'] = PolygonMasks(
                poly.unpack(*self.join_rings(samples, placements)), height, width
            )
        if 'gt_bboxes' not in results:
            return results
        boxes = self.join_boxes(samples, placements)
        if not self.bbox_clip_border:
            inside = (boxes[:, :2] < self.canvas_wh) & (boxes[:, 2:] > 0)
            visible = np.asarray(inside.all(axis=1))
            boxes = boxes[visible]
            select(results, visible)
        results['gt_bboxes'] = to_boxes(boxes)
        return results

    def join_boxes(self, samples: list[dict], placements: list[Placement]) -> np.ndarray:
        """Return the boxes of all samples, (N, 4) float32 xyxy in canvas pixels, clipped if
        configured.
        """
        parts = [box_array(sample) for sample in samples]
        ratio, shift = (
            np.repeat(np.array(values, dtype=np.float32), [len(part) for part in parts], axis=0)
            for values in ([[p.ratio] for p in placements], [p.shift_xy * 2 for p in placements])
        )
        boxes = np.concatenate(parts) * ratio + shift
        if self.bbox_clip_border:
            boxes = np.clip(boxes, 0, np.array(self.canvas_wh * 2, dtype=np.float32))
        return boxes

    def join_rings(self, samples: list[dict], placements: list[Placement]) -> poly.RingTable:
        """Return the rings of all samples in canvas pixels, clamped to the canvas."""
        polygons = [sample['gt_masks'].masks for sample in samples]
        for masks in polygons:
            poly.require_polygons(masks)
        table = poly.pack([rings for masks in polygons for rings in masks])
        rings = [sum(map(len, masks)) for masks in polygons]
        vertices = np.diff(table.starts[np.cumsum([0, *rings])])
        scale, shift = (
            np.repeat(np.array(values, dtype=np.float64), vertices, axis=0)
            for values in zip(*((p.scale_xy, p.shift_xy) for p in placements), strict=True)
        )
        return table._replace(points=poly.clamp(table.points * scale + shift, self.canvas_wh))
