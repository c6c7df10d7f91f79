"""Mosaic and random affine in one step, without the canvas that lies between them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np

from mmyolo_lite.datasets.transforms.affine import YOLOv5RandomAffine
from mmyolo_lite.datasets.transforms.loading import DeferredTile
from mmyolo_lite.datasets.transforms.mix import MixTransform, join_labels, set_image
from mmyolo_lite.datasets.transforms.mosaic import Mosaic, Placement, Window, as_tile
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops.affine import seen_window, warp_image
from mmyolo_lite.registry import TRANSFORMS

Kind = TypeVar('Kind')


@TRANSFORMS.register_module()
class MosaicAffine(MixTransform):
    """What `Mosaic` and then `YOLOv5RandomAffine` do, in about half of their time.

    Only the part of the canvas that the output shows is put together; with a zoom of 1 it is a
    quarter. Numbers are drawn in the same order, and the result is the same but for rounding: a
    pixel may differ by one level, a coordinate by 1e-3 (spec: data.md 9.3, ideas 3 and 5).

    Args:
        mosaic: A `Mosaic` or its arguments, ``pre_transform`` and ``prob`` among them.
        affine: A `YOLOv5RandomAffine` or its arguments.

    Raises:
        ConfigError: If an argument is wrong, or the affine's border leaves nothing of the canvas.
    """

    num_partners = 3

    def __init__(self, mosaic: Mosaic | dict, affine: YOLOv5RandomAffine | dict) -> None:
        self.mosaic = _built(Mosaic, mosaic)
        self.affine = _built(YOLOv5RandomAffine, affine)
        parts = self.mosaic.pre_transform
        super().__init__(
            None if parts is None else parts.transforms,
            self.mosaic.prob,
            self.mosaic.use_cached,
            self.mosaic.max_cached_images,
            self.mosaic.random_pop,
            self.mosaic.max_refetch,
        )
        self.output_wh = self.affine.output_wh(self.mosaic.canvas_wh)
        grey = self.mosaic.pad_val
        is_level = isinstance(grey, (int, float)) and 0 <= grey <= 255
        self._is_usual = self.mosaic.bbox_clip_border and is_level

    def leave_alone(self, results: dict) -> dict:
        """Warp the resized image alone."""
        _decode([results])
        return self.affine.transform(self.mosaic.leave_alone(results))

    def pieces(self, results: dict) -> list[dict]:
        """Return the samples with their images decoded."""
        _decode([results, *results['mix_results']])
        return super().pieces(results)

    def mix(self, results: dict) -> dict:
        """Build the warped mosaic of ``results`` and its three partners."""
        samples = [results, *results['mix_results']]
        if not (self._is_usual and all(_is_plain(sample['img']) for sample in samples)):
            _decode(samples)
            return self.affine.transform(self.mosaic.mix(results))
        placements = self.mosaic.place(samples, self.mosaic.draw_center())
        matrix, zoom = self.affine.draw_matrix(self.mosaic.canvas_wh, self.output_wh)
        set_image(results, self._warp(samples, placements, matrix))
        join_labels(results, samples)
        if 'gt_bboxes' in results:
            boxes = self.mosaic.join_boxes(samples, placements)
            has_masks = 'gt_masks' in results
            table = self.mosaic.join_rings(samples, placements) if has_masks else None
            self.affine.move_objects(results, boxes, table, (matrix, zoom), self.output_wh)
        return results

    def _warp(
        self, samples: list[dict], placements: list[Placement], matrix: np.ndarray
    ) -> np.ndarray:
        """Put together what is seen of the canvas, and warp it."""
        seen = seen_window(matrix, self.output_wh, self.mosaic.canvas_wh)
        left, top, right, bottom = seen
        # a fourth channel, unused, lets the warp read four bytes at once
        canvas = np.empty((bottom - top, right - left, 4), dtype=np.uint8)
        canvas.view(np.uint32)[:] = int(self.mosaic.pad_val) * 0x01010101
        for sample, placement in zip(samples, placements, strict=True):
            _paste(canvas, sample['img'], placement, seen)
        shift = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]], dtype=np.float64)
        return warp_image(canvas, matrix @ shift, self.output_wh, self.affine.border_val)


def _built(kind: type[Kind], given: Any) -> Kind:
    """Return a transform that is given, or build it from its arguments."""
    if isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(
            f'MosaicAffine: {given!r} is neither a {kind.__name__} nor a dict of its arguments'
        )
    arguments = {key: value for key, value in given.items() if key != 'type'}
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ConfigError(f'MosaicAffine: {error}') from error


def _decode(samples: Sequence[dict]) -> None:
    """Put images in the place of tiles that are not decoded yet."""
    for sample in samples:
        if isinstance(sample['img'], DeferredTile):
            sample['img'] = sample['img'].array()


def _is_plain(img: np.ndarray | DeferredTile) -> bool:
    """Say whether an image is a usual one, (H, W, 3) uint8, as tiles are."""
    if isinstance(img, DeferredTile):
        return True
    return img.dtype == np.uint8 and img.ndim == 3 and img.shape[2] == 3


def _paste(
    canvas: np.ndarray, img: np.ndarray | DeferredTile, placement: Placement, seen: Window
) -> None:
    """Put what is seen of a tile into `canvas`, the part `seen` of the whole canvas."""
    left, top, right, bottom = (
        choose(pasted, limit)
        for choose, pasted, limit in zip((max, max, min, min), placement.paste, seen, strict=True)
    )
    if left >= right or top >= bottom:
        return
    shift_x, shift_y = placement.shift_xy
    if isinstance(img, DeferredTile):
        tile = img.array(rows=bottom - shift_y)
    else:
        tile = as_tile(img, placement)
    part = tile[top - shift_y : bottom - shift_y, left - shift_x : right - shift_x]
    place = canvas[top - seen[1] : bottom - seen[1], left - seen[0] : right - seen[0]]
    cv2.cvtColor(part, cv2.COLOR_BGR2BGRA, dst=place)
