"""YOLO label files, boxes and polygons, to COCO (spec: tools_data.md 4)."""

import math
import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from mmyolo_lite.datasets.coco_checks import few_letters
from mmyolo_lite.datasets.converters.coco_builder import CocoBuilder, ImageSlot, write_splits
from mmyolo_lite.datasets.converters.coco_json import ConversionReport
from mmyolo_lite.datasets.converters.files import list_files, read_lines
from mmyolo_lite.datasets.converters.yolo_layout import YoloLayout, label_name, read_layout
from mmyolo_lite.datasets.file_io import refuse_existing
from mmyolo_lite.errors import DataError

BOX_NUMBERS = 5
MIN_POLYGON_NUMBERS = 7
EXCESS = 1e-3  # by which a relative coordinate may leave [0, 1]

NO_LABEL_FILE = 'images without label file kept as background'

Task = Literal['auto', 'det', 'seg']


@dataclass(frozen=True)
class YoloOptions:
    """How label files are read.

    Attributes:
        task: ``'auto'`` takes boxes and polygons line by line; ``'det'`` refuses polygons,
            ``'seg'`` boxes.
        box_polygon: Write the box of an object without polygon as its segmentation too, so that
            segmentation configs load.
        rest: Name of the split of images that no list names; None leaves them out.
        strict: Items that would be left out are errors.
        skip_errors: Broken lines are left out too.
    """

    task: Task = 'auto'
    box_polygon: bool = True
    rest: str | None = None
    strict: bool = False
    skip_errors: bool = False


def parse_line(line: str, task: Task = 'auto') -> tuple[int, np.ndarray]:
    """Return class id and relative coordinates of a line of a label file.

    Args:
        line: ``class cx cy w h``, or ``class x1 y1 x2 y2 x3 y3 ...``.
        task: What the line may be.

    Returns:
        The class id, and ``[cx, cy, w, h]`` (4,) or points (N, 2), all in [0, 1].

    Raises:
        ValueError: The line has another form or a value outside [0, 1] by more than 0.001.
    """
    words = line.split()
    is_box = len(words) == BOX_NUMBERS
    if not is_box and (len(words) < MIN_POLYGON_NUMBERS or len(words) % 2 == 0):
        raise ValueError(
            f'wrong number of values: {len(words)}; a box has 5 (class cx cy w h), a polygon 7, '
            '9, 11, ... (class x1 y1 x2 y2 x3 y3 ...)'
        )
    if task == ('seg' if is_box else 'det'):
        raise ValueError(f'a {"box" if is_box else "polygon"}, which --task {task} does not expect')
    try:
        number, *values = map(float, words)
    except ValueError as error:
        raise ValueError(
            f'value that is no number: {few_letters(line)}; a class is given by its number from 0 '
            'in the list of names'
        ) from error
    if not (math.isfinite(number) and number >= 0 and number == int(number)):
        raise ValueError(f'class id that is no whole number from 0: {few_letters(words[0])}')
    relative = np.array(values)
    distance = abs(relative - 0.5)
    if not (distance <= 0.5 + EXCESS).all():
        worst = values[distance.argmax()]  # the first NaN, if there is one
        raise ValueError(
            f'coordinate outside [0, 1]: {worst}; YOLO coordinates are relative to the image'
        )
    relative = relative.clip(0, 1)
    return int(number), relative if is_box else relative.reshape(-1, 2)


