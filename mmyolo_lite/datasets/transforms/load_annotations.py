"""Load the annotations of a sample: boxes, labels and polygons."""

import math
from collections.abc import Sequence
from copy import copy
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.datasets.transforms import LoadAnnotations as _MMDetLoadAnnotations
from mmdet.structures.bbox import get_box_type
from mmdet.structures.mask import PolygonMasks

from mmyolo_lite.datasets.coco_checks import LARGEST_NUMBER
from mmyolo_lite.datasets.transforms.memory import Memory
from mmyolo_lite.errors import DataError
from mmyolo_lite.ops.ring_join import join_rings
from mmyolo_lite.ops.run_lengths import decode_runs
from mmyolo_lite.registry import TRANSFORMS


def rings_from_rle(rle: dict, height: int, width: int) -> list[np.ndarray]:
    """Trace the outer contours of a COCO run-length mask.

    Args:
        rle: dict of ``size`` (height, width) and ``counts``, compressed or not.
        height: height of the image, for uncompressed counts.
        width: width of the image.

    Returns:
        Flat float64 rings (2K,), K >= 3, through pixel centres (x + 0.5, y + 0.5): filling them
        with coordinates truncated gives the mask back, but for its holes. Specks of one or two
        pixels give none.

    Raises:
        ValueError: the mask is damaged.
    """
    counts = rle.get('counts')
    if not isinstance(counts, list):
        height, width = map(int, rle['size'])
    mask = np.ascontiguousarray(decode_runs(counts, height, width))
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [contour.reshape(-1) + 0.5 for contour in contours if len(contour) >= 3]


def valid_rings(mask: Sequence | dict | None, height: int, width: int) -> list[np.ndarray]:
    """Return the usable rings of one object's ``mask`` as flat float64 arrays (2K,), x1, y1, x2 ...
    in pixels.

    A ring counts if it has an even number of at least 6 values, none NaN or too large for
    any image. Always float64: rings are scaled in place later, which would truncate integers.

    Args:
        mask: COCO ``segmentation``: list of flat rings, or RLE dict, or None.
        height: height of the image in pixels.
        width: width of the image in pixels.
    """
    if isinstance(mask, dict):
        return rings_from_rle(mask, height, width)
    rings = [
        np.array(ring, dtype=np.float64)
        for ring in mask or ()
        if len(ring) % 2 == 0 and len(ring) >= 6
    ]
    return [ring for ring in rings if (np.abs(ring) <= LARGEST_NUMBER).all()]  # false for NaN


def object_rings(instance: dict, path: str, height: int, width: int) -> list[np.ndarray]:
    """Return the usable rings of an object, see :func:`valid_rings`.

    Args:
        instance: with ``mask`` and ``bbox``.
        path: of its image, for the message.
        height: height of the image in pixels.
        width: width of the image in pixels.

    Raises:
        DataError: its run-length mask cannot be decoded.
    """
    try:
        return valid_rings(instance.get('mask'), height, width)
    except ValueError as error:
        raise DataError(
            f'{path}: the mask of the object with bbox={instance.get("bbox")} cannot be decoded: '
            f'{error}. Convert it again.'
        ) from error


def has_mask(mask: Sequence | dict | None) -> bool:
    """Say whether :func:`valid_rings` can find a ring, without making or tracing any.

    Quick enough for every object of a large file. A run-length mask counts unless it is plainly
    empty, though one of specks alone gives no ring.

    Args:
        mask: as for :func:`valid_rings`.
    """
    if isinstance(mask, dict):
        return len(mask['counts']) > 1  # one run is the background
    return any(
        len(ring) >= 6 and len(ring) % 2 == 0 and _has_coordinates(ring) for ring in mask or ()
    )


def _has_coordinates(ring: Sequence[float]) -> bool:
    fits = min(ring) >= -LARGEST_NUMBER and max(ring) <= LARGEST_NUMBER
    return fits and math.isfinite(sum(ring))  # least and greatest may miss a NaN


