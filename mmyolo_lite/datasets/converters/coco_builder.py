"""The COCO file that a converter builds up: images and objects get ids, boxes and areas here."""

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmyolo_lite.datasets.converters.coco_json import (
    DECIMALS,
    LISTED_PROBLEMS,
    ConversionReport,
    coco_dict,
    image_size_wh,
    points_to_bbox,
    rounded,
)
from mmyolo_lite.datasets.converters.outlines import rings_area
from mmyolo_lite.datasets.file_io import write_json_files
from mmyolo_lite.errors import DataError

CLIP_TOLERANCE = 10**-DECIMALS / 2  # pixels; less is lost in rounding


@dataclass(frozen=True)
class ImageSlot:
    """An image that was added: what its objects need to know."""

    id: int
    file_name: str
    size_wh: tuple[int, int]


class CocoBuilder:
    """Collects images and objects, and everything that is left out on the way.

    Images and annotations are numbered from 1. Points outside an image are moved to its border and
    counted. An object covers the union of its rings; one without area is left out and counted.

    Args:
        image_dir: Folder that file names refer to.
        report: Where counts go, and which decides what stops the conversion.
        area: ``'mask'`` for the area an object covers, ``'bbox'`` for width x height of its box.
        pixel_indices: Coordinates are indices of pixels: boxes and areas are taken from them as
            they are, and half a pixel is added in segmentations.
    """

    def __init__(
        self,
        image_dir: Path,
        report: ConversionReport | None = None,
        *,
        area: Literal['mask', 'bbox'] = 'mask',
        pixel_indices: bool = False,
    ) -> None:
        self.image_dir, self.area = image_dir, area
        self.report = report or ConversionReport()
        self.shift = 0.5 if pixel_indices else 0.0
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []  # category_id is the name until `coco`
        self._names: list[str] | None = None

    def add_image(self, file_name: str, where: str) -> ImageSlot | None:
        """Add an image with the size in its header.

        Args:
            file_name: Path relative to the image folder, with forward slashes.
            where: Place in the source, for messages.

        Returns:
            What :meth:`add_object` takes, or None if the file is missing or damaged, which the
            report then holds.
        """
        path = self.image_dir / file_name
        if not os.path.isfile(path):
            self.report.skip(f'missing image{self._nearest(file_name)}', where)
            return None
        try:
            width, height = image_size_wh(path)
        except DataError as error:
            self.report.skip(f'unreadable image: {error}', where)
            return None
        slot = ImageSlot(len(self.images) + 1, file_name, (width, height))
        self.images.append(dict(id=slot.id, file_name=file_name, height=height, width=width))
        self.report.images += 1
        return slot

    def _nearest(self, file_name: str) -> str:
        """Return the end of a message that names the existing file most like a missing one."""
        if len(self.report.problems) >= LISTED_PROBLEMS or not self.image_dir.is_dir():
            return ''  # the search is slow, and nobody would read the result
        if self._names is None:
            self._names = sorted(os.listdir(self.image_dir))
        close = difflib.get_close_matches(file_name, self._names, n=1)
        return f': nearest existing name is {close[0]!r}' if close else ''

    def add_object(
        self,
        image: ImageSlot,
        name: str,
        rings: Sequence[np.ndarray],
        where: str,
        *,
        bbox: Sequence[float] | None = None,
        iscrowd: int = 0,
    ) -> None:
        """Add an object with an outline.

        Args:
            image: The image it lies in.
            name: Its class.
            rings: Arrays (N, 2) of finite x and y in pixels; those of fewer than 3 distinct points
                inside the image are dropped.
            where: Place in the source, for messages.
            bbox: COCO box ``[x, y, width, height]``, already inside the image; that around the
                rings if None.
            iscrowd: 1 for an object that evaluation ignores.
        """
        clipped = [self._clip(ring, image) for ring in rings]
        kept = [ring for ring in clipped if has_three_points(ring)]
        if not kept:
            self.report.skip('fewer than 3 distinct points inside the image', where)
            return
        if len(kept) < len(rings):
            self.report.notes['parts of fewer than 3 distinct points left out'] += 1
        bbox = bbox or points_to_bbox(np.concatenate(kept))
        area = bbox[2] * bbox[3] if self.area == 'bbox' else rings_area(kept)
        area = round(area, DECIMALS)
        if area <= 0:
            self.report.skip('outline encloses no area', where)
            return
        segmentation = [np.round(ring + self.shift, DECIMALS).ravel().tolist() for ring in kept]
        self._append(image, name, list(bbox), area, segmentation, iscrowd)

    def add_box(
        self,
        image: ImageSlot,
        name: str,
        xyxy: Sequence[float],
        where: str,
        *,
        with_ring: bool = True,
        iscrowd: int = 0,
    ) -> None:
        """Add an object that is known by its box alone.

        Args:
            image: The image it lies in.
            name: Its class.
            xyxy: Its box: finite left, top, right and bottom in pixels.
            where: Place in the source, for messages.
            with_ring: Make the box the segmentation too, so that segmentation configs load.
            iscrowd: 1 for an object that evaluation ignores.
        """
        bbox = self.inside(xyxy, image)
        area = round(bbox[2] * bbox[3], DECIMALS)
        if min(bbox[2:]) <= 0 or area <= 0:
            self.report.skip('box without area inside the image', where)
            return
        left, top, width, height = bbox
        right, bottom = left + width, top + height
        ring = rounded([left, top, right, top, right, bottom, left, bottom])
        self._append(image, name, bbox, area, [ring] if with_ring else [], iscrowd)

    def inside(self, xyxy: Sequence[float], image: ImageSlot) -> list[float]:
        """Return the part of a box that lies in the image, as COCO's ``[x, y, width, height]``."""
        points = self._clip(np.array(xyxy, dtype=np.float64).reshape(2, 2), image)
        return rounded([*points[0], *(points[1] - points[0])])

    def _clip(self, points: np.ndarray, image: ImageSlot) -> np.ndarray:
        limit = [side - 2 * self.shift for side in image.size_wh]
        if points.size and (points.min() < 0 or (points.max(axis=0) > limit).any()):
            clipped = points.clip(0, limit)
            if moved := int((abs(clipped - points) > CLIP_TOLERANCE).any(axis=1).sum()):
                self.report.notes['points clipped to the image'] += moved
            return clipped
        return points

    def _append(
        self,
        image: ImageSlot,
        name: str,
        bbox: list[float],
        area: float,
        segmentation: list[list[float]],
        iscrowd: int,
    ) -> None:
        self.annotations.append(
            dict(
                id=len(self.annotations) + 1,
                image_id=image.id,
                category_id=name,
                bbox=bbox,
                area=area,
                segmentation=segmentation,
                iscrowd=iscrowd,
            )
        )
        self.report.per_class[name] += 1

    def coco(
        self, class_names: Sequence[str] | Mapping[str, int], description: str = ''
    ) -> dict[str, Any]:
        """Return the content of the COCO file.

        Args:
            class_names: All classes in their order, numbered from 0; or the id of each.
            description: Goes into ``info``.
        """
        content = coco_dict(self.images, (), class_names, description=description)
        ids = {category['name']: category['id'] for category in content['categories']}
        content['annotations'] = [
            {**annotation, 'category_id': ids[annotation['category_id']]}
            for annotation in self.annotations
        ]
        return content


def write_splits(
    outputs: Mapping[str, Path],
    builders: Mapping[str, CocoBuilder],
    class_names: Sequence[str] | Mapping[str, int],
    source: str,
) -> dict[str, ConversionReport]:
    """Write the COCO files of the splits of one data set, all or none.

    Args:
        outputs: Path of the file of every split.
        builders: Content of every split.
        class_names: As of :meth:`CocoBuilder.coco`, the same for all splits.
        source: Name of the data set, for ``info``.

    Returns:
        A report by path of the file.
    """
    contents = {
        outputs[split]: builder.coco(class_names, f'{source} {split}')
        for split, builder in builders.items()
    }
    write_json_files(contents)
    return {str(outputs[split]): builder.report for split, builder in builders.items()}


def has_three_points(ring: np.ndarray) -> bool:
    """Say whether a ring (N, 2) has at least three distinct points."""
    return len(ring) > 2 and len(set(map(tuple, ring.tolist()))) > 2
