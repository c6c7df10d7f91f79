"""Check the sets of a training together: each by itself, then against one another."""

import os.path as osp
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mmyolo_lite.datasets.coco_checks import NEEDED_KEYS, Defect, few_letters, parse_coco_json
from mmyolo_lite.datasets.doctor.annotations import (
    Entries,
    Sound,
    class_defects,
    examine,
    summary_of,
)
from mmyolo_lite.datasets.doctor.findings import Report
from mmyolo_lite.datasets.doctor.images import ImageFacts, image_file_defects, look_at_all
from mmyolo_lite.datasets.doctor.masks import mask_defects
from mmyolo_lite.datasets.statistics import FEW_BOXES
from mmyolo_lite.errors import DataError
from mmyolo_lite.ops.anchors import fit_to_input

TINY_SIDE = 2.0
"""An object whose longer side is under so many pixels of the network input is hardly seen."""
SMALL_SIDE = 8.0
"""The finest prior grid has cells of so many pixels ..."""
SMALL_SHARE = 0.5
"""... and a set of which more than this share is smaller in a side is one of small objects."""
IMBALANCE_RATIO = 100
TRAIN = 'train'


@dataclass(frozen=True)
class CheckedSet:
    """One set of images with its annotation file."""

    ann_file: str
    """Path of the annotation file."""
    image_dir: str | None = None
    """Folder that file names start from; None leaves the images unlooked at."""
    name: str = ''
    """Name in the report, such as ``train``."""
    roles: tuple[str, ...] = ()
    """What it is used for: of ``train``, ``val`` and ``test``; empty for a file alone."""
    classes: tuple[str, ...] | None = None
    """Configured class names; None for all categories of the file."""
    scale_wh: tuple[int, int] | None = None
    """Width and height of the network input that images are fitted into, in pixels."""


@dataclass
class _Examined:
    """A set and what was learnt about it."""

    one: CheckedSet
    content: dict
    sound: Sound
    paths: list[str] = field(default_factory=list)
    facts: list[ImageFacts] = field(default_factory=list)

    def counts(self) -> Counter:
        """Return the objects of each category, by name, crowds left out."""
        categories = self.sound.categories.values
        names = {c['id']: c['name'] for c in categories if isinstance(c['name'], str)}
        return Counter(
            names[a['category_id']]
            for a in self.sound.annotations.values
            if a['category_id'] in names and not a.get('iscrowd')
        )


class _Image(NamedTuple):
    owner: _Examined
    position: int
    name: str


def check_sets(sets: Sequence[CheckedSet], with_images: bool = True) -> Report:
    """Look for everything that is wrong with sets of images and annotations.

    Args:
        sets: those of one training, or one file.
        with_images: decode the image files too; otherwise only names are compared.
    """
    report = Report()
    examined = []
    for one in sets:
        try:
            content = parse_coco_json(one.ann_file)
        except DataError as error:
            report.add(Defect('unreadable-file', str(error).rstrip('.')), None, one.name)
            continue
        examined.append(examine_set(report, one, content, with_images))
    report_pairs(report, examined)
    return report


def examine_set(
    report: Report, one: CheckedSet, content: dict, with_images: bool = True
) -> _Examined:
    """Add what is wrong with one parsed set to `report`."""
    if one.roles == ('test',):
        content = {'annotations': [], **content}  # images to predict for have none
    sound, defects = examine(content)
    report.extend(defects, content, one.name)
    report.sets.append(summary_of(content, one.ann_file, one.name))
    known = _Examined(one, content, sound)
    report.extend(_emptiness_defects(known), content, one.name)
    report.extend(mask_defects(known.sound), content, one.name)
    report.extend(class_defects(known.sound, one.classes), content, one.name)
    if TRAIN in one.roles:
        report.extend(_balance_defects(known), content, one.name)
    if one.scale_wh is not None:
        report.extend(_size_defects(known.sound, one.scale_wh), content, one.name)
    if one.image_dir is not None:
        names = [image['file_name'] for image in known.sound.images.values]
        known.paths = [osp.join(one.image_dir, name) for name in names]
        if with_images:
            known.facts = look_at_all(known.paths)
            defects = image_file_defects(known.sound.images, known.facts)
            report.extend(defects, content, one.name)
    return known


def _emptiness_defects(known: _Examined) -> Iterator[Defect]:
    """Yield that there is nothing to train on, in a training set or a file alone."""
    if not all(isinstance(known.content.get(name), list) for name in NEEDED_KEYS):
        return  # a list that is missing is named as such
    if not known.sound.images.values:
        yield Defect('no-images', 'the file has no image')
    elif known.one.roles in ((), (TRAIN,)) and not any(
        count
        for name, count in known.counts().items()
        if known.one.classes is None or name in known.one.classes
    ):
        number = len(known.one.classes or known.sound.categories.values)
        yield Defect('no-objects', f'none of {number} classes has an object')


