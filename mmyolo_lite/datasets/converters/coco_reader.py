"""Reading a COCO file to convert it: images with their annotations, every value checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from mmyolo_lite.datasets.converters.coco_json import ConversionReport, read_json, shown
from mmyolo_lite.datasets.converters.files import check_class_name, number_classes, safe_name
from mmyolo_lite.datasets.converters.outlines import mask_to_rings, ring_points
from mmyolo_lite.errors import DataError

Id = int | str
MAX_SIDE = 10**6  # pixels; beyond, a size is a mistake and a mask of it would not fit in memory
MAX_PIXELS = 2**29
MAX_LETTERS = 8  # of a run length; 40 bits


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
        if not isinstance(category, dict) or not _is_id(category.get('id')):
            raise DataError(f'{where}: has no id')
        if category['id'] in names:
            raise DataError(f'{where}: its id {shown(category["id"])} appears twice')
        names[category['id']] = check_class_name(category.get('name'), where)
    numbers = number_classes(((name, index) for index, name in enumerate(names.values())), path)
    images = _images(lists['images'], path, report)
    for number, annotation in enumerate(lists['annotations']):
        defect = _defect(annotation, names, images)
        if defect is None:
            images[annotation['image_id']].annotations.append(annotation)
        else:
            found = annotation.get('id') if isinstance(annotation, dict) else None
            report.structural(defect, f'{path}, annotation {number} (id {shown(found)})')
    return CocoSet(path, names, numbers, list(images.values()))


def _images(entries: Sequence[Any], path: Path, report: ConversionReport) -> dict[Id, CocoImage]:
    """Return the valid images by id."""
    images: dict[Id, CocoImage] = {}
    for number, entry in enumerate(entries):
        where = f'{path}, image {number}'
        if not isinstance(entry, dict) or not _is_id(entry.get('id')):
            report.structural('image without id', where)
            continue
        file_name, size = safe_name(entry.get('file_name')), _size_wh(entry)
        if entry['id'] in images:
            report.structural(f'image id twice: {shown(entry["id"])}', where)
        elif file_name is None:
            report.structural(
                f'file name that leads out of the folder: {shown(entry.get("file_name"))}', where
            )
        elif size is None:
            report.structural('image without proper width and height', where)
        else:
            images[entry['id']] = CocoImage(file_name, size)
    return images


def _size_wh(entry: dict[str, Any]) -> tuple[int, int] | None:
    width, height = entry.get('width'), entry.get('height')
    if _is_number(width) and _is_number(height) and min(width, height) >= 1:
        return (int(width), int(height)) if max(width, height) <= MAX_SIDE else None
    return None


def _defect(annotation: Any, names: dict[Id, str], images: dict[Id, CocoImage]) -> str | None:
    """Return what is wrong with an annotation, apart from its segmentation."""
    if not isinstance(annotation, dict):
        return 'annotation that is no dict'
    for key, known in (('image_id', images), ('category_id', names)):
        value = annotation.get(key)
        if not _is_id(value) or value not in known:
            return f'unknown {key}: {shown(value)}'
    box = annotation.get('bbox')
    if isinstance(box, list) and len(box) == 4 and all(map(_is_number, box)):
        return None
    return f'bbox that is not four finite numbers: {shown(box)}'


def _is_id(value: Any) -> TypeGuard[Id]:
    return type(value) in (int, str)


def _is_number(value: Any) -> TypeGuard[float]:
    """Say whether a value is a number that float arithmetic can take."""
    return type(value) in (int, float) and abs(value) < 1e18  # false for NaN


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
        raise ValueError(f'segmentation of unknown form: {shown(segmentation)}')
    rings = []
    for flat in segmentation:
        if not isinstance(flat, list) or len(flat) % 2 or not all(map(_is_number, flat)):
            raise ValueError(f'ring that is no list of x and y: {shown(flat)}')
        if len(flat) >= 6:
            rings.append(ring_points(list(zip(flat[::2], flat[1::2], strict=True))))
    return rings


def decode_rle(rle: dict[str, Any], size_wh: tuple[int, int]) -> np.ndarray:
    """Return the mask (H, W) uint8 of a COCO run-length mask, compressed or not.

    Raises:
        ValueError: Its size is not that of the image, or its counts are damaged.
    """
    width, height = size_wh
    counts, size = rle.get('counts'), rle.get('size')
    if size != [height, width] or width * height > MAX_PIXELS:
        raise ValueError(f'run-length mask of another size than its image: {shown(size)}')
    if isinstance(counts, str):
        counts = _uncompressed(counts)
    if not isinstance(counts, list) or not all(type(c) is int and c >= 0 for c in counts):
        raise ValueError('run-length mask with damaged counts')
    if sum(counts) != width * height:
        raise ValueError('run-length mask whose counts do not fill the image')
    values = np.arange(len(counts), dtype=np.int64) % 2
    return np.repeat(values.astype(np.uint8), counts).reshape(width, height).T


def _uncompressed(text: str) -> list[int]:
    """Return the counts of a compressed run-length mask.

    Each letter holds five bits above 48, and a sixth that says that the number goes on; from the
    fourth on, a number is the difference to the one before the last. pycocotools reads past the
    end of damaged strings and leaves pixels that no run covers uninitialised.
    """
    letters = np.frombuffer(text.encode('utf-8', 'replace'), dtype=np.uint8).astype(np.int64) - 48
    if not len(letters) or letters.min() < 0 or letters.max() >= 64 or letters[-1] & 32:
        raise ValueError('run-length mask with damaged counts')
    ends = np.flatnonzero(letters & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > MAX_LETTERS:
        raise ValueError('run-length mask with damaged counts')
    place = np.arange(len(letters)) - np.repeat(starts, lengths)
    counts = np.add.reduceat((letters & 31) << (5 * place), starts)
    counts -= np.where(letters[ends] & 16, 1 << (5 * lengths), 0)  # a negative number
    counts[1::2] = counts[1::2].cumsum()
    counts[2::2] = counts[2::2].cumsum()
    return counts.tolist()
