"""Read and check a COCO annotation file, so that its defects show before training and name the
place.
"""

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


def read_coco_json(
    path: str, backend_args: dict | None = None, may_lack_annotations: bool = False
) -> dict:
    """Read a COCO annotation file and check it. Source: spec data.md 1.2, 9.4.

    Args:
        path: the file, local or of an mmengine storage backend.
        backend_args: arguments of the storage backend.
        may_lack_annotations: accept a file without the list ``annotations``, as for test images.

    Returns:
        The file's content; ``annotations`` is there, possibly empty.

    Raises:
        DataError: the file is missing or no JSON, lacks a needed list or key, repeats an id, has an
            annotation of an unknown image, a box that is not four finite numbers, or an image size
            that is not positive.
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
    if may_lack_annotations:
        content.setdefault('annotations', [])
    for name, keys in NEEDED_KEYS.items():
        _check_entries(content, name, keys, path)
    _check_images(content['images'], path)
    _check_annotations(content['annotations'], {image['id'] for image in content['images']}, path)
    return content


def _check_entries(content: dict, name: str, keys: Sequence[str], path: str) -> None:
    """Check that the list `name` is there, that its entries have all `keys`, and that their ids
    differ.
    """
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
        size = (image['width'], image['height'])
        if not all(isinstance(side, (int, float)) and side > 0 for side in size):
            raise DataError(
                f'{path}: the image {image["file_name"]!r} (id {image["id"]}) has '
                f'width={size[0]!r}, height={size[1]!r}; both must be positive numbers.'
            )


def _check_annotations(annotations: Iterable[dict], image_ids: set, path: str) -> None:
    for annotation in annotations:
        if not isinstance(annotation['category_id'], (int, str)):
            raise DataError(
                f'{path}: the annotation with id {annotation["id"]!r} has '
                f'category_id={annotation["category_id"]!r}; it must be a whole number.'
            )
        if (
            not isinstance(annotation['image_id'], (int, str))
            or annotation['image_id'] not in image_ids
        ):
            raise DataError(
                f'{path}: the annotation with id {annotation["id"]!r} belongs to image_id '
                f'{annotation["image_id"]!r}, which is not in "images".'
            )
        if not _is_box(annotation['bbox']):
            raise DataError(
                f'{path}: the annotation with id {annotation["id"]!r} has '
                f'bbox={annotation["bbox"]!r}; it must be four finite numbers x, y, width, '
                'height.'
            )


def _is_box(box: Any) -> bool:
    try:
        return len(box) == 4 and math.isfinite(sum(box))
    except TypeError:
        return False


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
            'so this object always counts as missed in the evaluation. Number annotations from '
            '1.'
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
        f'{path}: '
        f'{", ".join(hints)}{more}. Categories of the file: {shortened(names)}. Configured: '
        f"{shortened(classes)}. Set metainfo=dict(classes=(...)) of this dataset to the file's "
        'names, and '
        'num_classes '
        'to match.'
    )


def shortened(names: Sequence[str], limit: int = 10) -> str:
    """Return the names in one line, at most `limit` of them, and the count of all."""
    shown = ', '.join(map(repr, names[:limit]))
    return shown if len(names) <= limit else f'{shown}, ... ({len(names)} in all)'