def _balance_defects(known: _Examined) -> Iterator[Defect]:
    """Yield what the numbers of objects of each class tell about a training set."""
    counts = known.counts()
    names = known.one.classes or [name for name, count in counts.items() if count]
    present = {name: counts[name] for name in names if counts[name]}
    if not present:
        return
    for name in names:
        if not counts[name]:
            yield Defect('class-without-objects', f'{few_letters(name)} has no object')
        elif counts[name] < FEW_BOXES:
            yield Defect('rare-class', f'{few_letters(name)} has {counts[name]} objects')
    most, least = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
    if present[most] > IMBALANCE_RATIO * present[least]:
        text = (
            f'{few_letters(most)} has {present[most]} objects, '
            f'{few_letters(least)} {present[least]}'
        )
        yield Defect('class-imbalance', text)


def _size_defects(sound: Sound, scale_wh: tuple[int, int]) -> Iterator[Defect]:
    """Yield objects that are too small once the image fits into `scale_wh`."""
    images_wh = {image['id']: (image['width'], image['height']) for image in sound.images.values}
    counted = [
        (position, annotation)
        for position, annotation in zip(*sound.annotations, strict=True)
        if not annotation.get('iscrowd') and min(annotation['bbox'][2:]) > 0
    ]
    if not counted:
        return
    boxes_wh = fit_to_input(
        np.array([annotation['bbox'][2:] for _, annotation in counted], dtype=np.float64),
        np.array([images_wh[annotation['image_id']] for _, annotation in counted]),
        scale_wh,
    )
    for (position, annotation), (width, height) in zip(counted, boxes_wh.tolist(), strict=True):
        if max(width, height) < TINY_SIDE:
            text = (
                f'the annotation with id {few_letters(annotation["id"])} is {width:.1f} x '
                f'{height:.1f} pixels in an input of {scale_wh[0]} x {scale_wh[1]}'
            )
            yield Defect('tiny-object', text, 'annotations', position)
    small, total = int((boxes_wh.min(axis=1) < SMALL_SIDE).sum()), len(counted)
    if small > SMALL_SHARE * total:
        yield Defect('small-objects', f'{small} of {total} have a side under {SMALL_SIDE:g} pixels')


def report_pairs(report: Report, examined: Sequence[_Examined]) -> None:
    """Add to `report` what training sets share with sets to validate or test with."""
    training = [known for known in examined if TRAIN in known.one.roles]
    judging = [known for known in examined if set(known.one.roles) - {TRAIN}]
    files = {osp.realpath(known.one.ann_file) for known in training}
    taught = {name for known in training for name, count in known.counts().items() if count}
    paths, pictures = _index(training)
    for known in judging:
        if osp.realpath(known.one.ann_file) in files:
            text = f'{known.one.ann_file} serves training too'
            report.add(Defect('same-annotation-file', text), None, known.one.name)
            continue
        report.extend(_leaks(known, paths, pictures), known.content, known.one.name)
        counts = known.counts() if training else Counter()
        for name in sorted(set(counts) - taught):
            if known.one.classes is None or name in known.one.classes:
                text = f'{few_letters(name)} has {counts[name]} objects here'
                report.add(Defect('class-only-in-val', text), None, known.one.name)


def _index(training: Sequence[_Examined]) -> tuple[dict[str, _Image], dict[bytes, _Image]]:
    """Return the training images by real path and by digest."""
    paths: dict[str, _Image] = {}
    pictures: dict[bytes, _Image] = {}
    for known in training:
        images: Entries = known.sound.images
        for i, path in enumerate(known.paths):
            image = _Image(known, images.positions[i], images.values[i]['file_name'])
            paths[_real(path)] = image
            if known.facts and known.facts[i].digest:
                pictures[known.facts[i].digest] = image
    return paths, pictures


def _leaks(
    known: _Examined, paths: dict[str, _Image], pictures: dict[bytes, _Image]
) -> Iterator[Defect]:
    for i, path in enumerate(known.paths):
        position = known.sound.images.positions[i]
        name = few_letters(known.sound.images.values[i]['file_name'])
        same = paths.get(_real(path))
        if same is not None:
            text = f'{name} is {few_letters(same.name)} of {same.owner.one.name}'
            yield Defect('leak-file', text, 'images', position)
            continue
        twin = pictures.get(known.facts[i].digest) if known.facts else None
        if twin is not None:
            text = f'{name} shows the same as {few_letters(twin.name)} of {twin.owner.one.name}'
            yield Defect('leak-content', text, 'images', position)


def _real(path: str) -> str:
    try:
        return osp.realpath(path)
    except ValueError:  # a letter that no path can have
        return path
