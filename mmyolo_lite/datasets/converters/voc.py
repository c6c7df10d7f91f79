"""Pascal VOC folders, one XML an image, to COCO."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from tqdm import tqdm

from mmyolo_lite.datasets.coco_checks import few_letters
from mmyolo_lite.datasets.converters.coco_builder import CocoBuilder, ImageSlot, write_splits
from mmyolo_lite.datasets.converters.coco_json import ConversionReport
from mmyolo_lite.datasets.converters.files import (
    IMAGE_SUFFIXES,
    list_files,
    read_class_names,
    read_lines,
    safe_name,
    stem,
)
from mmyolo_lite.datasets.converters.voc_xml import (
    VocObject,
    read_object_masks,
    read_voc,
    voc_objects,
)
from mmyolo_lite.datasets.file_io import refuse_existing
from mmyolo_lite.errors import DataError

SPLITS = ('train', 'val', 'trainval', 'test')

Difficult = Literal['keep', 'ignore', 'skip']


@dataclass(frozen=True)
class VocOptions:
    """How annotation files are read.

    Attributes:
        zero_based: Boxes are written as coordinates from 0, ``xmax`` and ``ymax`` exclusive, as
            some tools do. VOC itself writes pixel numbers from 1, both ends inside the box.
        difficult: ``'keep'`` difficult objects as any other; ``'ignore'`` makes them
            ``iscrowd=1``, which neither training nor evaluation counts: what mmdet's VOC dataset
            does; ``'skip'`` leaves them out, so that a detection of one is a mistake.
        masks: Read ``SegmentationObject``, if there is one, and ``polygon`` elements.
        box_polygon: Write the box of an object without outline as its segmentation too, so that
            segmentation configs load.
        strict: Items that would be left out are errors.
        skip_errors: Broken files and objects are left out too.
    """

    zero_based: bool = False
    difficult: Difficult = 'keep'
    masks: bool = True
    box_polygon: bool = True
    strict: bool = False
    skip_errors: bool = False


@dataclass(frozen=True)
class VocLayout:
    """Folders of a VOC data set, and its images by their path without suffix."""

    annotation_dir: Path
    image_dir: Path
    mask_dir: Path
    images: dict[str, str]


def read_layout(root: Path, annotation_dir: Path | None, image_dir: Path | None) -> VocLayout:
    """Find the folders of a VOC data set: those of VOC, or one folder of XML files and images.

    Raises:
        DataError: A folder is missing.
    """
    voc_folder = root / 'Annotations'
    if annotation_dir is None and not voc_folder.is_dir() and root.is_dir():
        years = sorted(path.parent.name for path in root.glob('*/Annotations'))
        if years:
            raise DataError(f'{root}: holds several data sets, pass one: {", ".join(years)}')
    annotations = annotation_dir or (voc_folder if voc_folder.is_dir() else root)
    folders = (root / 'JPEGImages', root / 'images')
    images = image_dir or next((folder for folder in folders if folder.is_dir()), root)
    names = list_files(images, IMAGE_SUFFIXES, recursive=True)
    by_stem = {stem(name): name for name in reversed(names)}
    return VocLayout(annotations, images, root / 'SegmentationObject', by_stem)


def read_splits(
    root: Path, layout: VocLayout, splits: Sequence[str] | None
) -> dict[str, list[str]]:
    """Return the images of every split, as paths without suffix.

    Args:
        root: The data set, with ``ImageSets/Main/<split>.txt``.
        layout: Its folders.
        splits: Names of splits; those of VOC that exist if None, and ``result`` with every
            annotation file if there is none.

    Raises:
        DataError: The list of a split that is asked for is missing.
    """
    folder = root / 'ImageSets/Main'
    names = splits or [split for split in SPLITS if (folder / f'{split}.txt').is_file()]
    if not names:
        files = list_files(layout.annotation_dir, ('.xml',), recursive=True)
        return {'result': [stem(name) for name in files]}
    listed = {}
    for split in names:
        # the lists of single classes have a second column: -1 for images without the class
        columns = [line.split() for line in read_lines(folder / f'{split}.txt') if line]
        listed[split] = [list_key(line[0]) for line in columns if line[1:] != ['-1']]
    return listed


def list_key(word: str) -> str:
    """Return the image that a list names, as path without suffix: names with suffix occur too."""
    key = stem(word) if word.lower().endswith(IMAGE_SUFFIXES) else word
    return safe_name(key) or PurePosixPath(key.replace('\\', '/')).name


class _VocConverter:
    """Feeds one split to a builder."""

    def __init__(
        self, layout: VocLayout, classes: dict[str, int] | None, options: VocOptions
    ) -> None:
        self.layout, self.classes, self.options = layout, classes, options
        self.report = ConversionReport(strict=options.strict, skip_errors=options.skip_errors)
        self.builder = CocoBuilder(layout.image_dir, self.report)

    def add_file(self, key: str) -> None:
        path = self.layout.annotation_dir / f'{key}.xml'
        if not os.path.exists(path):
            self.report.skip('listed image without annotation file', str(path))
            return
        try:
            root = read_voc(path)
        except DataError as error:
            self.report.structural(f'unreadable annotation file: {error}', str(path))
            return
        image_name = self.image_name(key, root.findtext('filename') or '')
        image = self.builder.add_image(image_name, str(path))
        if image is None:
            return
        written = (root.findtext('size/width'), root.findtext('size/height'))
        if written != tuple(map(str, image.size_wh)):
            self.report.notes['image size differs from the annotation file'] += 1
        masks = self.masks(key, image, len(root.findall('object')))

        def damaged(reason: str, number: int) -> None:
            self.report.structural(reason, f'{path}, object {number}')

        for number, item in voc_objects(root, damaged):
            if masks and number not in masks:
                self.report.notes['objects without pixels in their mask picture'] += 1
            self.add_item(item, masks.get(number), image, f'{path}, object {number}')

    def image_name(self, key: str, written: str) -> str:
        """Return the image of an annotation file: that of its stem, else the one that it names."""
        if key in self.layout.images:
            return self.layout.images[key]
        name = PurePosixPath(written.replace('\\', '/')).name
        near = str(PurePosixPath(key).with_name(name)) if name.strip('.') else f'{key}.jpg'
        return self.layout.images.get(stem(near), near)

    def masks(self, key: str, image: ImageSlot, count: int) -> dict[int, list[np.ndarray]]:
        path = self.layout.mask_dir / f'{key}.png'
        if not (self.options.masks and os.path.isfile(path)):
            return {}
        try:
            return read_object_masks(path, image.size_wh, count)
        except ValueError as error:
            self.report.structural(str(error), str(path))
            return {}

    def add_item(
        self, item: VocObject, mask: list[np.ndarray] | None, image: ImageSlot, where: str
    ) -> None:
        if self.classes is not None and item.name not in self.classes:
            self.report.structural(
                f'unknown class: {few_letters(item.name)} is not in the class file', where
            )
            return
        if item.difficult:
            self.report.notes[f'difficult objects: {self.options.difficult}'] += 1
            if self.options.difficult == 'skip':
                return
        iscrowd = int(item.difficult and self.options.difficult == 'ignore')
        box = None if item.xyxy is None else self.continuous(item.xyxy)
        if mask and box and not overlaps(mask, box):
            self.report.notes['masks outside the box of their object left out'] += 1
            mask = None
        if mask:
            bbox = self.builder.inside(box, image) if box else None
            proper = bbox if bbox and min(bbox[2:]) > 0 else None
            self.builder.add_object(image, item.name, mask, where, bbox=proper, iscrowd=iscrowd)
        elif item.ring is not None and (self.options.masks or box is None):
            self.builder.add_object(image, item.name, [item.ring], where, iscrowd=iscrowd)
        elif box:
            with_ring = self.options.box_polygon
            self.builder.add_box(image, item.name, box, where, with_ring=with_ring, iscrowd=iscrowd)

    def continuous(self, xyxy: list[float]) -> list[float]:
        """Return a box in coordinates where pixel 0 covers [0, 1]."""
        if self.options.zero_based:
            return xyxy
        return [xyxy[0] - 1, xyxy[1] - 1, xyxy[2], xyxy[3]]


def overlaps(rings: Sequence[np.ndarray], xyxy: Sequence[float]) -> bool:
    """Say whether the box around rings (N, 2) and another box have common points."""
    points = np.concatenate(rings)
    low, high = points.min(axis=0), points.max(axis=0)
    return bool((low <= xyxy[2:]).all() and (high >= xyxy[:2]).all())


def convert_voc(
    root: str | Path,
    out_dir: str | Path | None = None,
    class_file: str | Path | None = None,
    options: VocOptions | None = None,
    *,
    splits: Sequence[str] | None = None,
    annotation_dir: str | Path | None = None,
    image_dir: str | Path | None = None,
    overwrite: bool = False,
) -> dict[str, ConversionReport]:
    """Convert a VOC data set to one COCO file for each of its splits.

    All splits share their categories, numbered from 1; files are written once every split is
    converted. Boxes are those of ``bndbox``; those around the points for ``polygon``.

    Args:
        root: Folder such as ``VOCdevkit/VOC2007``, or one of XML files and images.
        out_dir: Where the COCO files go; ``root/coco`` if None.
        class_file: Classes in order, one a line; the names found, sorted, if None.
        options: How annotation files are read.
        splits: Lists of ``ImageSets/Main`` to convert; train, val, trainval and test, as far as
            they exist, if None; without lists, all annotation files become ``result.json``.
        annotation_dir: Folder of the XML files if not ``root/Annotations`` or ``root``.
        image_dir: Folder of the images, to which ``file_name`` is relative, if not
            ``root/JPEGImages``, ``root/images`` or ``root``.
        overwrite: Replace existing output.

    Returns:
        A report by path of the COCO file.

    Raises:
        DataError: Input is missing or damaged, or output exists and ``overwrite`` is False.
    """
    root, options = Path(root), options or VocOptions()
    layout = read_layout(root, *(Path(d) if d else None for d in (annotation_dir, image_dir)))
    listed = read_splits(root, layout, splits)
    outputs = {split: Path(out_dir or root / 'coco') / f'{split}.json' for split in listed}
    refuse_existing(outputs.values(), overwrite)
    known = _from_one(read_class_names(Path(class_file))) if class_file else None
    builders = {
        split: _convert_split(split, keys, _VocConverter(layout, known, options))
        for split, keys in listed.items()
    }
    found = sorted({name for item in builders.values() for name in item.report.per_class})
    return write_splits(outputs, builders, known or _from_one(found), root.name)


def _convert_split(split: str, keys: Sequence[str], converter: _VocConverter) -> CocoBuilder:
    for key in tqdm(keys, desc=f'voc2coco {split}', disable=None):
        converter.add_file(key)
    layout = converter.layout
    converter.report.require_images(
        f'no XML file of {split} in {layout.annotation_dir} names an image that is in '
        f'{layout.image_dir}'
    )
    return converter.builder


def _from_one(names: Iterable[str]) -> dict[str, int]:
    """Return category ids, from 1 as in COCO, by name."""
    return {name: number + 1 for number, name in enumerate(names)}
