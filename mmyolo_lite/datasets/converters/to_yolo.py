"""COCO files to a YOLO data set, for frameworks that read those."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from mmyolo_lite.datasets.coco_checks import few_letters
from mmyolo_lite.datasets.converters.coco_builder import has_three_points
from mmyolo_lite.datasets.converters.coco_json import ConversionReport
from mmyolo_lite.datasets.converters.coco_reader import (
    CocoImage,
    CocoSet,
    annotation_rings,
    read_coco_set,
)
from mmyolo_lite.datasets.converters.files import stem
from mmyolo_lite.datasets.converters.outlines import one_ring, rings_area
from mmyolo_lite.datasets.converters.staging import Images, keep_sources, place_image, staged
from mmyolo_lite.datasets.file_io import refuse_existing
from mmyolo_lite.errors import DataError

SPLITS = ('trainval', 'train', 'val', 'test')


@dataclass(frozen=True)
class ToYoloOptions:
    """What is written.

    Attributes:
        boxes: Write boxes, for detection, instead of polygons.
        images: ``'link'`` puts hard links (else symbolic links, else copies) to the images into
            ``images/<split>``, ``'copy'`` copies; ``'list'`` writes their paths to ``<split>.txt``.
        strict: Items that would be left out are errors.
        skip_errors: Broken annotations are left out too.
    """

    boxes: bool = False
    images: Images = 'link'
    strict: bool = False
    skip_errors: bool = False


def split_name(path: Path) -> str:
    """Return the split that the name of a COCO file speaks of, else the name without suffix."""
    return next((split for split in SPLITS if split in path.stem), path.stem)


def label_line(number: int, relative: np.ndarray) -> str:
    """Return a line of a label file.

    Args:
        number: Class id from 0.
        relative: Coordinates divided by the image's size, of any shape, in [0, 1].
    """
    return ' '.join([str(number), *(f'{value:.6f}' for value in relative.ravel().tolist())])


class _ToYolo:
    """Makes the label lines of one split."""

    def __init__(self, coco: CocoSet, options: ToYoloOptions, report: ConversionReport) -> None:
        self.coco, self.options, self.report = coco, options, report

    def lines(self, image: CocoImage) -> list[str]:
        """Return the lines of an image's label file."""
        lines = []
        for annotation in image.annotations:
            where = f'{self.coco.path}, annotation {few_letters(annotation.get("id"))}'
            if annotation.get('iscrowd'):
                self.report.notes['crowd regions left out'] += 1
                continue
            name = self.coco.names[annotation['category_id']]
            number = self.coco.numbers[name]
            relative = self.relative(annotation, image, where)
            if relative is not None:
                lines.append(label_line(number, relative))
                self.report.per_class[name] += 1
        return lines

    def relative(
        self, annotation: dict[str, Any], image: CocoImage, where: str
    ) -> np.ndarray | None:
        """Return an object's relative box (4,) or polygon (N, 2), or None after reporting."""
        x, y, width, height = annotation['bbox']
        corners = np.array([[x, y], [x + width, y + height]], dtype=np.float64)
        corners = corners.clip(0, image.size_wh)
        if self.options.boxes:
            size = corners[1] - corners[0]
            if min(size) <= 0:
                self.report.skip('box without area inside the image', where)
                return None
            return np.concatenate([corners.mean(axis=0), size]) / np.tile(image.size_wh, 2)
        try:
            rings = annotation_rings(annotation.get('segmentation'), image.size_wh)
        except ValueError as error:
            self.report.structural(str(error), where)
            return None
        if not rings:
            self.report.notes['objects without outline written as their box'] += 1
            (left, top), (right, bottom) = corners
            rings = [np.array([[left, top], [right, top], [right, bottom], [left, bottom]])]
        kept = [
            ring for ring in (r.clip(0, image.size_wh) for r in rings) if has_three_points(ring)
        ]
        if not kept or rings_area(kept) <= 0:
            self.report.skip('outline encloses no area inside the image', where)
            return None
        return one_ring(kept) / image.size_wh


def convert_to_yolo(
    json_files: Sequence[str | Path],
    out_dir: str | Path,
    image_dirs: Sequence[str | Path] = (),
    splits: Sequence[str] | None = None,
    options: ToYoloOptions | None = None,
    *,
    overwrite: bool = False,
) -> dict[str, ConversionReport]:
    """Write COCO files as a YOLO data set.

    The result has ``labels/<split>/*.txt``, ``classes.txt``, ``data.yaml`` and, with
    ``image_dirs``, the images or lists of them. It appears when every split is converted.
    Classes are numbered from 0 in the order of the files' categories. The parts of an object are
    joined to one polygon; crowd regions are left out and counted.

    Args:
        json_files: COCO files, with the same categories.
        out_dir: Folder of the data set.
        image_dirs: Folder of the images of every file, or one for all; no images if empty.
        splits: Name of the split of every file; what the files' names say if None.
        options: What is written.
        overwrite: Replace existing output.

    Returns:
        A report by path of the label folder.

    Raises:
        DataError: Input is missing or damaged, or output exists and ``overwrite`` is False.
    """
    paths, out = [Path(path) for path in json_files], Path(out_dir)
    options = options or ToYoloOptions()
    names = list(splits or map(split_name, paths))
    folders = _folders(image_dirs, paths)
    _check_splits(names, paths)
    targets = _targets(names, options.images if image_dirs else None)
    refuse_existing([out / target for target in targets], overwrite)
    keep_sources(out, targets, [*paths, *filter(None, folders)])
    with staged(out, targets) as stage:
        reports, numbers = _write_splits(paths, folders, names, stage, options)
        _write_index(stage, out, numbers, names, listed=f'{names[0]}.txt' in targets)
    if not {'train', 'val'} & set(names):
        reports[0].notes['data.yaml has neither train nor val; --splits names the splits'] += 1
    return {f'{out}/labels/{name}': report for name, report in zip(names, reports, strict=True)}