def box_of_rings(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Return the float32 (4,) xyxy box around all vertices of the flat `rings`."""
    points = np.concatenate(rings).reshape(-1, 2)
    return np.concatenate((points.min(0), points.max(0))).astype(np.float32)


@TRANSFORMS.register_module()
class LoadAnnotations(_MMDetLoadAnnotations):
    """Load boxes, labels and polygons of the objects that are not to be ignored.

    Source: spec data.md 3.2.

    Sets ``gt_bboxes`` float32 (N, 4) xyxy pixels, ``gt_bboxes_labels`` int64 (N,),
    ``gt_ignore_flags`` (N,) False, and with `with_mask` ``gt_masks``, `PolygonMasks` of the image's
    size; objects without a valid ring are dropped.

    Args:
        mask2bbox: compute the boxes from the polygons; needs `with_mask`.
        poly2mask: must be False: masks stay polygons.
        merge_polygons: join the rings of an object into one.
        kwargs: as in mmdet: ``with_bbox``, ``with_label``, ``with_mask``, ``with_seg``,
            ``box_type`` ...

    Raises:
        AssertionError: `poly2mask` is True, or `mask2bbox` without `with_mask`.
    """

    remembers: bool = False
    """Parse the annotations of an image once, and hand the same objects out again; only for steps
    after it that change no array in place, such as mosaics."""

    def __init__(
        self,
        mask2bbox: bool = False,
        poly2mask: bool = False,
        merge_polygons: bool = True,
        **kwargs: Any,
    ) -> None:
        assert not poly2mask, 'LoadAnnotations: masks stay polygons here, poly2mask must be False'
        super().__init__(poly2mask=False, **kwargs)
        assert self.with_mask or not mask2bbox, (
            'LoadAnnotations: mask2bbox=True needs with_mask=True'
        )
        self.mask2bbox = mask2bbox
        self.merge_polygons = merge_polygons
        self._parsed = Memory()

    def transform(self, results: dict) -> dict:
        """Read ``results['instances']`` and, with masks, ``results['ori_shape']``, (height, width).

        Raises:
            DataError: a run-length mask cannot be decoded.
        """
        if not self.remembers or self.with_seg or 'img_id' not in results:  # maps are large
            return self._parse(results)
        image = (results.get('img_path'), results['img_id'])
        if image not in self._parsed:
            before = set(results)
            parsed = self._parse(results)
            self._parsed[image] = {key: parsed[key] for key in parsed if key not in before}
        results.update(self._parsed[image])
        return results

    def with_own_memory(self) -> 'LoadAnnotations':
        """Return a copy that remembers nothing yet."""
        other = copy(self)
        other._parsed = Memory()
        return other

    def _parse(self, results: dict) -> dict:
        instances = [
            instance for instance in results.get('instances', ()) if instance['ignore_flag'] == 0
        ]
        polygons: list[list[np.ndarray]] = []
        if self.with_mask:
            instances, polygons = self._keep_with_rings(instances, results)
            results['gt_masks'] = PolygonMasks(polygons, *results['ori_shape'])
        if self.mask2bbox:
            self._set_boxes(results, [box_of_rings(rings) for rings in polygons])
        elif self.with_bbox:
            self._set_boxes(results, [instance['bbox'] for instance in instances])
        if self.with_label:
            results['gt_bboxes_labels'] = np.array(
                [i['bbox_label'] for i in instances], dtype=np.int64
            )
        results['gt_ignore_flags'] = np.zeros(len(instances), dtype=bool)
        if self.with_seg:
            self._load_seg_map(results)
        return results

    def _keep_with_rings(
        self, instances: list[dict], results: dict
    ) -> tuple[list[dict], list[list[np.ndarray]]]:
        """Return the instances that have valid rings, and those rings, joined if configured."""
        height, width = results['ori_shape']
        kept, polygons = [], []
        for instance in instances:
            rings = object_rings(instance, str(results.get('img_path')), height, width)
            if rings:
                kept.append(instance)
                polygons.append([join_rings(rings)] if self.merge_polygons else rings)
        return kept, polygons

    def _set_boxes(self, results: dict, boxes: list) -> None:
        array = np.array(boxes, dtype=np.float32).reshape(-1, 4)
        if self.box_type is not None:
            _, box_class = get_box_type(self.box_type)
            array = box_class(torch.from_numpy(array))
        results['gt_bboxes'] = array

    def __repr__(self) -> str:
        return (
            f'{super().__repr__()[:-1]}, mask2bbox={self.mask2bbox}, '
            f'merge_polygons={self.merge_polygons})'
        )
