"""Reading one Pascal VOC annotation file, and the masks that may lie beside it."""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mmyolo_lite.datasets.coco_checks import few_letters
from mmyolo_lite.datasets.converters.files import check_class_name
from mmyolo_lite.datasets.converters.outlines import are_coordinates, mask_to_rings, ring_points
from mmyolo_lite.datasets.file_io import read_file
from mmyolo_lite.errors import DataError

CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
VOID = 255  # the border around objects in SegmentationObject


@dataclass(frozen=True)
class VocObject:
    """An ``<object>``.

    Attributes:
        name: Its class.
        xyxy: Its ``bndbox`` as written, or None.
        ring: Its ``polygon`` (N, 2), or None.
        difficult: Marked as hard to recognise.
    """

    name: str
    xyxy: list[float] | None
    ring: np.ndarray | None
    difficult: bool


class _NoDoctype(ElementTree.TreeBuilder):
    """Builds the tree of a file without a document type: there, entities could be declared that
    grow without bound or name other files.
    """

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError('it declares a DOCTYPE, which annotation files do not need')


def read_voc(path: Path) -> ElementTree.Element:
    """Return the root element of an annotation file.

    Raises:
        DataError: The file cannot be read, is no XML, declares a DOCTYPE, or is no VOC file.
    """
    try:
        root = ElementTree.fromstring(read_file(path), ElementTree.XMLParser(target=_NoDoctype()))
    except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:
        raise DataError(f'{path}: cannot be read as XML ({error})') from error
    if root.tag != 'annotation':
        raise DataError(f'{path}: begins with <{few_letters(root.tag)}>, not with <annotation>')
    return root


def voc_objects(
    root: ElementTree.Element, report: Callable[[str, int], None]
) -> Iterator[tuple[int, VocObject]]:
    """Yield the objects of an annotation file with their numbers, from 0.

    Args:
        root: What :func:`read_voc` returned.
        report: Called with the reason and the number of an object that is damaged.
    """
    for number, element in enumerate(root.findall('object')):
        try:
            yield number, _object(element)
        except ValueError as error:
            report(str(error), number)


def _object(element: ElementTree.Element) -> VocObject:
    try:
        name = check_class_name(element.findtext('name'), '<name>')
    except DataError as error:
        raise ValueError(f'object without class name: {error}') from error
    corners, polygon = element.find('bndbox'), element.find('polygon')
    xyxy = (
        None
        if corners is None
        else [_number(corners.findtext(corner), corner) for corner in CORNERS]
    )
    if xyxy is None and polygon is None:
        raise ValueError('object without bndbox and polygon')
    difficult = (element.findtext('difficult') or '0').strip().lower() in ('1', 'true')
    return VocObject(name, xyxy, None if polygon is None else _ring(polygon), difficult)


def _number(text: str | None, where: str) -> float:
    try:
        value = float(text or '')
    except ValueError:
        value = math.nan
    if not are_coordinates(value):
        raise ValueError(f'{where} is no finite number: {few_letters(text)}')
    return value


def _ring(polygon: ElementTree.Element) -> np.ndarray:
    """Return a polygon's points, written as ``x1 y1 x2 y2 ...`` or, by other tools, as ``pt``."""
    pairs = [(pair.findtext('x'), pair.findtext('y')) for pair in polygon.findall('pt')]
    if not pairs:
        texts = {child.tag: child.text for child in polygon}
        count = len(texts) // 2
        pairs = [(texts.get(f'x{i}'), texts.get(f'y{i}')) for i in range(1, count + 1)]
    return ring_points([[_number(x, 'polygon x'), _number(y, 'polygon y')] for x, y in pairs])


def read_object_masks(
    path: Path, size_wh: tuple[int, int], count: int
) -> dict[int, list[np.ndarray]]:
    """Return the rings of the objects in a picture of ``SegmentationObject``.

    The palette index of a pixel is the position of its object in the annotation file, from 1.

    Args:
        path: The picture.
        size_wh: Width and height of the image.
        count: Number of objects in the annotation file.

    Returns:
        The rings by object number, from 0; objects without pixels are missing.

    Raises:
        ValueError: The picture is unreadable, no palette picture, of another size, or has an index
            above ``count``.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode not in ('P', 'L'):
                raise ValueError(f'mode {picture.mode}, not a palette')
            if picture.size != size_wh:
                raise ValueError(f'size {picture.size}, not that of the image, {size_wh}')
            indices = np.array(picture)
    except Exception as error:  # on damaged data Pillow raises whatever its parsers trip over
        raise ValueError(f'unusable mask picture: {error}') from error
    indices[indices == VOID] = 0
    if indices.max() > count:
        raise ValueError(f'unusable mask picture: object {indices.max()} of {count}')
    return {
        int(index) - 1: mask_to_rings(indices == index) for index in np.unique(indices) if index
    }
