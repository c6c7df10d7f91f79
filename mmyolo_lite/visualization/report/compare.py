"""The photos of one run among those of another, and what that run found on them."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmyolo_lite.evaluation.detection_errors import Found, Truth, match, overlaps

SAME_BOX = 2.0
"""Pixels that a side of the same object may be off, as annotated or around its mask."""

Entry = Mapping[str, Any]


def partners(images: Sequence[Entry], others: Sequence[Entry]) -> list[Entry | None]:
    """Find the photos of one run in another.

    A photo is the same by its path, made absolute and free of links; else by its file name, where
    that is unique in both runs. Photos of different sizes are never the same.

    Args:
        images: entries of a file of results.
        others: of another.

    Returns:
        For each of `images` its entry in `others`, or None.
    """
    by_path = {_resolved(one): one for one in others if one['path'] is not None}
    by_name = {_name(one): one for one in others}
    count, other_count = (Counter(map(_name, entries)) for entries in (images, others))
    found: list[Entry | None] = []
    for one in images:
        name, partner = _name(one), None
        if name is not None:
            partner = by_path.get(_resolved(one))
            if partner is None and count[name] == other_count[name] == 1:
                partner = by_name[name]
        same = partner is not None and _size(partner) == _size(one)
        found.append(partner if same else None)
    return found


def _name(entry: Entry) -> str | None:
    return None if entry['path'] is None else os.path.basename(entry['path'])


def _size(entry: Entry) -> tuple[int, int]:
    return entry['height'], entry['width']


def _resolved(entry: Entry) -> str:
    try:
        return os.path.realpath(entry['path'])
    except (OSError, ValueError):
        return str(entry['path'])


def joined_classes(runs: Sequence[Sequence[str]]) -> tuple[list[str], list[list[int]]]:
    """Join the classes of runs by name.

    Args:
        runs: names of the classes of each run.

    Returns:
        All names, those of the first run first; for each run the place of each of its classes.

    >>> joined_classes([['cat', 'dog'], ['dog', 'bird']])
    (['cat', 'dog', 'bird'], [[0, 1], [1, 2]])
    """
    names = list(runs[0])
    for run in runs[1:]:
        names += [name for name in dict.fromkeys(run) if name not in names]
    others = [[names.index(name) for name in run] for run in runs[1:]]
    return names, [list(range(len(runs[0]))), *others]


def found_on(entry: Entry, partner: Entry, places: Sequence[int]) -> list[dict[str, Any]]:
    """Return what another run found on a photo, against the true objects of the first run.

    The other run's matches are taken if it was judged by the same objects: as many, in the same
    order, each of the same class and with the same box within :data:`SAME_BOX`. Else its
    detections are matched anew with the objects of the first run, by their boxes alone.

    Args:
        entry: of the photo in the first run; its labels are places among all classes.
        partner: of the same photo in the other run.
        places: of the other run's classes among all.

    Returns:
        ``pred`` of `partner` with labels and matches that fit `entry`.
    """
    found = [one | {'label': places[one['label']]} for one in partner['pred']]
    truth = [one | {'label': places[one['label']]} for one in partner['gt']]
    if _are_same(entry['gt'], truth):
        return found
    matches = _matches(found, entry['gt'])
    return [one | {'match': {'bbox': to}} for one, to in zip(found, matches, strict=True)]


def _are_same(objects: Sequence[Entry], others: Sequence[Entry]) -> bool:
    return len(objects) == len(others) and all(
        one['label'] == other['label']
        and np.abs(np.subtract(one['bbox'], other['bbox'])).max() <= SAME_BOX
        for one, other in zip(objects, others, strict=True)
    )


def _matches(found: Sequence[Entry], objects: Sequence[Entry]) -> list[int]:
    """Return the object that each detection hits with its box, or -1."""
    boxes, true = _xywh(found), _xywh(objects)
    crowd = np.array([bool(one['crowd']) for one in objects], dtype=bool)
    detections = Found(_labels(found), np.array([one['score'] for one in found], dtype=np.float64))
    truth = Truth(_labels(objects), crowd, true[:, 2] * true[:, 3])
    return match(overlaps(boxes, true, crowd), detections, truth).tolist()


def _labels(entries: Sequence[Entry]) -> np.ndarray:
    return np.array([one['label'] for one in entries], dtype=np.int64)


def _xywh(entries: Sequence[Entry]) -> np.ndarray:
    corners = np.array([one['bbox'] for one in entries], dtype=np.float64).reshape(-1, 4)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
