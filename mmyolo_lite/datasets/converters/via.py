"""VGG Image Annotator (VIA) files to COCO: what the balloon set comes in (spec: tools_data.md
2).
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmyolo_lite.datasets.coco_checks import few_letters
from mmyolo_lite.datasets.converters.coco_builder import CocoBuilder, ImageSlot, write_splits
from mmyolo_lite.datasets.converters.coco_json import ConversionReport
from mmyolo_lite.datasets.converters.files import safe_name
from mmyolo_lite.datasets.converters.outlines import are_coordinates, ellipse_ring
from mmyolo_lite.datasets.file_io import read_json, refuse_existing
from mmyolo_lite.errors import DataError

PROJECT_KEY = '_via_img_metadata'
SHAPES = ('polygon', 'rect', 'circle', 'ellipse')


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
    if points.ndim != 2 or not are_coordinates(points):
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
    radii = (shape['r'],) * 2 if name == 'circle' else (shape['rx'], shape['ry'])
    turn = float(shape.get('theta', 0.0))  # radians, VIA >= 2.0.9
    centre = (float(shape['cx']), float(shape['cy']))
    return ellipse_ring(centre, (float(radii[0]), float(radii[1])), turn)


def region_class(attributes: Any, class_attr: str) -> str | None:
    """Return the class that an attribute names: its text, or the one option ticked in a checkbox
    group.
    """
    value = attributes.get(class_attr) if isinstance(attributes, dict) else None
    if isinstance(value, dict):
        ticked = [name for name, is_ticked in value.items() if is_ticked]
        value = ticked[0] if len(ticked) == 1 else None
    return str(value).strip() or None if isinstance(value, (str, int, float)) else None


class _ViaConverter:
    """Feeds the entries of one VIA file to a builder."""

    def __init__(self, ann_file: Path, image_dir: Path, options: ViaOptions) -> None:
        self.ann_file, self.options = ann_file, options
        self.report = ConversionReport(strict=options.strict, skip_errors=options.skip_errors)
        self.builder = CocoBuilder(
            image_dir,
            self.report,
            area='bbox' if options.area == 'bbox' else 'mask',
            pixel_indices=True,
        )

    def convert(self) -> None:
        seen: set[str] = set()
        for entry in load_via(self.ann_file):
            filename = safe_name(entry['filename'])
            where = f'{self.ann_file}, image {few_letters(entry["filename"])}'
            if filename is None:
                self.report.structural('file name leads out of the image folder', where)
            elif filename in seen:
                self.report.structural('file name appears twice', where)
            else:
                seen.add(filename)
                self.add_image(entry, filename, where)
        if not self.builder.images:
            raise DataError(
                f'{self.ann_file}: none of its {len(seen)} images was found in '
                f'{self.builder.image_dir}; the annotation file has to lie beside its images'
            )

    def add_image(self, entry: dict[str, Any], filename: str, where: str) -> None:
        image = self.builder.add_image(filename, where)
        if image is None:
            return
        if entry.get('size') != os.path.getsize(self.builder.image_dir / filename):
            self.report.notes['file size differs from the annotation file'] += 1
        for number, region in self.regions(entry, where):
            self.add_region(region, f'{where}, region {number}', image)

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

    def add_region(self, region: dict[str, Any], where: str, image: ImageSlot) -> None:
        shape = region['shape_attributes']
        try:
            points = region_points(shape)
        except ValueError as error:
            self.report.structural(str(error), where)
            return
        name = self.class_name(region.get('region_attributes'))
        if points is None:
            self.report.skip(f'shape {few_letters(shape.get("name"))} has no area', where)
        elif name is None:
            self.report.skip(
                f'no single value for the attribute {self.options.class_attr!r}', where
            )
        else:
            self.builder.add_object(image, name, [points], where)

    def class_name(self, attributes: Any) -> str | None:
        if self.options.class_attr is not None:
            return region_class(attributes, self.options.class_attr)
        if attributes:
            self.report.notes[
                'region attributes ignored (--class-attr NAME makes one the class)'
            ] += 1
        return self.options.category


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
    builders = {split: converter.builder for split, converter in converters.items()}
    write_splits(outputs, builders, class_names, root.name)
    return {split: converter.report for split, converter in converters.items()}
