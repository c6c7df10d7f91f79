"""Write a mended copy of an annotation file, in which the doctor finds no error."""

import math
import os.path as osp
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmyolo_lite.datasets.coco_checks import (
    NEEDED_KEYS,
    SINGULAR,
    Defect,
    is_number,
    parse_coco_json,
)
from mmyolo_lite.datasets.doctor.annotations import examine, summary_of
from mmyolo_lite.datasets.doctor.findings import Report
from mmyolo_lite.datasets.doctor.images import ImageFacts, image_file_defects, look_at_all
from mmyolo_lite.datasets.doctor.kinds import KINDS, Severity
from mmyolo_lite.datasets.doctor.masks import mask_defects
from mmyolo_lite.datasets.doctor.repair import AnnotationMender, entry_id, number
from mmyolo_lite.datasets.doctor.sets import CheckedSet
from mmyolo_lite.datasets.file_io import write_json
from mmyolo_lite.errors import DataError

ROUNDS = 5
"""Dropping an image leaves its annotations without one, and so on; that ends soon."""


@dataclass
class Fixed:
    """What became of an annotation file."""

    path: str
    content: dict
    actions: Counter[str]
    """How often something was changed or dropped, by what and why."""
    report: Report
    """What the doctor finds in the copy."""

    def lines(self) -> list[str]:
        """Return as text what was done, and how the copy is."""
        done = [f'  {action}: {count}' for action, count in sorted(self.actions.items())]
        found = self.report.one_line().removeprefix('dataset check: ')
        return [f'mended copy {found}', *(done or ['  nothing was changed'])]


def fix_set(one: CheckedSet, out: Path, with_images: bool = True) -> Fixed:
    """Write a mended copy of a set's annotation file; it appears whole or not at all.

    What can be mended is; what cannot be is dropped: annotations without an image or a category,
    without a usable ring or box, images whose file is missing or damaged (if images are looked at).
    ``info``, ``licenses`` and other keys stay.

    Args:
        one: the set.
        out: the file to write; it is replaced if it exists.
        with_images: look at the image files too, if the set names their folder.

    Raises:
        DataError: the file cannot be read, no image is left, or the copy cannot be written.
    """
    content = parse_coco_json(one.ann_file)
    try:
        fixed = mend(content, str(out), one.image_dir if with_images else None)
    except RecursionError as error:
        raise DataError(f'{one.ann_file} is nested too deeply to be mended.') from error
    if not fixed.content['images']:
        raise DataError(
            f'{one.ann_file}: no image would be left, so {out} is not written. The reasons: '
            f'{", ".join(f"{action}: {count}" for action, count in fixed.actions.most_common(5))}.'
        )
    write_json(fixed.content, out)
    return fixed


def mend(content: dict, path: str, image_dir: str | None = None) -> Fixed:
    """Mend a parsed annotation file.

    Args:
        content: any JSON dict; it is not changed.
        path: name of the copy in the report.
        image_dir: folder of the image files; None leaves them unlooked at.
    """
    mender = _FileMender(content, image_dir)
    mended = mender.mend()
    report = Report()
    for _ in range(ROUNDS):
        report = Report()
        errors: dict[str, dict[int, str]] = defaultdict(dict)
        for defect in _defects(mended, mender.facts):
            report.add(defect, mended)
            if KINDS[defect.code].severity == Severity.ERROR:
                errors[defect.part].setdefault(defect.position, defect.code)
        if not errors:
            break
        for name, positions in errors.items():
            for code in positions.values():
                mender.actions[f'{name} dropped, {code}'] += 1
            mended[name] = [e for i, e in enumerate(mended[name]) if i not in positions]
    report.sets.append(summary_of(mended, path))
    return Fixed(path, mended, mender.actions, report)


def _defects(content: dict, facts: dict[str, ImageFacts]) -> Iterator[Defect]:
    sound, defects = examine(content)
    yield from defects
    yield from mask_defects(sound)
    if facts:
        of_images = [facts[image['file_name']] for image in sound.images.values]
        yield from image_file_defects(sound.images, of_images)


