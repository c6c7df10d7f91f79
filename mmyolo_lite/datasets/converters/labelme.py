"""labelme files, one JSON an image, to COCO (spec: tools_data.md 3)."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from mmyolo_lite.datasets.coco_checks import few_letters
from mmyolo_lite.datasets.converters.coco_builder import CocoBuilder, ImageSlot
from mmyolo_lite.datasets.converters.coco_json import ConversionReport
from mmyolo_lite.datasets.converters.files import (
    IMAGE_SUFFIXES,
    check_class_name,
    list_files,
    number_classes,
    read_lines,
    stem,
)
from mmyolo_lite.datasets.converters.outlines import ellipse_ring, mask_to_rings, ring_points
from mmyolo_lite.datasets.file_io import read_json, refuse_existing, write_json, write_text
from mmyolo_lite.errors import DataError

CLASS_FILE = 'class_with_id.txt'
RING_SHAPES = ('polygon', 'rectangle', 'rotation', 'oriented_rectangle')


@dataclass(frozen=True)
class LabelmeOptions:
    """What is read and how strictly.

    Attributes:
        recursive: Look into sub-folders; labels and images lie at the same relative paths.
        keep_empty: Keep images whose label file holds no object as background.
        strict: Items that would be left out are errors.
        skip_errors: Broken files and shapes are left out too.
    """

    recursive: bool = False
    keep_empty: bool = True
    strict: bool = False
    skip_errors: bool = False


def shape_rings(shape: dict[str, Any], size_wh: tuple[int, int]) -> list[np.ndarray] | None:
    """Return the rings (N, 2) of a labelme shape, x and y in pixels.

    Args:
        shape: With ``points`` and ``shape_type``; without the latter it is a polygon, as in
            labelme's first versions.
        size_wh: Width and height of the image; no mask may be larger.

    Returns:
        The rings, or None for a shape that encloses nothing (point, line, linestrip) or is unknown.

    Raises:
        ValueError: The shape is damaged.
    """
    kind = shape.get('shape_type') or 'polygon'
    if kind not in (*RING_SHAPES, 'circle', 'mask'):
        return None
    points = ring_points(shape.get('points'))
    if kind == 'circle':
        if len(points) != 2:
            raise ValueError(f'circle with {len(points)} points, not a centre and a rim point')
        centre, radius = points[0], float(np.hypot(*(points[1] - points[0])))
        return [ellipse_ring(centre, (radius, radius))]
    if kind == 'mask':
        if len(points) != 2:
            raise ValueError(f'mask with {len(points)} points, not two corners')
        return _mask_rings(shape.get('mask'), points, size_wh)
    if kind == 'rectangle' and len(points) == 2:
        (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
        return [np.array([[x1, y1], [x1, y2], [x2, y2], [x2, y1]])]
    if kind == 'rectangle' and len(points) != 4:
        raise ValueError(f'rectangle with {len(points)} points, not 2 or 4')
    return [points]


def _mask_rings(encoded: Any, corners: np.ndarray, size_wh: tuple[int, int]) -> list[np.ndarray]:
    """Return the rings of a mask, a base64 PNG whose first pixel lies at the first corner."""
    if not isinstance(encoded, str):
        raise ValueError('mask without its picture')
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded)), formats=['PNG']) as picture:
            if picture.width > size_wh[0] or picture.height > size_wh[1]:
                raise ValueError('mask larger than the image')
            plain = picture.mode in ('1', 'L', 'P', 'I', 'I;16')
            pixels = np.asarray(picture if plain else picture.convert('L')) > 0
    except Exception as error:  # on damaged data Pillow raises whatever its parsers trip over
        raise ValueError(f'mask that cannot be read: {error}') from error
    limit = max(size_wh)
    left, top = corners.min(axis=0).clip(-limit, limit).round().astype(int).tolist()
    # what lies outside the image is cut off, not moved to its border
    cut_x, cut_y = max(-left, 0), max(-top, 0)
    inside = pixels[cut_y : max(size_wh[1] - top, 0), cut_x : max(size_wh[0] - left, 0)]
    return mask_to_rings(inside, (left + cut_x, top + cut_y))


def read_labelme_classes(path: Path) -> dict[str, int]:
    """Return the ids of a class file: ``id name with spaces`` a line, blank lines and ``#``
    comments ignored.

    Raises:
        DataError: The file cannot be read, a line has another form, or an id or a name appears
            twice.
    """
    return number_classes(_class_lines(path), path)


def _class_lines(path: Path) -> Iterator[tuple[str, int]]:
    for index, line in enumerate(read_lines(path)):
        if not line or line.startswith('#'):
            continue
        number, _, name = line.partition(' ')
        where = f'{path}, line {index + 1}'
        if not (number.isdecimal() and len(number) < 10):
            raise DataError(
                f'{where}: {few_letters(line)} does not begin with a class id; write "1 cat"'
            )
        yield check_class_name(name, where), int(number)


class _LabelmeConverter:
    """Feeds a folder of labelme files to a builder."""

    def __init__(
        self,
        image_dir: Path,
        label_dir: Path,
        known_classes: dict[str, int] | None,
        options: LabelmeOptions,
    ) -> None:
        self.label_dir, self.options = label_dir, options
        self.report = ConversionReport(strict=options.strict, skip_errors=options.skip_errors)
        self.builder = CocoBuilder(image_dir, self.report)
        self.known_classes = known_classes
        self.classes: dict[str, int] = dict(known_classes or {})

    def convert(self, own_output: Path) -> None:
        recursive = self.options.recursive
        images = list_files(self.builder.image_dir, IMAGE_SUFFIXES, recursive=recursive)
        labels = {
            stem(name): name
            for name in list_files(self.label_dir, ('.json',), recursive=recursive)
            if self.label_dir / name != own_output
        }
        owners = self.owners(images, labels)
        for name in tqdm(images, desc='labelme2coco', disable=None):
            if name in owners:
                self.add_file(name, self.label_dir / owners[name])
            else:
                self.report.skip('image without label file', str(self.builder.image_dir / name))
        self.report.require_images(
            f'{self.label_dir}: label files share the names of their images in '
            f'{self.builder.image_dir} but for the ending'
        )

    def owners(self, images: list[str], labels: dict[str, str]) -> dict[str, str]:
        """Return the label file of each image that has one: that of its stem, else the one that
        names it.
        """
        by_stem: dict[str, list[str]] = {}
        for name in images:
            by_stem.setdefault(stem(name), []).append(name)
        known, owners = set(images), dict[str, str]()
        for key, label in labels.items():
            candidates = by_stem.get(key, [])
            if len(candidates) != 1:  # renamed, or a.jpg beside a.png
                named = self.named_image(self.label_dir / label)
                near = str(PurePosixPath(key).with_name(named)) if named else ''
                candidates = [near] if near in known else candidates
            if candidates:
                owners.setdefault(candidates[0], label)
            else:
                self.report.skip('label file without image', str(self.label_dir / label))
        return owners

    def named_image(self, path: Path) -> str:
        """Return the last component of ``imagePath``; Windows paths have backslashes."""
        try:
            content = read_json(path)
        except DataError:
            return ''
        named = content.get('imagePath') if isinstance(content, dict) else None
        return PurePosixPath(named.replace('\\', '/')).name if isinstance(named, str) else ''

    def add_file(self, image_name: str, path: Path) -> None:
        try:
            content = read_json(path)
        except DataError as error:
            self.report.structural(f'unreadable label file: {error}', str(path))
            return
        shapes = content.get('shapes') if isinstance(content, dict) else None
        if not isinstance(shapes, list):
            self.report.structural('not a labelme file: it has no list "shapes"', str(path))
            return
        if not shapes and not self.options.keep_empty:
            self.report.notes['images without objects left out'] += 1
            return
        image = self.builder.add_image(image_name, str(path))
        if image is None:
            return
        if (content.get('imageWidth'), content.get('imageHeight')) != image.size_wh:
            self.report.notes['image size differs from the label file'] += 1
        self.add_shapes(shapes, image, path)

    def add_shapes(self, shapes: list[Any], image: ImageSlot, path: Path) -> None:
        """Add the objects of an image; shapes of one label and group are one object."""
        objects: dict[Any, tuple[str, str, list[np.ndarray]]] = {}
        for number, shape in enumerate(shapes):
            where = f'{path}, shape {number}'
            found = self.outline(shape, image, where)
            if found is None:
                continue
            name, rings = found
            group = shape.get('group_id')
            grouped = isinstance(group, (int, str)) and not isinstance(group, bool)
            key = (name, group) if grouped else number
            objects.setdefault(key, (name, where, []))[2].extend(rings)
        for name, where, rings in objects.values():
            self.builder.add_object(image, name, rings, where)

    def outline(
        self, shape: Any, image: ImageSlot, where: str
    ) -> tuple[str, list[np.ndarray]] | None:
        """Return class and rings of a shape, or None after reporting why there are none."""
        if not isinstance(shape, dict):
            self.report.structural('shape that is no dict', where)
            return None
        try:
            name = check_class_name(shape.get('label'), where)
            rings = shape_rings(shape, image.size_wh)
        except DataError as error:
            self.report.structural(f'shape without class name: {error}', where)
            return None
        except ValueError as error:
            self.report.structural(str(error), where)
            return None
        if rings is None:
            kind = few_letters(shape.get('shape_type'))
            self.report.skip(f'shape {kind} has no area', where)
            return None
        if self.known_classes is None:
            self.classes.setdefault(name, len(self.classes) + 1)
        elif name not in self.known_classes:
            self.report.structural(
                f'unknown class: {few_letters(name)} is not in the class file', where
            )
            return None
        return name, rings


def convert_labelme(
    image_dir: str | Path,
    label_dir: str | Path,
    out: str | Path,
    class_file: str | Path | None = None,
    options: LabelmeOptions | None = None,
    *,
    overwrite: bool = False,
) -> ConversionReport:
    """Convert a folder of labelme files to one COCO file.

    Args:
        image_dir: Folder of the images, to which ``file_name`` is relative.
        label_dir: Folder of the label files, which have their images' names but for the ending.
        out: The COCO file, ``*.json``.
        class_file: Class ids and names. If None, classes are numbered from 1 in order of
            appearance, and ``class_with_id.txt`` is written beside ``out``.
        options: What is read and how strictly.
        overwrite: Replace existing output.

    Returns:
        What was kept and left out.

    Raises:
        DataError: Input is missing or damaged, or output exists and ``overwrite`` is False.
    """
    out, options = Path(out), options or LabelmeOptions()
    if out.suffix != '.json':
        raise DataError(f'{out}: the output must end in .json')
    class_out = None if class_file else out.with_name(CLASS_FILE)
    refuse_existing([out, class_out] if class_out else [out], overwrite)
    known = read_labelme_classes(Path(class_file)) if class_file else None
    converter = _LabelmeConverter(Path(image_dir), Path(label_dir), known, options)
    converter.convert(out)
    content = converter.builder.coco(converter.classes, Path(image_dir).name)
    if class_out:
        lines = [f'{number} {name}\n' for name, number in converter.classes.items()]
        write_text(''.join(lines), class_out)
    write_json(content, out)
    return converter.report
