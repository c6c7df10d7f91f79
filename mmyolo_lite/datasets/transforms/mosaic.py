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
from mmyolo_lite.registry import TRANSFORMS

Window = tuple[int, int, int, int]


class Tile(NamedTuple):
    """The annotations of one image of the mosaic, in canvas pixels."""

    boxes: np.ndarray
    """(N, 4) float32 xyxy."""
    polygons: poly.Polygons | None
    """N objects, or None without masks."""


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
        low, high = self.center_ratio_range
        center_x, center_y = (int(np.random.uniform(low, high) * size) for size in self.img_scale)
        canvas = self._new_canvas(results['img'])
        samples = [results, *results['mix_results']]
        tiles = [
            self._place(canvas, sample, position, (center_x, center_y))
            for position, sample in enumerate(samples)
        ]
        return self._finish(results, canvas, samples, tiles)

    def leave_alone(self, results: dict) -> dict:
        """Centre the resized image alone on the canvas."""
        canvas = self._new_canvas(results['img'])
        return self._finish(results, canvas, [results], [self._place(canvas, results)])

    def _new_canvas(self, img: np.ndarray) -> np.ndarray:
        return np.full((*self.canvas_wh[::-1], *img.shape[2:]), self.pad_val, dtype=img.dtype)

    def _place(
        self,
        canvas: np.ndarray,
        sample: dict,
        position: int | None = None,
        center: tuple[int, int] = (0, 0),
    ) -> Tile:
        """Paste a sample into the canvas, at a corner of `center` or, without a position, in the
        middle.
        """
        img = sample['img']
        height, width = img.shape[:2]
        ratio = min(self.img_scale[1] / height, self.img_scale[0] / width)
        tile_wh = (max(int(width * ratio), 1), max(int(height * ratio), 1))
        if tile_wh != (width, height):
            img = mmcv.imresize(img, tile_wh)
        if position is None:
            left, top = (
                (limit - size) // 2 for limit, size in zip(self.canvas_wh, tile_wh, strict=True)
            )
            paste, crop = (left, top, left + tile_wh[0], top + tile_wh[1]), (0, 0, *tile_wh)
        else:
            paste, crop = tile_windows(position, center, tile_wh, self.canvas_wh)
        canvas[paste[1] : paste[3], paste[0] : paste[2]] = img[crop[1] : crop[3], crop[0] : crop[2]]
        shift = (paste[0] - crop[0], paste[1] - crop[1])
        return self._move(sample, ratio, (tile_wh[0] / width, tile_wh[1] / height), shift)

    def _move(
        self, sample: dict, ratio: float, scale_xy: tuple[float, float], shift_xy: tuple[int, int]
    ) -> Tile:
        """Scale and shift annotations; polygons follow the integer tile size, boxes the exact
        ratio.
        """
        boxes, moved = np.zeros((0, 4), dtype=np.float32), None
        if 'gt_bboxes' in sample:
            boxes = box_array(sample) * np.float32(ratio) + np.array(shift_xy * 2, dtype=np.float32)
        if 'gt_masks' in sample:
            moved = poly.scale_shift(
                sample['gt_masks'].masks, scale_xy, shift_xy, clamp_wh=self.canvas_wh
            )
        return Tile(boxes, moved)

    def _finish(
        self, results: dict, canvas: np.ndarray, samples: list[dict], tiles: list[Tile]
    ) -> dict:
        """Store the canvas and the joined annotations of all tiles."""
        set_image(results, canvas)
        join_labels(results, samples)
        width, height = self.canvas_wh
        if 'gt_masks' in results:
            objects = [rings for tile in tiles for rings in tile.polygons or ()]
            results['gt_masks'] = PolygonMasks(objects, height, width)
        if 'gt_bboxes' not in results:
            return results
        boxes = np.concatenate([tile.boxes for tile in tiles])
        if self.bbox_clip_border:
            boxes = np.clip(boxes, 0, np.array(self.canvas_wh * 2, dtype=np.float32))
        else:
            inside = (boxes[:, :2] < self.canvas_wh) & (boxes[:, 2:] > 0)
            visible = np.asarray(inside.all(axis=1))
            boxes = boxes[visible]
            select(results, visible)
        results['gt_bboxes'] = to_boxes(boxes)
        return results
