"""VGG Image Annotator (VIA) files to COCO: what the balloon set comes in (spec: tools_data.md
2).
"""

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from mmyolo_lite.datasets.converters.coco_json import (
    ConversionReport,
    coco_dict,
    image_size_wh,
    points_to_bbox,
    polygon_area,
    read_json,
    refuse_existing,
    rounded,
    write_json,
)
from mmyolo_lite.errors import DataError

PROJECT_KEY = '_via_img_metadata'
ROUND_SHAPE_POINTS = 36
SHAPES = ('polygon', 'rect', 'circle', 'ellipse')
PIXEL_CENTRE = 0.5


@dataclass(frozen=True)
class ViaOptions:
    """How regions become objects.

    Attributes:
        category: Class of every object when ``class_attr`` is None.
        class_attr: Region attribute whose value is the class.
        area: ``'polygon'`` for the enclosed area, ``'bbox'`` for width x height as MMYOLO writes
            it. Only the size classes of AP depend on it.
        strict: Items that would be left out are errors.
        skip_errors: Broken entries are left out too.
    """

    category: str = 'balloon'
    class_attr: str | None = None
    area: Literal['polygon', 'bbox'] = 'polygon'
    strict: bool = False
    skip_errors: bool = False


def load_via(path: Path) -> list[dict[str, Any]]:
    """Return the entries of a VIA 1.x or 2.x annotation or project file, in the file's order.

    Raises:
        DataError: The file is missing, no JSON or no VIA file.
    """
    content = read_json(path)
    if isinstance(content, dict) and PROJECT_KEY in content:
        content = content[PROJECT_KEY]
    if not isinstance(content, dict) or not all(
        isinstance(entry, dict) and 'filename' in entry for entry in content.values()
    ):
        raise DataError(
            f'{path}: not a VIA file: expected '
            f'{{"<name><size>": {{"filename": ..., "regions": ...}}}} or a VIA 2 project with the '
            f'key {PROJECT_KEY}'
        )
    return list(content.values())


def region_points(shape: dict[str, Any]) -> np.ndarray | None:
    """Return the outline of a VIA shape as points ``(N, 2)``, x and y in pixels, not closed.

    Rectangles give 4 points, circles and ellipses 36.

    Returns:
        The points, or None for a shape that encloses nothing (point, polyline) or is unknown.

    Raises:
        ValueError: Numbers of the shape are missing or not finite.
    """
    name = shape.get('name')
    if name not in SHAPES:
        return None
    try:
        points = _outline(name, shape)
    except KeyError as error:
        raise ValueError(f'{name} without {error.args[0]}') from error
    except (TypeError, OverflowError) as error:
        raise ValueError(f'{name} with a value that is no number') from error
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ValueError(f'{name} with a value that is no finite number')
    return points


def _outline(name: str, shape: dict[str, Any]) -> np.ndarray:
    if name == 'polygon':
        x, y = shape['all_points_x'], shape['all_points_y']
        if len(x) != len(y):
            raise ValueError(f'polygon with {len(x)} x but {len(y)} y')
        return np.array([x, y], dtype=np.float64).T
    if name == 'rect':
        x, y, width, height = (float(shape[key]) for key in ('x', 'y', 'width', 'height'))
        return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    radius_x, radius_y = (shape['r'],) * 2 if name == 'circle' else (shape['rx'], shape['ry'])
    turn = float(shape.get('theta', 0.0))  # radians, VIA >= 2.0.9
    angle = np.arange(ROUND_SHAPE_POINTS) * (2 * math.pi / ROUND_SHAPE_POINTS)
    along, across = float(radius_x) * np.cos(angle), float(radius_y) * np.sin(angle)
    x = float(shape['cx']) + along * math.cos(turn) - across * math.sin(turn)
    y = float(shape['cy']) + along * math.sin(turn) + across * math.cos(turn)
    return np.stack([x, y], axis=1)


