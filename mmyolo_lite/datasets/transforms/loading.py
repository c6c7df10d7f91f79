"""Load images and annotations of a sample."""

import math
import os.path as osp
from collections.abc import Sequence
from copy import copy
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile as _MMCVLoadImageFromFile
from mmdet.datasets.transforms import LoadAnnotations as _MMDetLoadAnnotations
from mmdet.structures.bbox import get_box_type
from mmdet.structures.mask import PolygonMasks
from mmengine import fileio

from mmyolo_lite.datasets.coco_checks import LARGEST_NUMBER
from mmyolo_lite.datasets.image_store import ImageStore
from mmyolo_lite.datasets.transforms.memory import Memory
from mmyolo_lite.errors import DataError
from mmyolo_lite.ops.affine import fit_inside
from mmyolo_lite.ops.ring_join import join_rings
from mmyolo_lite.ops.run_lengths import decode_runs
from mmyolo_lite.registry import TRANSFORMS

_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_JPEG = ('.jpg', '.jpeg', '.jpe', '.jfif')
_JPEG_MARK = b'\xff\xd8'
"""First bytes of a JPEG file; OpenCV decodes others in full and scales them roughly."""


class UnreadableImageError(DataError):
    """One image file is missing or damaged; a training set may skip it. ``path`` names the file."""

    path: str = ''


@TRANSFORMS.register_module()
class LoadImageFromFile(_MMCVLoadImageFromFile):
    """mmcv's loader with failures that name the file. Source: spec data.md 3.1.

    Sets ``img`` (H, W, 3) uint8 BGR, EXIF orientation applied, and ``img_shape``, ``ori_shape`` as
    ``(height, width)``. Arguments as in mmcv: ``to_float32``, ``color_type``, ``imdecode_backend``,
    ``ignore_empty``, ``backend_args``.

    Directly before a mosaic, a dataset may set `fit_to`: then ``img`` is a tile for it, smaller or
    larger than ``ori_shape``, in whose pixels the annotations are, and ``img_is_tile`` says so.
    """

    fit_to: tuple[int, int] | None = None
    """Width and height that the mosaic scales each image to fit. Scaling them one by one, at once,
    saves the memory of the large ones, which takes longer to provide than to fill."""
    tiles: ImageStore | None = None
    """Tiles that need not be made."""
    reduced_decode: bool = False
    """Decode JPEG files at 1/2, 1/4 or 1/8 of their size as long as the image stays at least as
    large as its tile (spec: data.md 9.3, idea 10)."""

    def transform(self, results: dict) -> dict | None:
        """Load ``results['img_path']``.

        Returns:
            `results`, or None for an unreadable file with ``ignore_empty=True``.

        Raises:
            UnreadableImageError: the file is missing, no regular file or cannot be decoded to three
                8-bit channels (the former not with ``ignore_empty=True``).
            DataError: the decoded size is not the ``height`` and ``width`` of the annotation file.
        """
        if self.fit_to is None or 'width' not in results:
            return self._load(results)
        return self._load_tile(results, self.fit_to)

    def _load(self, results: dict) -> dict | None:
        path = results['img_path']
        try:
            if osp.exists(path) and not osp.isfile(path):  # a pipe would be waited for
                raise OSError('it is no regular file')
            loaded = super().transform(results)
        except Exception as error:
            if self.ignore_empty:
                return None
            # mmcv asserts that the decoder returned something.
            undecoded = isinstance(error, AssertionError)
            reason = 'it holds no image that can be decoded' if undecoded else str(error)
            raise _unreadable(path, reason) from error
        if loaded is None:
            return None
        image = loaded['img']
        if self.color_type.startswith('color'):
            _check_channels(image, path, self.to_float32)
        _check_size(image.shape[:2], results)
        return loaded

    def _load_tile(self, results: dict, fit_to: tuple[int, int]) -> dict | None:
        path, size_wh = results['img_path'], (results['width'], results['height'])
        tile_wh = fit_inside(size_wh, fit_to)[1]
        tile = self.tiles.get(path, size_wh) if self.tiles is not None else None
        if tile is None:
            if self.reduced_decode:
                tile = self._decode_reduced(path, size_wh, tile_wh)
            if tile is None:
                if self._load(results) is None:
                    return None
                tile = results['img']
            if tile.shape[1::-1] != tile_wh:
                tile = mmcv.imresize(tile, tile_wh)
        results['img'], results['img_is_tile'] = tile, True
        results['img_shape'], results['ori_shape'] = tuple(tile.shape[:2]), size_wh[::-1]
        return results

    def _decode_reduced(
        self, path: str, size_wh: tuple[int, int], least_wh: tuple[int, int]
    ) -> np.ndarray | None:
        """Decode at the smallest size that is at least `least_wh`; None if the file is no JPEG of
        about `size_wh`, or that small already, or cannot be read.
        """
        fits = [
            factor
            for factor in _REDUCED
            if all(size // factor >= least for size, least in zip(size_wh, least_wh, strict=True))
        ]
        if not fits or not path.lower().endswith(_JPEG) or not osp.isfile(path):
            return None
        try:
            content = fileio.get(path, backend_args=self.backend_args)
            if not content.startswith(_JPEG_MARK):
                return None
            img = cv2.imdecode(np.frombuffer(content, np.uint8), _REDUCED[max(fits)])
        except Exception:  # decoding it in full says what is wrong
            return None
        expected = tuple(-(-size // max(fits)) for size in size_wh[::-1])
        return img if img is not None and img.shape[:2] == expected else None


def _unreadable(path: str, reason: str) -> UnreadableImageError:
    error = UnreadableImageError(
        f'Cannot read the image {path}: {reason}. Repair or replace the file, or '
        'remove it from the annotation file.'
    )
    error.path = path
    return error


def _check_channels(image: np.ndarray, path: str, is_float: bool) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or not (is_float or image.dtype == np.uint8):
        raise _unreadable(
            path, f'it decodes to shape {image.shape}, {image.dtype}, not to three 8-bit channels'
        )


def _check_size(shape_hw: tuple[int, int], results: dict) -> None:
    """Refuse an image whose annotations were made in another coordinate frame."""
    expected = (results.get('height'), results.get('width'))
    if None in expected or tuple(shape_hw) == expected:
        return
    raise DataError(
        f'The image {results["img_path"]} is {shape_hw[1]} x {shape_hw[0]} pixels (width x '
        f'height), but the annotation file says {expected[1]} x {expected[0]}, so its annotations '
        'do not fit. If width and height are exchanged, the file carries an EXIF orientation that '
        'the annotation tool ignored: save it without EXIF, or convert the annotations again.'
    )


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
    """Return the usable rings of one object's ``mask`` as flat float64 arrays.

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
