"""Reading a COCO file to convert it: images with their annotations, every value checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmyolo_lite.datasets.coco_checks import few_letters, is_id, is_number
from mmyolo_lite.datasets.converters.coco_json import ConversionReport
from mmyolo_lite.datasets.converters.files import check_class_name, number_classes, safe_name
from mmyolo_lite.datasets.converters.outlines import mask_to_rings, ring_points
from mmyolo_lite.datasets.file_io import read_json
from mmyolo_lite.errors import DataError
from mmyolo_lite.ops.run_lengths import decode_runs

Id = int | str
MAX_SIDE = 10**6  # pixels; beyond, a size is a mistake and a mask of it would not fit in memory


@dataclass
class CocoImage:
    """An image and its annotations; ``bbox``, ``category_id`` of each are valid."""

    file_name: str
    size_wh: tuple[int, int]
    annotations: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class CocoSet:
    """A COCO file.

    Attributes:
        path: Where it was read.
        names: Class names by category id.
        numbers: Class numbers from 0, in the order of the categories, by name.
        images: Images in the file's order.
    """

    path: Path
    names: dict[Id, str]
    numbers: dict[str, int]
    images: list[CocoImage]


def read_coco_set(path: Path, report: ConversionReport) -> CocoSet:
    """Read a COCO file.

    Args:
        path: The file.
        report: Gets damaged entries, which are left out if it collects such errors.

    Raises:
        DataError: The file is no COCO file, its categories are damaged, or an entry is and the
            report does not collect such errors.
    """
    content = read_json(path)
    lists: dict[str, list[Any]] = {}
    for key in ('images', 'annotations', 'categories'):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise DataError(f'{path}: not a COCO file: it has no list "{key}"')
        lists[key] = entries
    names: dict[Id, str] = {}
    for number, category in enumerate(lists['categories']):
        where = f'{path}, category {number}'
        if not isinstance(category, dict) or not is_id(category.get('id')):
            raise DataError(f'{where}: has no id')
        if category['id'] in names:
            raise DataError(f'{where}: its id {few_letters(category["id"])} appears twice')
        names[category['id']] = check_class_name(category.get('name'), where)
    numbers = number_classes(((name, index) for index, name in enumerate(names.values())), path)
    images = _images(lists['images'], path, report)
    for number, annotation in enumerate(lists['annotations']):
        defect = _defect(annotation, names, images)
        if defect is None:
            images[annotation['image_id']].annotations.append(annotation)
        else:
            found = annotation.get('id') if isinstance(annotation, dict) else None
            report.structural(defect, f'{path}, annotation {number} (id {few_letters(found)})')
    return CocoSet(path, names, numbers, list(images.values()))


def _images(entries: Sequence[Any], path: Path, report: ConversionReport) -> dict[Id, CocoImage]:
    """Return the valid images by id."""
    images: dict[Id, CocoImage] = {}
    for number, entry in enumerate(entries):
        where = f'{path}, image {number}'
        if not isinstance(entry, dict) or not is_id(entry.get('id')):
            report.structural('image without id', where)
            continue
        file_name, size = safe_name(entry.get('file_name')), _size_wh(entry)
        if entry['id'] in images:
            report.structural(f'image id twice: {few_letters(entry["id"])}', where)
        elif file_name is None:
            report.structural(
                f'file name that leads out of the folder: {few_letters(entry.get("file_name"))}',
                where,
            )
        elif size is None:
            report.structural('image without proper width and height', where)
        else:
            images[entry['id']] = CocoImage(file_name, size)
    return images


def _size_wh(entry: dict[str, Any]) -> tuple[int, int] | None:
    width, height = entry.get('width'), entry.get('height')
    if is_number(width) and is_number(height) and min(width, height) >= 1:
        return (int(width), int(height)) if max(width, height) <= MAX_SIDE else None
    return None


def _defect(annotation: Any, names: dict[Id, str], images: dict[Id, CocoImage]) -> str | None:
    """Return what is wrong with an annotation, apart from its segmentation."""
    if not isinstance(annotation, dict):
        return 'annotation that is no dict'
    for key, known in (('image_id', images), ('category_id', names)):
        value = annotation.get(key)
        if not is_id(value) or value not in known:
            return f'unknown {key}: {few_letters(value)}'
    box = annotation.get('bbox')
    if isinstance(box, list) and len(box) == 4 and all(map(is_number, box)):
        return None
    return f'bbox that is not four finite numbers: {few_letters(box)}'


def annotation_rings(segmentation: Any, size_wh: tuple[int, int]) -> list[np.ndarray]:
    """Return the rings (N, 2) of a COCO ``segmentation``: a list of flat rings, or a run-length
    mask.

    Rings of fewer than three points are dropped.

    Raises:
        ValueError: The segmentation is damaged.
    """
    if segmentation is None:
        return []
    if isinstance(segmentation, dict):
        return mask_to_rings(decode_rle(segmentation, size_wh))
    if not isinstance(segmentation, list):
        raise ValueError(f'segmentation of unknown form: {few_letters(segmentation)}')
    rings = []
    for flat in segmentation:
        if not isinstance(flat, list) or len(flat) % 2 or not all(map(is_number, flat)):
            raise ValueError(f'ring that is no list of x and y: {few_letters(flat)}')
        if len(flat) >= 6:
            rings.append(ring_points(list(zip(flat[::2], flat[1::2], strict=True))))
    return rings


def decode_rle(rle: dict[str, Any], size_wh: tuple[int, int]) -> np.ndarray:
    """Return the mask (H, W) uint8 of a COCO run-length mask, compressed or not.

    Raises:
        ValueError: Its size is not that of the image, or its counts are damaged.
    """
    width, height = size_wh
    if rle.get('size') != [height, width]:
        raise ValueError(
            f'run-length mask of another size than its image: {few_letters(rle.get("size"))}'
        )
    return decode_runs(rle.get('counts'), height, width)
