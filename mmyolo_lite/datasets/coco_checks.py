"""Read and check a COCO annotation file: its defects show before training, with their place."""

import difflib
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from mmengine.fileio import get_text

from mmyolo_lite.errors import ConfigError, DataError

NEEDED_KEYS = {
    'images': ('id', 'file_name', 'height', 'width'),
    'categories': ('id', 'name'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
}
"""Keys that every entry of each list of the file must have."""
_NUMBERS = {int, float}
"""What JSON makes of numbers; a bool is none."""


def read_coco_json(
    path: str, backend_args: dict | None = None, for_evaluation: bool = False
) -> dict:
    """Read a COCO annotation file and check it. Source: spec data.md 1.2, 9.4.

    Args:
        path: the file, local or of an mmengine storage backend.
        backend_args: arguments of the storage backend.
        for_evaluation: accept a file without the list ``annotations``, as for test images, but no
            annotation without ``iscrowd``, which pycocotools needs.

    Returns:
        The file's content; ``annotations`` is there, possibly empty.

    Raises:
        DataError: the file is missing or no JSON, lacks a needed list or key, repeats an id, has an
            annotation of an unknown image, a box that is not four finite numbers, an area that is
            no finite number, a segmentation of unknown form, or an image size that is not positive.
    """
    try:
        content = json.loads(get_text(path, backend_args=backend_args))
    except FileNotFoundError as error:
        raise DataError(
            f'Annotation file not found: {path}. Check data_root and ann_file in the config; the '
            'path is data_root/ann_file, seen from the current folder.'
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            f'The annotation file {path} is not valid JSON: {error}. Export or convert it again.'
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f'The annotation file {path} holds a {type(content).__name__}, not the dict of '
            '"images", "annotations" and "categories" of the COCO format (a file of results is '
            'such a list).'
        )
    if for_evaluation:
        content.setdefault('annotations', [])
    for name, keys in NEEDED_KEYS.items():
        _check_entries(content, name, keys, path)
    _check_images(content['images'], path)
    _check_annotations(content['annotations'], content['images'], path)
    if for_evaluation:
        _check_crowd_marks(content['annotations'], path)
    return content


def _check_entries(content: dict, name: str, keys: Sequence[str], path: str) -> None:
    """Check that the list `name` is there, its entries have all `keys`, and their ids differ."""
    entries = content.get(name)
    if not isinstance(entries, list):
        raise DataError(
            f'The annotation file {path} has no list "{name}"; it has {sorted(content)}.'
        )
    seen = set()
    for position, entry in enumerate(entries):
        missing = (
            [key for key in keys if key not in entry] if isinstance(entry, dict) else list(keys)
        )
        if missing:
            has_id = isinstance(entry, dict) and 'id' in entry
            which = f'id {entry["id"]}' if has_id else f'position {position}'
            raise DataError(
                f'{path}: the entry of "{name}" with {which} lacks {", ".join(map(repr, missing))}.'
            )
        if not isinstance(entry['id'], (int, str)):
            raise DataError(
                f'{path}: an entry of "{name}" has id={entry["id"]!r}; it must be a whole number.'
            )
        if entry['id'] in seen:
            raise DataError(
                f'{path}: the id {entry["id"]!r} appears twice in "{name}"; ids must be unique.'
            )
        seen.add(entry['id'])


def _check_images(images: Iterable[dict], path: str) -> None:
    for image in images:
        if not isinstance(image['file_name'], str):
            raise DataError(
                f'{path}: the image with id {image["id"]!r} has file_name={image["file_name"]!r}; '
                'it must be a text.'
            )
        size = (image['width'], image['height'])
        if not all(_is_number(side) and side > 0 for side in size):
            raise DataError(
                f'{path}: the image {image["file_name"]!r} (id {image["id"]}) has '
                f'width={size[0]!r}, height={size[1]!r}; both must be positive numbers.'
            )


def _check_annotations(annotations: Iterable[dict], images: Iterable[dict], path: str) -> None:
    sizes = {image['id']: (image['height'], image['width']) for image in images}
    for annotation in annotations:
        defect = _defect(annotation, sizes)
        if defect:
            raise DataError(f'{path}: the annotation with id {annotation["id"]!r} {defect}.')


def _defect(annotation: dict, sizes: dict) -> str | None:
    """Return what is wrong with one annotation, as the end of a sentence; None if nothing is.

    Args:
        annotation: an entry with all the needed keys.
        sizes: ``(height, width)`` of each image by its id.
    """
    category, image = annotation['category_id'], annotation['image_id']
    if not isinstance(category, (int, str)):
        return f'has category_id={category!r}; it must be a whole number'
    if not isinstance(image, (int, str)) or image not in sizes:
        return f'belongs to image_id {image!r}, which is not in "images"'
    box = annotation['bbox']
    if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
        return f'has bbox={_few_letters(box)}; it must be four finite numbers x, y, width, height'
    if not _is_number(annotation['area']):
        return f'has area={annotation["area"]!r}; it must be a finite number, in square pixels'
    if annotation.get('iscrowd', 0) not in (0, 1):
        return f'has iscrowd={annotation["iscrowd"]!r}; it must be 0 or 1'
    if annotation.get('iscrowd') and isinstance(annotation.get('segmentation'), dict):
        return None  # no image of this is ever drawn, and files are careless about it
    return _defect_of_mask(annotation.get('segmentation'), sizes[image])


def _defect_of_mask(mask: Any, size: tuple[float, float]) -> str | None:
    """Return what is wrong with a ``segmentation`` in an image of `size` (height, width)."""
    if mask is None:
        return None
    if isinstance(mask, list):
        if mask and all(map(_is_number, mask)):
            return (
                f'has the flat segmentation {_few_letters(mask)}; it must be a list of rings: '
                'write [[x1, y1, ...]]'
            )
        # the types of all values are compared at once: files have millions of them
        if all(isinstance(ring, list) and _NUMBERS.issuperset(map(type, ring)) for ring in mask):
            return None
    elif isinstance(mask, dict):
        counts, rle_size = mask.get('counts'), mask.get('size')
        if rle_size != list(size):
            return (
                f'has a run-length mask with size={_few_letters(rle_size)}; it must be height and '
                f'width of its image, {list(size)}'
            )
        if isinstance(counts, str):
            return None
        if isinstance(counts, list) and {int}.issuperset(map(type, counts)):
            total = size[0] * size[1]
            if min(counts, default=0) >= 0 and sum(counts) == total:
                return None
            return f'has a run-length mask whose counts do not add up to {total} pixels'
    return (
        f'has segmentation={_few_letters(mask)}; it must be a list of rings '
        '[[x1, y1, ...], ...] of numbers, or a run-length mask with "size" and "counts"'
    )


def _check_crowd_marks(annotations: Iterable[dict], path: str) -> None:
    lacking = [annotation['id'] for annotation in annotations if 'iscrowd' not in annotation]
    if lacking:
        raise DataError(
            f'{path}: {len(lacking)} annotations lack "iscrowd", which the COCO evaluation needs; '
            f'the first has the id {lacking[0]!r}. Set "iscrowd" to 0 (1 for a crowd).'
        )


def _is_number(value: Any) -> bool:
    return type(value) is float and math.isfinite(value) or type(value) is int


def _few_letters(value: Any, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else f'{text[:limit]}...'


def warnings_of(content: dict, path: str) -> list[str]:
    """Return sentences about defects that do not stop training but spoil results.

    Args:
        content: what :func:`read_coco_json` returned.
        path: name of the file in the sentences.
    """
    annotations = content['annotations']
    known = {category['id'] for category in content['categories']}
    sentences = []
    if any(annotation['id'] == 0 for annotation in annotations):
        sentences.append(
            f'{path}: an annotation has the id 0. pycocotools takes that id for "not matched", '
            'so this object always counts as missed in the evaluation. Number annotations from 1.'
        )
    strangers = sum(annotation['category_id'] not in known for annotation in annotations)
    if strangers:
        sentences.append(
            f'{path}: {strangers} annotations have a category_id that is not in "categories"; '
            'they are left out.'
        )
    traced = sum(
        isinstance(a.get('segmentation'), dict) and not a.get('iscrowd') for a in annotations
    )
    if traced:
        sentences.append(
            f'{path}: {traced} objects have run-length masks; training uses their outer '
            'contours, without holes.'
        )
    unmarked = sum('iscrowd' not in annotation for annotation in annotations)
    if unmarked:
        sentences.append(
            f'{path}: {unmarked} annotations lack "iscrowd", which the COCO evaluation needs; '
            'set it to 0.'
        )
    return sentences


def check_classes(classes: Any) -> None:
    """Check the form of the configured class names.

    Raises:
        ConfigError: they are no sequence of different, non-empty strings.
    """
    if isinstance(classes, str):
        raise ConfigError(
            f"metainfo['classes'] is the text {classes!r}, but must be a tuple of names; for "
            f'one class write classes=({classes!r}, ) with the comma.'
        )
    names = list(classes) if isinstance(classes, Sequence) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(
            f"metainfo['classes'] must be a tuple of at least one name, got {classes!r}"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"metainfo['classes'] names {', '.join(map(repr, twice))} more than once")


def check_classes_exist(classes: Sequence[str], categories: Sequence[dict], path: str) -> None:
    """Check that every configured class is a category of the annotation file.

    Raises:
        ConfigError: some are not; the message names both lists and the nearest names.
    """
    names = [category['name'] for category in categories]
    absent = [name for name in classes if name not in names]
    if not absent:
        return
    hints = []
    for name in absent[:5]:
        near = difflib.get_close_matches(name, list(map(str, names)), n=2)
        hints.append(
            f'{name!r}' + (f' (did you mean {" or ".join(map(repr, near))}?)' if near else '')
        )
    more = f' and {len(absent) - 5} more' if len(absent) > 5 else ''
    raise ConfigError(
        f'{len(absent)} of the {len(classes)} configured classes are not in the annotation file '
        f'{path}: {", ".join(hints)}{more}. Categories of the file: {shortened(names)}. '
        f'Configured: {shortened(classes)}. Set metainfo=dict(classes=(...)) of this dataset to '
        "the file's names, and num_classes to match."
    )


def shortened(names: Sequence[str], limit: int = 10) -> str:
    """Return the names in one line, at most `limit` of them, and the count of all."""
    shown = ', '.join(map(repr, names[:limit]))
    return shown if len(names) <= limit else f'{shown}, ... ({len(names)} in all)'
