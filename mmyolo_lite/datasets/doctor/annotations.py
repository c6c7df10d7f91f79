"""What can be wrong in an annotation file, seen from the parsed JSON alone; any JSON will do.

The rules of the structure are those of :mod:`mmyolo_lite.datasets.coco_checks`; those of polygons
are in :mod:`mmyolo_lite.datasets.doctor.rings`. Entries that break the structure are left out of
the other rules.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from mmyolo_lite.datasets.coco_checks import (
    Defect,
    annotation_defect,
    complete_entries,
    few_letters,
    name_with_hint,
    shortened,
    structural_defects,
)
from mmyolo_lite.datasets.doctor.findings import Report, SetSummary
from mmyolo_lite.datasets.doctor.rings import ring_defects

BORDER_TOLERANCE = 1.0
"""Pixels by which a box or polygon may pass the border: tools differ in where a pixel lies."""
CHUNK = 50_000
"""So many annotations are looked at in one go, which bounds the memory."""


class Entries(NamedTuple):
    """The entries of one list that are structurally sound, with their positions in it."""

    positions: list[int]
    values: list[dict]


class Sound(NamedTuple):
    """The sound entries of an annotation file."""

    images: Entries
    categories: Entries
    annotations: Entries


def sound_entries(content: dict, defects: Iterable[Defect]) -> Sound:
    """Return the entries without any of `defects`, which are structural ones."""
    broken = {(defect.part, defect.position) for defect in defects}
    parts = {}
    for name in ('images', 'categories', 'annotations'):
        kept = [
            (position, entry)
            for position, entry in complete_entries(content, name)
            if (name, position) not in broken
        ]
        parts[name] = Entries([position for position, _ in kept], [entry for _, entry in kept])
    known = {image['id'] for image in parts['images'].values}
    positions, values = parts['annotations']
    belonging = [i for i, entry in enumerate(values) if entry['image_id'] in known]
    parts['annotations'] = Entries(
        [positions[i] for i in belonging], [values[i] for i in belonging]
    )
    return Sound(**parts)


def quick_check(
    content: Any, path: str, classes: Sequence[str] | None = None, is_checked: bool = False
) -> Report:
    """Look for everything that the JSON alone shows, without self-crossings and run lengths.

    Args:
        content: a parsed annotation file.
        path: its name in the report.
        classes: configured class names; None for all categories of the file.
        is_checked: its structure is known to be sound.
    """
    report = Report()
    content = content if isinstance(content, dict) else {}
    sound, defects = examine(content, [] if is_checked else None)
    report.extend(defects, content)
    report.extend(class_defects(sound, classes), content)
    report.sets.append(summary_of(content, path))
    return report


def summary_of(content: dict, path: str, name: str = '') -> SetSummary:
    """Return how many images and annotations a file lists."""
    numbers = [
        len(content[key]) if isinstance(content.get(key), list) else 0
        for key in ('images', 'annotations')
    ]
    return SetSummary(name, path, *numbers)


def examine(
    content: dict, structural: list[Defect] | None = None
) -> tuple[Sound, Iterator[Defect]]:
    """Return the sound entries of a file, and all defects that the JSON alone shows quickly; those
    of its structure are looked for, too, unless they are given.
    """
    if structural is None:
        structural = list(structural_defects(content))
    sound = sound_entries(content, structural)
    found = (rules(sound) for rules in (_image_defects, _category_defects, _annotation_defects))
    return sound, chain(structural, *found)


def _image_defects(sound: Sound) -> Iterator[Defect]:
    with_objects = {annotation['image_id'] for annotation in sound.annotations.values}
    seen: set[str] = set()
    for position, image in zip(*sound.images, strict=True):
        name = few_letters(image['file_name'])
        if image['file_name'] in seen:
            text = f'the file {name} is listed again with the id {few_letters(image["id"])}'
            yield Defect('duplicate-file-name', text, 'images', position)
        seen.add(image['file_name'])
        if image['id'] not in with_objects:
            text = f'{name} (id {few_letters(image["id"])}) has no object'
            yield Defect('image-without-objects', text, 'images', position)


def _category_defects(sound: Sound) -> Iterator[Defect]:
    used = {annotation['category_id'] for annotation in sound.annotations.values}
    seen: set[str] = set()
    for position, category in zip(*sound.categories, strict=True):
        name, shown = category['name'], few_letters(category['name'])
        named = f'the category with id {few_letters(category["id"])}'
        if not isinstance(name, str) or not name:
            text = f'{named} has name={shown}; it must be a text'
            yield Defect('bad-category-name', text, 'categories', position)
            continue
        if name in seen:
            text = f'{named} is named {shown}, like another'
            yield Defect('duplicate-category-name', text, 'categories', position)
        seen.add(name)
        if category['id'] not in used:
            text = f'{shown} has no object'
            yield Defect('category-without-objects', text, 'categories', position)


def _annotation_defects(sound: Sound) -> Iterator[Defect]:
    known = {category['id'] for category in sound.categories.values}
    sizes = {image['id']: (image['width'], image['height']) for image in sound.images.values}
    # a set without any polygon is one of boxes
    has_masks = any(a.get('segmentation') for a in sound.annotations.values)
    seen: set[tuple] = set()
    positions, values = sound.annotations
    for start in range(0, len(values), CHUNK):
        annotations = values[start : start + CHUNK]
        places = positions[start : start + CHUNK]
        for position, annotation in zip(places, annotations, strict=True):
            for code, ending in _plain_defects(annotation, known, seen, has_masks):
                yield annotation_defect(code, ending, annotation, position)
        size_wh = np.array([sizes[a['image_id']] for a in annotations], dtype=np.float64)
        for rules in (_box_defects, ring_defects):
            for code, index, ending in rules(annotations, size_wh):
                yield annotation_defect(code, ending, annotations[index], places[index])


def _plain_defects(
    annotation: dict, known: set, seen: set[tuple], has_masks: bool
) -> Iterator[tuple[str, str]]:
    """Yield the code and the end of a sentence for what needs no geometry.

    Args:
        annotation: a sound entry.
        known: ids of the categories.
        seen: the objects so far: image, category, box; this one is added.
        has_masks: some objects of the file have masks.
    """
    category, mask = annotation['category_id'], annotation.get('segmentation')
    if annotation['id'] == 0:
        yield 'id-zero', 'always counts as missed'
    if category not in known:
        ending = f'has category_id {few_letters(category)}, which is not in "categories"'
        yield 'unknown-category', ending
    if 'iscrowd' not in annotation:
        yield 'iscrowd-missing', 'lacks "iscrowd"'
    key = (annotation['image_id'], category, *annotation['bbox'])
    if key in seen:
        yield 'duplicate-object', f'has class and box of another: {annotation["bbox"]}'
    seen.add(key)
    if annotation.get('iscrowd'):
        yield 'crowd', f'marks a crowd, box {annotation["bbox"]}'
    elif isinstance(mask, dict):
        kind = 'a compressed' if isinstance(mask['counts'], str) else 'an uncompressed'
        yield 'rle-mask', f'has {kind} run-length mask'
    elif has_masks and not mask:
        yield 'mask-missing', 'has no segmentation'


def _box_defects(annotations: list[dict], size_wh: np.ndarray) -> Iterator[tuple[str, int, str]]:
    """Yield the code, the index and the end of a sentence for each box that is wrong.

    Args:
        annotations: N sound entries.
        size_wh: (N, 2) width and height of the image of each, in pixels.
    """
    boxes = np.array([a['bbox'] for a in annotations], dtype=np.float64).reshape(-1, 4)
    area = np.array([a['area'] for a in annotations], dtype=np.float64)
    low, sides = boxes[:, :2], boxes[:, 2:]
    high = low + sides
    empty = (sides <= 0).any(1)
    inside = np.minimum(high, size_wh) - np.maximum(low, 0)
    off = ~empty & (inside <= 0).any(1)
    over = np.maximum(-low, high - size_wh).max(1, initial=0)
    outside = ~empty & ~off & (over > BORDER_TOLERANCE)
    thin = ~empty & (sides < 1).any(1)

    def ending(index: int) -> str:
        width, height = size_wh[index]
        return f'has bbox={annotations[index]["bbox"]} in an image of {width:g} x {height:g}'

    for code, found in (
        ('box-empty', empty),
        ('box-off-image', off),
        ('box-outside', outside),
        ('box-under-one-pixel', thin),
    ):
        for index in np.flatnonzero(found).tolist():
            yield code, index, ending(index)
    for index in np.flatnonzero(area <= 0).tolist():
        yield 'area-zero', index, f'has area={annotations[index]["area"]}'


def class_defects(sound: Sound, classes: Sequence[str] | None) -> Iterator[Defect]:
    """Compare the categories of a file with the configured classes; None for no comparison."""
    if classes is None:
        return
    names = [category['name'] for category in sound.categories.values]
    for name in classes:
        if name not in names:
            text = f'{name_with_hint(name, names)}; the file has {shortened(names)}'
            yield Defect('class-not-in-file', text)
    counts = Counter(annotation['category_id'] for annotation in sound.annotations.values)
    for position, category in zip(*sound.categories, strict=True):
        if category['name'] not in classes and counts[category['id']]:
            text = f'{few_letters(category["name"])} has {counts[category["id"]]} objects'
            yield Defect('category-not-configured', text, 'categories', position)