class _YoloConverter:
    """Feeds one split to a builder."""

    def __init__(self, layout: YoloLayout, options: YoloOptions, report: ConversionReport) -> None:
        self.layout, self.options, self.report = layout, options, report
        self.builder = CocoBuilder(layout.root / layout.image_root, report)
        self.names = {number: name for name, number in layout.classes.items()}

    def add_image(self, name: str) -> None:
        prefix = f'{self.layout.image_root}/' if self.layout.image_root else ''
        image = self.builder.add_image(name.removeprefix(prefix), str(self.layout.root / name))
        if image is None:
            return
        path = self.layout.root / label_name(name)
        if not os.path.exists(path):
            self.report.notes[NO_LABEL_FILE] += 1
            return
        try:
            lines = read_lines(path)
        except DataError as error:
            self.report.structural(f'unreadable label file: {error}', str(path))
            return
        for number, line in enumerate(lines):
            if line:
                self.add_line(line, image, f'{path}, line {number + 1}')

    def add_line(self, line: str, image: ImageSlot, where: str) -> None:
        try:
            number, relative = parse_line(line, self.options.task)
        except ValueError as error:
            self.report.structural(str(error), where)
            return
        name = self.names.get(number)
        if name is None:
            highest = max(self.names)
            self.report.structural(
                f'unknown class id: {number}; the {len(self.names)} classes end at {highest}', where
            )
        elif relative.ndim == 2:
            self.builder.add_object(image, name, [relative * image.size_wh], where)
        else:
            centre, half = relative[:2] * image.size_wh, relative[2:] * image.size_wh / 2
            box = np.concatenate([centre - half, centre + half]).tolist()
            self.builder.add_box(image, name, box, where, with_ring=self.options.box_polygon)


def convert_yolo(
    image_dir: str | Path,
    out_dir: str | Path | None = None,
    names_file: str | Path | None = None,
    options: YoloOptions | None = None,
    *,
    overwrite: bool = False,
) -> dict[str, ConversionReport]:
    """Convert a YOLO data set to one COCO file for each of its splits.

    Splits are found as :func:`~mmyolo_lite.datasets.converters.yolo_layout.read_layout` says; a
    set without splits gives ``result.json``. No file is written unless every split converts.

    Args:
        image_dir: Folder with ``images`` and ``labels``. ``file_name`` is relative to ``images`` if
            there is such a folder, else to ``image_dir``.
        out_dir: Where the COCO files go; ``image_dir/annotations`` if None.
        names_file: The classes: one name a line, or a YAML file with the key ``names``. If None,
            ``classes.txt`` or ``data.yaml`` in ``image_dir``.
        options: How label files are read.
        overwrite: Replace existing output.

    Returns:
        A report by path of the COCO file.

    Raises:
        DataError: Input is missing or damaged, or output exists and ``overwrite`` is False.
    """
    root, options = Path(image_dir), options or YoloOptions()
    found = ConversionReport(strict=options.strict, skip_errors=options.skip_errors)
    layout = read_layout(root, Path(names_file) if names_file else None, found, options.rest)
    count_stray_labels(layout, found)
    outputs = {
        split: Path(out_dir or root / 'annotations') / f'{split}.json' for split in layout.splits
    }
    refuse_existing(outputs.values(), overwrite)
    converters: dict[str, _YoloConverter] = {}
    for split, images in layout.splits.items():
        report = found if not converters else ConversionReport(found.strict, found.skip_errors)
        converters[split] = _YoloConverter(layout, options, report)
        for name in tqdm(images, desc=f'yolo2coco {split}', disable=None):
            converters[split].add_image(name)
        converters[split].report.require_images(f'split {split} of {root} holds no readable image')
    require_labels(layout, converters.values())
    builders = {split: converter.builder for split, converter in converters.items()}
    return write_splits(outputs, builders, layout.classes, root.name)


def require_labels(layout: YoloLayout, converters: Collection[_YoloConverter]) -> None:
    """Raise DataError if not one image has a label file: they lie elsewhere then."""
    unlabelled = sum(converter.report.notes[NO_LABEL_FILE] for converter in converters)
    if unlabelled and unlabelled == sum(len(converter.builder.images) for converter in converters):
        image = layout.images[0]
        raise DataError(
            f'{layout.root}: none of its images has a label file; that of {image} is expected at '
            f'{label_name(image)}'
        )


def count_stray_labels(layout: YoloLayout, report: ConversionReport) -> None:
    """Report the label files below ``labels`` that belong to no image."""
    folder = layout.root / 'labels'
    if not folder.is_dir():
        return
    labels = Counter(f'labels/{name}' for name in list_files(folder, ('.txt',), recursive=True))
    del labels['labels/classes.txt']
    labels.subtract(map(label_name, layout.images))
    for name, strays in labels.items():
        if strays > 0:
            report.skip('label file without image', str(layout.root / name))
        elif strays < -1:
            report.notes['images that share a label file'] += -strays