def region_class(attributes: Any, class_attr: str) -> str | None:
    """Return the class that an attribute names: its text, or the one option ticked in a checkbox
    group.
    """
    value = attributes.get(class_attr) if isinstance(attributes, dict) else None
    if isinstance(value, dict):
        ticked = [name for name, is_ticked in value.items() if is_ticked]
        value = ticked[0] if len(ticked) == 1 else None
    return str(value).strip() or None if value is not None else None


def _safe_name(filename: Any) -> str | None:
    """Return the file name with forward slashes, or None when it leaves the image folder."""
    path = PurePosixPath(str(filename).replace('\\', '/'))
    leaves = path.is_absolute() or '..' in path.parts or ':' in str(path) or not path.name
    return None if leaves or not isinstance(filename, str) else str(path)


class _ViaConverter:
    """The state of one conversion: ids given so far and the report."""

    def __init__(self, ann_file: Path, image_dir: Path, options: ViaOptions) -> None:
        self.ann_file, self.image_dir, self.options = ann_file, image_dir, options
        self.report = ConversionReport(strict=options.strict, skip_errors=options.skip_errors)
        self.images: list[dict[str, Any]] = []
        # category_id holds the class name until all are known
        self.annotations: list[dict[str, Any]] = []
        self.names: list[str] | None = None

    def convert(self) -> None:
        seen: set[str] = set()
        for entry in load_via(self.ann_file):
            filename = _safe_name(entry['filename'])
            where = f'{self.ann_file}, image {entry["filename"]!r}'
            if filename is None:
                self.report.structural('file name leads out of the image folder', where)
            elif filename in seen:
                self.report.structural('file name appears twice', where)
            else:
                seen.add(filename)
                self.add_image(entry, filename, where)
        if not self.images:
            raise DataError(
                f'{self.ann_file}: none of its {len(seen)} images was found in {self.image_dir}; '
                'the annotation file has to lie beside its images'
            )
        self.report.images = len(self.images)
        self.report.per_class.update(annotation['category_id'] for annotation in self.annotations)

    def add_image(self, entry: dict[str, Any], filename: str, where: str) -> None:
        path = self.image_dir / filename
        if not path.is_file():
            self.report.skip(f'missing image{self.nearest(filename)}', where)
            return
        try:
            width, height = image_size_wh(path)
        except DataError as error:
            self.report.skip(f'unreadable image: {error}', where)
            return
        if entry.get('size') != path.stat().st_size:
            self.report.notes['file size differs from the annotation file'] += 1
        image_id = len(self.images) + 1
        self.images.append(dict(id=image_id, file_name=filename, height=height, width=width))
        for number, region in self.regions(entry, where):
            self.add_region(region, f'{where}, region {number}', image_id, (width, height))

    def coco(self, class_names: list[str], description: str) -> dict[str, Any]:
        """Return the converted set as COCO; categories are numbered as in `class_names`."""
        annotations = [
            {**annotation, 'category_id': class_names.index(annotation['category_id'])}
            for annotation in self.annotations
        ]
        return coco_dict(self.images, annotations, class_names, description=description)

    def nearest(self, filename: str) -> str:
        if self.names is None:
            self.names = sorted(path.name for path in self.image_dir.iterdir())
        close = difflib.get_close_matches(filename, self.names, n=1)
        return f': nearest existing name is {close[0]!r}' if close else ''

    def regions(self, entry: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
        regions = entry.get('regions') or {}
        if isinstance(regions, list):  # VIA 2; VIA 1 has a dict keyed "0", "1", ...
            regions = {str(number): region for number, region in enumerate(regions)}
        if not isinstance(regions, dict):
            self.report.structural(
                f'regions are a {type(regions).__name__}, not a dict or list', where
            )
            return
        for number, region in regions.items():
            if isinstance(region, dict) and isinstance(region.get('shape_attributes'), dict):
                yield number, region
            else:
                self.report.structural(
                    'region without shape_attributes', f'{where}, region {number}'
                )

    def add_region(
        self, region: dict[str, Any], where: str, image_id: int, size_wh: tuple[int, int]
    ) -> None:
        shape = region['shape_attributes']
        try:
            points = region_points(shape)
        except ValueError as error:
            self.report.structural(str(error), where)
            return
        name = self.class_name(region.get('region_attributes'))
        if points is None:
            self.report.skip(f'shape {shape.get("name")!r} has no area', where)
        elif name is None:
            self.report.skip(
                f'no single value for the attribute {self.options.class_attr!r}', where
            )
        else:
            self.add_object(self.clip(points, size_wh), name, where, image_id)

    def class_name(self, attributes: Any) -> str | None:
        if self.options.class_attr is not None:
            return region_class(attributes, self.options.class_attr)
        if attributes:
            self.report.notes[
                'region attributes ignored (--class-attr NAME makes one the class)'
            ] += 1
        return self.options.category

    def clip(self, points: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
        clipped = points.clip(0, np.array(size_wh) - 1)  # VIA points are pixel indices
        if moved := int((clipped != points).any(axis=1).sum()):
            self.report.notes['points clipped to the image'] += moved
        return clipped

    def add_object(self, points: np.ndarray, name: str, where: str, image_id: int) -> None:
        if len(np.unique(points, axis=0)) < 3:
            self.report.skip('fewer than 3 distinct points inside the image', where)
            return
        bbox = points_to_bbox(points)
        by_box = self.options.area == 'bbox'
        area = rounded([bbox[2] * bbox[3] if by_box else polygon_area(points)])[0]
        if area <= 0:
            self.report.skip('outline encloses no area', where)
            return
        self.annotations.append(
            dict(
                id=len(self.annotations) + 1,
                image_id=image_id,
                category_id=name,
                bbox=bbox,
                area=area,
                segmentation=[rounded((points + PIXEL_CENTRE).ravel())],
                iscrowd=0,
            )
        )


def convert_via_splits(
    data_root: str | Path,
    splits: Sequence[str] = ('train', 'val'),
    ann_name: str = 'via_region_data.json',
    out_dir: str | Path | None = None,
    options: ViaOptions | None = None,
    *,
    overwrite: bool = False,
) -> dict[str, ConversionReport]:
    """Convert ``<data_root>/<split>/<ann_name>`` to ``<out_dir>/<split>.json`` for every split.

    All splits share one list of categories, and no file is written unless every split converts.

    Args:
        data_root: Folder with one sub-folder of images and VIA file per split.
        splits: Names of the sub-folders.
        ann_name: Name of the VIA file in each of them.
        out_dir: Where the COCO files go; ``data_root`` if None.
        options: How regions become objects.
        overwrite: Replace existing output.

    Returns:
        A report for every split.

    Raises:
        DataError: Input is missing or damaged, or output exists and ``overwrite`` is False.
    """
    root, options = Path(data_root), options or ViaOptions()
    outputs = {split: Path(out_dir or root) / f'{split}.json' for split in splits}
    refuse_existing(outputs.values(), overwrite)
    for split in splits:
        if not (root / split / ann_name).is_file():
            raise DataError(
                f'{root / split / ann_name}: no such file; pass the folder that holds '
                f'{"/ and ".join(splits)}/ as --data-root'
            )
    converters = {
        split: _ViaConverter(root / split / ann_name, root / split, options) for split in splits
    }
    for converter in converters.values():
        converter.convert()
    found = {name for converter in converters.values() for name in converter.report.per_class}
    class_names = [options.category] if options.class_attr is None else sorted(found)
    for split, converter in converters.items():
        content = converter.coco(class_names, f'{root.name} {split}')
        write_json(content, outputs[split])
    return {split: converter.report for split, converter in converters.items()}