class _FileMender:
    """The state of mending one file: what was done, and the ids that entries are known by."""

    def __init__(self, content: dict, image_dir: str | None) -> None:
        self.content, self.image_dir = content, image_dir
        self.actions: Counter[str] = Counter()
        self.facts: dict[str, ImageFacts] = {}
        # the id that remains, by the id of an entry of the same name
        self.ids: dict[str, dict[Any, Any]] = {name: {} for name in NEEDED_KEYS}
        self.stated: dict[Any, tuple[float, float]] = {}

    def mend(self) -> dict:
        """Return a mended copy of the content."""
        copy = {
            key: value if key in NEEDED_KEYS else self._finite(value)
            for key, value in self.content.items()
        }
        categories = self._named_entries('categories', 'name')
        images = self._named_entries('images', 'file_name')
        if self.image_dir is not None:
            names = [image['file_name'] for image in images]
            paths = [osp.join(self.image_dir, name) for name in names]
            self.facts = dict(zip(names, look_at_all(paths), strict=True))
        images = [image for image in images if self._mend_image(image)]
        annotations = self._annotations({image['id']: image for image in images})
        return {**copy, 'images': images, 'annotations': annotations, 'categories': categories}

    def _dicts(self, name: str) -> Iterator[dict]:
        """Yield copies of the entries of a list that are dicts."""
        entries = self.content.get(name)
        if not isinstance(entries, list):
            self.actions[f'list added: {name}'] += 1
            return
        for entry in entries:
            if isinstance(entry, dict):
                yield self._finite(entry, but=('segmentation', 'bbox', 'area'))
            else:
                self.actions[f'{name} dropped, missing-key'] += 1

    def _named_entries(self, part: str, key: str) -> list[dict]:
        """Return images or categories with ids and names that differ; equal names are merged."""
        kept: list[dict] = []
        by_name: dict[str, Any] = {}
        for entry in self._dicts(part):
            name: Any = entry.get(key)
            number_of_entry = entry_id(entry.get('id'))
            if part == 'images' and isinstance(name, str):
                name = self._with_slashes(name)
            if key == 'name' and is_number(name):
                name = str(name)
                self.actions[f'{part} changed, name turned into a text'] += 1
            reason = ''
            if not isinstance(name, str) or not name:
                reason = f'bad-{"file" if part == "images" else SINGULAR[part]}-name'
            elif number_of_entry is None:
                reason = 'bad-id'
            elif number_of_entry in self.ids[part]:
                reason = f'duplicate-{SINGULAR[part]}-id'
            if reason:
                self.actions[f'{part} dropped, {reason}'] += 1
                continue
            self.ids[part][number_of_entry] = by_name.setdefault(name, number_of_entry)
            if by_name[name] != number_of_entry:
                self.actions[f'{part} merged, same name'] += 1
                continue
            entry.update({'id': number_of_entry, key: name})
            kept.append(entry)
        return kept

    def _with_slashes(self, name: str) -> str:
        """Return a file name of Windows in the form that finds the file, if that does."""
        slashed = name.replace('\\', '/')
        if slashed == name or self.image_dir is None:
            return name
        if osp.exists(osp.join(self.image_dir, name)):
            return name
        if not osp.exists(osp.join(self.image_dir, slashed)):
            return name
        self.actions['images changed, backslashes of the file name'] += 1
        return slashed

    def _mend_image(self, image: dict) -> bool:
        """Mend the size of an image in place; return whether the image can stay."""
        fact = self.facts.get(image['file_name'])
        if fact is not None and fact.code:
            self.actions[f'images dropped, {fact.code}'] += 1
            return False
        size = tuple(number(image.get(side)) for side in ('width', 'height'))
        is_stated = all(is_number(side) and side > 0 for side in size)
        true = fact.loaded_wh if fact is not None else size
        if is_stated:
            self.stated[image['id']] = (float(size[0]), float(size[1]))
        elif fact is None:
            self.actions['images dropped, bad-image-size'] += 1
            return False
        if true != (image.get('width'), image.get('height')):
            self.actions['images changed, size'] += 1
        image['width'], image['height'] = true
        return True

    def _annotations(self, images: dict[Any, dict]) -> list[dict]:
        menders = {
            image_id: AnnotationMender(
                (image['width'], image['height']),
                self.facts.get(image['file_name']),
                self.stated.get(image_id),
                self.actions,
            )
            for image_id, image in images.items()
        }
        kept: list[dict] = []
        seen: set[tuple] = set()
        for annotation in self._dicts('annotations'):
            reason = self._connect(annotation, images)
            if not reason:
                reason = menders[annotation['image_id']].mend(annotation)
            box = annotation.get('bbox')
            if not reason and isinstance(box, list) and all(map(is_number, box)):
                key = (annotation['image_id'], annotation['category_id'], *box)
                reason = 'duplicate-object' if key in seen else ''
                seen.add(key)
            if reason:
                self.actions[f'annotations dropped, {reason}'] += 1
            else:
                kept.append(annotation)
        self._renumber(kept)
        return kept

    def _connect(self, annotation: dict, images: dict[Any, dict]) -> str:
        """Write the ids of image and category that remain; return why that is impossible."""
        for key, part in (('image_id', 'images'), ('category_id', 'categories')):
            found = self.ids[part].get(entry_id(annotation.get(key)))
            if found is None or (part == 'images' and found not in images):
                return f'unknown-{SINGULAR[part]}'
            if annotation[key] != found or type(annotation[key]) is not type(found):
                self.actions[f'annotations changed, {key}'] += 1
            annotation[key] = found
        return ''

    def _renumber(self, annotations: list[dict]) -> None:
        """Give ids to annotations whose own is missing, 0 or taken."""
        taken = {entry_id(annotation.get('id')) for annotation in annotations}
        following = max((one for one in taken if isinstance(one, int)), default=0) + 1
        used: set[Any] = {None, 0}
        for annotation in annotations:
            own = entry_id(annotation.get('id'))
            if own in used:
                own, following = max(following, 1), max(following, 1) + 1
                self.actions['annotations changed, id'] += 1
            used.add(own)
            annotation['id'] = own

    def _finite(self, value: Any, but: tuple[str, ...] = ()) -> Any:
        """Return a copy with None in place of NaN and infinity, which JSON does not have."""
        if isinstance(value, dict):
            return {k: v if k in but else self._finite(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self._finite(one) for one in value]
        if isinstance(value, float) and not math.isfinite(value):
            self.actions['numbers that are not finite emptied'] += 1
            return None
        return value
