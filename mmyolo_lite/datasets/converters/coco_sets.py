"""Read a COCO set that is to be divided, and write parts of it (spec: tools_data.md 5, 6)."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import numpy as np

from mmyolo_lite.datasets.coco_checks import read_coco_json, shortened
from mmyolo_lite.datasets.doctor.annotations import quick_check
from mmyolo_lite.datasets.doctor.kinds import Severity
from mmyolo_lite.errors import DataError


class CheckedFile(NamedTuple):
    """A parsed annotation file and what the dataset doctor's quick part says about it."""

    content: dict
    finding: str


def read_checked(path: str, strict: bool = False) -> CheckedFile:
    """Read an annotation file and check it.

    Args:
        path: the file; ``annotations`` must be there.
        strict: refuse a file with any error, also one in which only single objects are wrong.

    Raises:
        DataError: the structure is broken, or with `strict` the check finds an error.
    """
    content = read_coco_json(path)
    names = [category['name'] for category in content['categories']]
    unfit = [name for name in names if not isinstance(name, str)]
    if unfit:
        raise DataError(f'{path}: a category has name={unfit[0]!r}; it must be a text.')
    report = quick_check(content, path)
    if strict and report.worst == Severity.ERROR:
        raise DataError(f'{report.one_line()} (left as it is without --strict)')
    return CheckedFile(content, report.one_line())


def annotations_by_image(content: dict) -> dict[Any, list[dict]]:
    """Return the annotations of each image by its id, in the file's order."""
    grouped: dict[Any, list[dict]] = defaultdict(list)
    for annotation in content['annotations']:
        grouped[annotation['image_id']].append(annotation)
    return grouped


def part_of(content: dict, images: Iterable[dict], annotations: Iterable[dict]) -> dict:
    """Return a COCO dict of some images and annotations; every other key stays as it is.

    ``info`` and ``licenses`` are there even if the source lacks them.
    """
    head: dict[str, Any] = {'info': {}, 'licenses': []}
    return {**head, **content, 'images': list(images), 'annotations': list(annotations)}


def names_by_id(content: dict) -> dict[Any, str]:
    """Return the category names by id."""
    return {category['id']: category['name'] for category in content['categories']}


def summary(part: dict, expected: Collection[str] = ()) -> str:
    """Return the number of images and annotations of a part, and which classes it lacks.

    Args:
        part: a COCO dict.
        expected: class names that the whole has objects of.
    """
    names = names_by_id(part)
    counts = Counter(names.get(a['category_id']) for a in part['annotations'])
    text = f'{len(part["images"])} images, {len(part["annotations"])} annotations'
    absent = sorted(set(expected) - set(counts))
    if absent:
        text += f'; without objects of {len(absent)} classes: {shortened(absent)}'
    return text


def used_names(content: dict) -> set[str]:
    """Return the names of the categories that have an annotation."""
    names = names_by_id(content)
    return {names[a['category_id']] for a in content['annotations'] if a['category_id'] in names}


def random_order(count: int, seed: int) -> list[int]:
    """Return the numbers below `count` shuffled; a negative seed gives another order each time."""
    rng = np.random.default_rng(seed if seed >= 0 else None)
    return [int(index) for index in rng.permutation(count)]
