"""Divide a COCO set into train, val and test (spec: tools_data.md 5)."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmyolo_lite.datasets.converters.coco_sets import (
    annotations_by_image,
    part_of,
    random_order,
    read_checked,
    summary,
    used_names,
)
from mmyolo_lite.datasets.file_io import refuse_existing, write_json_files
from mmyolo_lite.errors import DataError

NAMES = {2: ('trainval', 'test'), 3: ('train', 'val', 'test')}
"""The outputs by the number of ratios; the first gets what rounding leaves."""


@dataclass(frozen=True)
class SplitOptions:
    """How images are dealt out.

    Attributes:
        ratios: Shares of the outputs, two (trainval, test) or three (train, val, test); they are
            divided by their sum.
        shuffle: Deal out in random order; otherwise in the file's order, the first output first.
        seed: Of the random order; a negative one gives another order each time.
        stratify: Give each output its share of every class's objects, as far as that goes.
        group_by: Regular expression for file names: images for which its first group (or the whole
            match) is equal stay together; None for none.
        strict: Refuse a file in which the check finds an error.
        names: Of the outputs, in the order of the ratios; None for :data:`NAMES`.
    """

    ratios: Sequence[float] = (0.8, 0.1, 0.1)
    shuffle: bool = False
    seed: int = 0
    stratify: bool = False
    group_by: str | None = None
    strict: bool = False
    names: Sequence[str] | None = None


def split_counts(total: int, ratios: Sequence[float]) -> list[int]:
    """Return how many images each output gets: ``int(total * ratio)``, at least one, the first the
    rest.

    Raises:
        DataError: The ratios are not two or three positive finite numbers, or there are fewer
            images than outputs.

    >>> split_counts(10, (0.8, 0.1, 0.1))
    [8, 1, 1]
    """
    is_sound = len(ratios) in NAMES and all(math.isfinite(r) and r > 0 for r in ratios)
    if not is_sound or not math.isfinite(sum(ratios)):
        raise DataError(
            f'--ratios {" ".join(map(str, ratios))}: give two positive numbers (trainval, test) or '
            'three (train, val, test)'
        )
    if total < len(ratios):
        raise DataError(
            f'{total} images cannot be split into {len(ratios)} parts of at least one image'
        )
    # 10 * 0.7 / 1.0 is 6.999...: a count that is whole but for rounding is that count
    counts = [max(int(total * ratio / sum(ratios) + 1e-9), 1) for ratio in ratios[1:]]
    while sum(counts) >= total:
        counts[counts.index(max(counts))] -= 1
    return [total - sum(counts), *counts]


def _names(options: SplitOptions) -> Sequence[str]:
    """Return the names of the outputs; DataError if they cannot be files of their own."""
    if options.names is None:
        return NAMES[len(options.ratios)]
    names = list(options.names)
    if len(set(names)) != len(options.ratios) or not all(
        map(re.compile(r'[\w.-]+').fullmatch, names)
    ):
        raise DataError(
            f'--names {" ".join(names)}: give {len(options.ratios)} different names of letters, '
            'digits, dots and dashes, one for each ratio'
        )
    return names


def split_coco(
    json_path: str | Path,
    out_dir: str | Path,
    options: SplitOptions | None = None,
    *,
    overwrite: bool = False,
) -> list[str]:
    """Write ``<out_dir>/{train,val,test}.json`` or ``{trainval,test}.json``, or files of names of
    one's own.

    Every output has all categories and other keys of the source, and the annotations of its
    images.

    Args:
        json_path: The annotation file.
        out_dir: Folder for the outputs.
        options: How images are dealt out.
        overwrite: Replace existing outputs.

    Returns:
        Lines of text: what the check found, and the content of each output.

    Raises:
        DataError: The file is broken, the ratios cannot be met, or output exists.
    """
    options = options or SplitOptions()
    if len(options.ratios) not in NAMES:
        split_counts(1, options.ratios)  # raises
    outputs = [Path(out_dir) / f'{name}.json' for name in _names(options)]
    refuse_existing(outputs, overwrite)
    content, finding = read_checked(str(json_path), options.strict)
    grouped = annotations_by_image(content)
    parts = []
    for images in divide(content, options):
        annotations = [annotation for image in images for annotation in grouped[image['id']]]
        parts.append(part_of(content, images, annotations))
    write_json_files(dict(zip(outputs, parts, strict=True)))
    used = used_names(content)
    lines = [f'{path}: {summary(part, used)}' for part, path in zip(parts, outputs, strict=True)]
    return [finding, *lines]


def divide(content: dict, options: SplitOptions) -> list[list[dict]]:
    """Return the images of each output, in the order of the file.

    Args:
        content: A COCO dict with a sound structure.
        options: How images are dealt out.

    Raises:
        DataError: The ratios cannot be met or the expression for groups is wrong.
    """
    images = content['images']
    wanted = split_counts(len(images), options.ratios)
    groups = _groups(images, options.group_by)
    if len(groups) < len(wanted):
        raise DataError(
            f'{len(groups)} groups of images cannot be split into {len(wanted)} parts; '
            f'--group-by {options.group_by!r} puts too many together'
        )
    if options.shuffle or options.stratify:
        order = random_order(len(groups), options.seed)
        groups = [groups[i] for i in order]
    owners = _stratified(content, groups, wanted) if options.stratify else _dealt(groups, wanted)
    chosen: list[list[int]] = [[] for _ in wanted]
    for group, owner in zip(groups, owners, strict=True):
        chosen[owner] += group
    return [[images[i] for i in sorted(indices)] for indices in chosen]


def _groups(images: Sequence[dict], expression: str | None) -> list[list[int]]:
    """Return lists of indices of images that stay together, in order of the first of each."""
    if expression is None:
        return [[index] for index in range(len(images))]
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise DataError(f'--group-by {expression!r} is no regular expression: {error}') from error
    groups: dict[Any, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        match = pattern.search(image['file_name'])
        key: Any = index  # an image that does not match is a group of its own
        if match:
            key = match.group(1) if pattern.groups else match.group(0)
        groups[key if key is not None else index].append(index)
    return list(groups.values())


def _dealt(groups: Sequence[Sequence[int]], wanted: Sequence[int]) -> list[int]:
    """Return the output of each group: the first until it is full, then the next.

    Every output gets at least one group.
    """
    owners, current, held = [], 0, 0
    for index, group in enumerate(groups):
        rest = len(groups) - index
        is_last = current == len(wanted) - 1
        # closer to the wanted number without this group than with it, or no group to spare
        is_full = held and held + len(group) / 2 > wanted[current]
        if not is_last and held and (is_full or rest == len(wanted) - 1 - current):
            current, held = current + 1, 0
        owners.append(current)
        held += len(group)
    return owners


def _stratified(content: dict, groups: Sequence[Sequence[int]], wanted: Sequence[int]) -> list[int]:
    """Return the output of each group by iterative stratification.

    The class with the fewest images left is dealt out first, each time to the output that lacks
    most of it (Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data").
    Images without objects fill up.
    """
    index_of = {image['id']: index for index, image in enumerate(content['images'])}
    group_of = {image: number for number, group in enumerate(groups) for image in group}
    classes: list[Counter] = [Counter() for _ in groups]
    for annotation in content['annotations']:
        group = group_of[index_of[annotation['image_id']]]
        classes[group][annotation['category_id']] += 1
    totals: Counter = sum(classes, Counter())
    members: dict[Any, list[int]] = defaultdict(list)
    for number, counts in enumerate(classes):
        for name in counts:
            members[name].append(number)
    lacking = {
        name: _objects_wanted(count, len(members[name]), wanted) for name, count in totals.items()
    }
    room = np.array(wanted, dtype=np.float64)
    owners = [-1] * len(groups)
    left = {name: len(numbers) for name, numbers in members.items()}

    def give(number: int, owner: int) -> None:
        owners[number] = owner
        room[owner] -= len(groups[number])
        for name, count in classes[number].items():
            lacking[name][owner] -= count
            left[name] -= 1

    while pending := [name for name, count in left.items() if count]:
        rarest = min(pending, key=lambda name: (left[name], totals[name]))
        for number in members[rarest]:
            if owners[number] < 0:
                open_parts = np.where(room > 0, lacking[rarest], -np.inf)
                best = np.flatnonzero(open_parts == open_parts.max())
                give(number, int(best[np.argmax(room[best])]))
    for number in range(len(groups)):
        if owners[number] < 0:
            give(number, int(np.argmax(room)))
    return _none_empty(owners, groups, len(wanted))


def _objects_wanted(objects: int, groups: int, wanted: Sequence[int]) -> np.ndarray:
    """Return how many objects of a class each output should get (N,).

    Those of at least one image of the class, because a class that is only trained on has no score;
    the only one goes to the first output, because a class that is never trained on is not learnt.

    >>> _objects_wanted(9, 1, (8, 2))
    array([9., 0.])
    """
    if groups == 1:
        return objects * np.eye(len(wanted))[0]
    return np.maximum(objects * np.array(wanted) / sum(wanted), objects / groups)


def _none_empty(owners: list[int], groups: Sequence[Sequence[int]], count: int) -> list[int]:
    """Move the smallest group of the fullest output to each one that has none."""
    for empty in set(range(count)) - set(owners):
        sizes = Counter(owners)
        fullest = max(sizes, key=sizes.__getitem__)
        theirs = [number for number, owner in enumerate(owners) if owner == fullest]
        owners[min(theirs, key=lambda number: len(groups[number]))] = empty
    return owners