def _targets(splits: Sequence[str], images: Images | None) -> list[str]:
    """Return the files and folders that a conversion makes."""
    targets = ['classes.txt', 'data.yaml', *(f'labels/{split}' for split in splits)]
    if images == 'list':
        return targets + [f'{split}.txt' for split in splits]
    return targets + [f'images/{split}' for split in splits if images]


def _write_splits(
    paths: Sequence[Path],
    folders: Sequence[Path | None],
    splits: Sequence[str],
    stage: Path,
    options: ToYoloOptions,
) -> tuple[list[ConversionReport], dict[str, int]]:
    """Write labels and images of all splits below ``stage``; return reports and class numbers."""
    reports: list[ConversionReport] = []
    numbers: dict[str, int] = {}
    for path, folder, split in zip(paths, folders, splits, strict=True):
        report = ConversionReport(strict=options.strict, skip_errors=options.skip_errors)
        coco = read_coco_set(path, report)
        if reports and coco.numbers != numbers:
            raise DataError(f'{path}: its categories are not those of {paths[0]}')
        numbers = coco.numbers
        _write_split(coco, folder, split, stage, options, report)
        report.require_images(f'look at the images of {path}')
        reports.append(report)
    return reports, numbers


def _write_index(
    stage: Path, out: Path, numbers: Mapping[str, int], splits: Sequence[str], *, listed: bool
) -> None:
    """Write ``classes.txt`` and ``data.yaml``.

    Args:
        stage: Folder to write to.
        out: Folder where the data set will lie; the key ``path`` names it.
        numbers: Class ids from 0 by name.
        splits: Names of the splits.
        listed: Images are listed in ``<split>.txt``, not in ``images/<split>``.
    """
    content = {
        'path': os.path.abspath(out),
        **{split: f'{split}.txt' if listed else f'images/{split}' for split in splits},
        'nc': len(numbers),
        'names': {number: name for name, number in numbers.items()},
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (stage / 'data.yaml').write_text(text, encoding='utf-8')
    names = ''.join(f'{name}\n' for name in numbers)
    (stage / 'classes.txt').write_text(names, encoding='utf-8')


def _folders(image_dirs: Sequence[str | Path], paths: Sequence[Path]) -> list[Path | None]:
    """Return the image folder of every file."""
    if len(image_dirs) not in (0, 1, len(paths)):
        raise DataError(
            f'{len(image_dirs)} image folders for {len(paths)} COCO files; pass one for all or one '
            'for each'
        )
    folders = [Path(folder) for folder in image_dirs]
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f'{folder}: no such folder of images')
    if not folders:
        return [None] * len(paths)
    return [*folders] if len(folders) == len(paths) else [*folders * len(paths)]


def _check_splits(names: Sequence[str], paths: Sequence[Path]) -> None:
    if len(names) != len(paths) or len(set(names)) < len(names):
        raise DataError(
            f'{len(paths)} COCO files for the splits {", ".join(names)}; name a different one for '
            'each with --splits'
        )
    for name in names:
        if not name or name.startswith('.') or set(name) & set('/\\:'):
            raise DataError(f'{name!r} is no name of a split, such as train; pass --splits')


def _write_split(
    coco: CocoSet,
    folder: Path | None,
    split: str,
    stage: Path,
    options: ToYoloOptions,
    report: ConversionReport,
) -> None:
    """Write labels and images of a split below ``stage``."""
    maker = _ToYolo(coco, options, report)
    (stage / 'labels' / split).mkdir(parents=True)
    written: dict[str, str] = {}
    listed = []
    for image in tqdm(coco.images, desc=f'coco2yolo {split}', disable=None):
        key = stem(image.file_name)
        if key in written:
            report.structural(
                f'label file taken: {written[key]!r} has the same name, perhaps but for the ending',
                f'{coco.path}, image {image.file_name!r}',
            )
            continue
        written[key] = image.file_name
        source = None if folder is None else Path(os.path.abspath(folder)) / image.file_name
        if source is not None and not os.path.isfile(source):
            report.skip('missing image', str(source))
            continue
        label = stage / 'labels' / split / f'{key}.txt'
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(''.join(f'{line}\n' for line in maker.lines(image)), encoding='utf-8')
        report.images += 1
        if source is not None and options.images == 'list':
            listed.append(f'{source}\n')
        elif source is not None:
            place_image(source, stage / 'images' / split / image.file_name, options.images)
    if listed:
        (stage / f'{split}.txt').write_text(''.join(listed), encoding='utf-8')
