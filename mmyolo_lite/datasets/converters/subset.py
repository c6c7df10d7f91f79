"""Take a small COCO set out of a large one, images included (spec: tools_data.md 6)."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmyolo_lite.datasets.coco_checks import few_letters, name_with_hint, shortened
from mmyolo_lite.datasets.converters.coco_sets import (
    annotations_by_image,
    names_by_id,
    part_of,
    random_order,
    read_checked,
    summary,
)
from mmyolo_lite.datasets.converters.files import safe_name
from mmyolo_lite.datasets.converters.staging import place_image, staged
from mmyolo_lite.datasets.file_io import refuse_existing, write_json
from mmyolo_lite.errors import DataError

AREAS = {
    'small': (0.0, 32.0**2),
    'medium': (32.0**2, 96.0**2),
    'large': (96.0**2, float('inf')),
}
"""Square pixels of an annotation: from, and under."""
SPLITS = ('train', 'val')
FOLDERS = ('annotations', *(f'{split}2017' for split in SPLITS))


@dataclass(frozen=True)
class SubsetOptions:
    """What is taken.

    Attributes:
        num_img: Images of each part; all that fit if 0 or less.
        area_size: Key of :data:`AREAS`: only annotations of this size; None for any.
        classes: Only annotations of these classes; empty for all.
        use_training_set: Take the training part from the training set, not from validation.
        seed: Of the random choice; a negative one gives another each time.
        keep_empty: So many images without any annotation come along as background.
        link: Link the image files (hard, or symbolic where that is impossible) in place of copies.
        categories_used_only: Leave out categories without annotation.
        strict: Refuse files in which the check finds an error.
    """

    num_img: int = 50
    area_size: str | None = None
    classes: Sequence[str] = ()
    use_training_set: bool = False
    seed: int = 0
    keep_empty: int = 0
    link: bool = False
    categories_used_only: bool = False
    strict: bool = False


@dataclass(frozen=True)
class Source:
    """An annotation file with its folder of images."""

    json: Path
    images: Path


def sources_of(
    root: str | Path,
    *,
    train_json: str | None = None,
    val_json: str | None = None,
    train_img: str | None = None,
    val_img: str | None = None,
) -> dict[str, Source]:
    """Return the sets below `root` in the layout of COCO 2017; each path can be another."""
    folder = Path(root)
    given = {'train': (train_json, train_img), 'val': (val_json, val_img)}
    return {
        split: Source(
            Path(ann_file or folder / f'annotations/instances_{split}2017.json'),
            Path(images or folder / f'{split}2017'),
        )
        for split, (ann_file, images) in given.items()
    }


def extract_subcoco(
    sources: dict[str, Source],
    out_dir: str | Path,
    options: SubsetOptions | None = None,
    *,
    overwrite: bool = False,
) -> list[str]:
    """Write a small set in the layout of COCO 2017; it appears whole or not at all.

    Args:
        sources: See :func:`sources_of`.
        out_dir: A new or empty folder.
        options: What is taken.
        overwrite: Replace ``annotations``, ``train2017`` and ``val2017`` in `out_dir`.

    Returns:
        Lines of text: what the checks found, the content of each part, and the images left out.

    Raises:
        DataError: A file is broken, a class unknown, nothing fits, output exists, or it would lie
            where input does.
    """
    options, out = options or SubsetOptions(), Path(out_dir)
    _check_options(options)
    taken = {split: sources[split] for split in SPLITS}
    if not options.use_training_set:
        taken['train'] = sources['val']
    _refuse_same_place(taken.values(), out)
    refuse_existing([out / name for name in FOLDERS], overwrite)
    lines: list[str] = []
    with staged(out, FOLDERS) as stage:
        for split, source in taken.items():
            content, finding = read_checked(str(source.json), options.strict)
            part, missing = choose(content, source, options)
            (stage / f'{split}2017').mkdir()
            for image in part['images']:
                origin = (source.images / image['file_name']).resolve()
                target = stage / f'{split}2017' / image['file_name']
                place_image(origin, target, 'link' if options.link else 'copy')
            write_json(part, stage / f'annotations/instances_{split}2017.json')
            lines += [finding, f'{out}/annotations/instances_{split}2017.json: {summary(part)}']
            if missing:
                lines.append(f'  missing images passed over: {missing}')
    if not options.use_training_set:
        lines.append(
            'note: the training part is of validation images; --use-training-set takes others'
        )
    return lines


def _check_options(options: SubsetOptions) -> None:
    if options.area_size is not None and options.area_size not in AREAS:
        raise DataError(f'--area-size {options.area_size!r}: choose of {", ".join(AREAS)}')
    if options.keep_empty < 0:
        raise DataError(f'--keep-empty {options.keep_empty}: give a number of images from 0')


def choose(content: dict, source: Source, options: SubsetOptions) -> tuple[dict, int]:
    """Return the chosen part of a COCO dict, and how many candidates lack their file.

    Candidates are images with an annotation that fits, in random order; only annotations that fit
    stay.

    Raises:
        DataError: A class is unknown, no image fits, or a file name leads out of the folder.
    """
    wanted = _category_ids(content, options.classes, source.json)
    low, high = AREAS.get(options.area_size or '', (float('-inf'), float('inf')))
    fitting = {
        image_id: [a for a in entries if a['category_id'] in wanted and low <= a['area'] < high]
        for image_id, entries in annotations_by_image(content).items()
    }
    images = [content['images'][i] for i in random_order(len(content['images']), options.seed)]
    candidates = [image for image in images if fitting.get(image['id'])]
    empty = [image for image in images if image['id'] not in fitting]
    limit = options.num_img if options.num_img > 0 else len(candidates)
    chosen, missing = _existing(candidates, source, limit)
    background, also_missing = _existing(empty, source, options.keep_empty)
    if not chosen:
        raise DataError(
            f'{source.json}: no image has an annotation of the wanted classes and size and a file '
            f'in {source.images} ({len(candidates)} candidates, {missing} without their file)'
        )
    ids = {image['id'] for image in (*chosen, *background)}
    kept = [image for image in content['images'] if image['id'] in ids]
    annotations = [a for image in kept for a in fitting.get(image['id'], ())]
    part = part_of(content, kept, annotations)
    if options.categories_used_only:
        used = {annotation['category_id'] for annotation in annotations}
        part['categories'] = [c for c in content['categories'] if c['id'] in used]
    return part, missing + also_missing


def _category_ids(content: dict, classes: Sequence[str], path: Path) -> set:
    names = names_by_id(content)
    unknown = [name for name in classes if name not in names.values()]
    if unknown:
        hints = ', '.join(name_with_hint(name, names.values()) for name in unknown[:5])
        raise DataError(
            f'--classes: {hints} not in {path}, which has {shortened(list(names.values()))}'
        )
    if not classes:  # also annotations of categories that the file does not list
        return {annotation['category_id'] for annotation in content['annotations']}
    return {category for category, name in names.items() if name in classes}


def _existing(images: Sequence[dict], source: Source, limit: int) -> tuple[list[dict], int]:
    """Return the first `limit` images whose files exist, and how many were passed over."""
    chosen: list[dict] = []
    missing = 0
    for image in images:
        if len(chosen) >= limit:
            break
        _check_name(image['file_name'], source.json)
        if os.path.isfile(source.images / image['file_name']):
            chosen.append(image)
        else:
            missing += 1
    return chosen, missing


def _check_name(name: str, path: Path) -> None:
    if safe_name(name) is None:
        raise DataError(
            f'{path}: the file name {few_letters(name)} leads out of the folder of images; make it '
            'relative to that folder'
        )


def _refuse_same_place(sources: Iterable[Source], out: Path) -> None:
    """Refuse an output folder that is, or holds, one of the inputs; links are followed first."""
    target = out.resolve()
    for source in sources:
        for path in (source.json.resolve(), source.images.resolve()):
            if target == path or target in path.parents:
                raise DataError(f'{out} holds the input {path}; give another folder for the output')
