"""Read a COCO annotation file, and the rules of its structure: what breaks one, each rule once.

:func:`read_coco_json` stops at the first defect; the dataset doctor lists them all.
"""

import difflib
import json
import os.path as osp
import reprlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeGuard

from mmyolo_lite.errors import ConfigError, DataError

NEEDED_KEYS = {
    'images': ('id', 'file_name', 'height', 'width'),
    'categories': ('id', 'name'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
}
"""Keys that every entry of each list of the file must have."""
SINGULAR = {'images': 'image', 'categories': 'category', 'annotations': 'annotation'}
LARGEST_NUMBER = 1e15
"""No coordinate, size or area is that large; beyond it whole numbers lose digits as floats."""
_NUMBERS = {int, float}
"""What JSON makes of numbers; a bool is none."""
FEW_LETTERS = 120
# a list of a million numbers or a whole file in place of a number is not written out first
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = FEW_LETTERS
_SHORT.maxlist, _SHORT.maxlevel = 12, 3


class Defect(NamedTuple):
    """Something wrong with one entry of an annotation file, or with the file."""

    code: str
    """Kind of defect, a key of :data:`mmyolo_lite.datasets.doctor.kinds.KINDS`."""
    text: str
    """A sentence without its full stop that names the entry, the value and the cure."""
    part: str = ''
    """List that holds the entry: a key of :data:`NEEDED_KEYS`; empty for the file."""
    position: int = -1
    """Place of the entry in its list, from 0."""


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
    content = parse_coco_json(path, backend_args)
    if for_evaluation:
        content.setdefault('annotations', [])
    for defect in structural_defects(content):
        raise DataError(f'{path}: {defect.text}.')
    if for_evaluation:
        _check_crowd_marks(content['annotations'], path)
    return content


def parse_coco_json(path: str, backend_args: dict | None = None) -> dict:
    """Read a JSON file that holds a dict; nothing else about it is checked.

    Raises:
        DataError: the file is missing, cannot be read, is no JSON or holds something else.
    """
    from mmengine.fileio import get_text  # takes seconds, which converters do without

    if osp.exists(path) and not osp.isfile(path):
        raise DataError(f'The annotation file {path} is no regular file. Give a JSON file.')
    try:
        content = json.loads(get_text(path, backend_args=backend_args))
    except FileNotFoundError as error:
        raise DataError(
            f'Annotation file not found: {path}, seen from the current folder. In a config the '
            'path is data_root/ann_file: check both.'
        ) from error
    except (OSError, ImportError) as error:  # the latter from backends that are not installed
        raise DataError(f'The annotation file {path} cannot be read: {error}.') from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, huge numbers, deep nesting
        raise DataError(
            f'The annotation file {path} is not valid JSON: {error}. Export or convert it again.'
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f'The annotation file {path} holds a {type(content).__name__}, not the dict of '
            '"images", "annotations" and "categories" of the COCO format (a file of results is '
            'such a list).'
        )
    return content


def structural_defects(content: dict) -> Iterator[Defect]:
    """Yield everything for which :func:`read_coco_json` refuses a file, for any parsed JSON dict.

    An entry with a defect is left out of the rules that need what it lacks.
    """
    for name, keys in NEEDED_KEYS.items():
        yield from _defects_of_entries(content, name, keys)
    yield from _defects_of_images(content)
    yield from _defects_of_annotations(content)


def _defects_of_entries(content: dict, name: str, keys: Sequence[str]) -> Iterator[Defect]:
    """Check that the list `name` is there, its entries have all `keys`, and their ids differ."""
    entries = content.get(name)
    if not isinstance(entries, list):
        has = f'it has {few_letters(sorted(content))}'
        yield Defect('missing-list', f'the file has no list "{name}"; {has}')
        return
    seen = set()
    for position, entry in enumerate(entries):
        missing = (
            [key for key in keys if key not in entry] if isinstance(entry, dict) else list(keys)
        )
        if missing:
            has_id = isinstance(entry, dict) and 'id' in entry
            which = f'id {few_letters(entry["id"])}' if has_id else f'position {position}'
            lacks = ', '.join(map(repr, missing))
            text = f'the entry of "{name}" with {which} lacks {lacks}'
            yield Defect('missing-key', text, name, position)
        elif not is_id(entry['id']):
            value = few_letters(entry['id'])
            text = f'an entry of "{name}" has id={value}; it must be a whole number'
            yield Defect('bad-id', text, name, position)
        elif entry['id'] in seen:
            value = few_letters(entry['id'])
            text = f'the id {value} appears twice in "{name}"; ids must be unique'
            yield Defect(f'duplicate-{SINGULAR[name]}-id', text, name, position)
        else:
            seen.add(entry['id'])


def complete_entries(content: dict, name: str) -> Iterator[tuple[int, dict]]:
    """Yield the entries of a list that have all needed keys and an id, with their positions."""
    entries, keys = content.get(name), set(NEEDED_KEYS[name])
    for position, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict) and keys <= entry.keys() and is_id(entry['id']):
            yield position, entry


def _defects_of_images(content: dict) -> Iterator[Defect]:
    for position, image in complete_entries(content, 'images'):
        if isinstance(image['file_name'], str) and _has_size(image):
            continue
        name = few_letters(image['file_name'])
        if not isinstance(image['file_name'], str):
            which = few_letters(image['id'])
            text = f'the image with id {which} has file_name={name}; it must be a text'
            yield Defect('bad-file-name', text, 'images', position)
        else:
            width, height = few_letters(image['width']), few_letters(image['height'])
            text = (
                f'the image {name} (id {few_letters(image["id"])}) has width={width}, '
                f'height={height}; both must be positive numbers'
            )
            yield Defect('bad-image-size', text, 'images', position)


def _has_size(image: dict) -> bool:
    return all(is_number(image[side]) and image[side] > 0 for side in ('width', 'height'))


def _defects_of_annotations(content: dict) -> Iterator[Defect]:
    sizes = {
        image['id']: (image['height'], image['width']) if _has_size(image) else None
        for _, image in complete_entries(content, 'images')
    }
    for position, annotation in complete_entries(content, 'annotations'):
        defect = _defect(annotation, sizes)
        if defect:
            code, ending = defect
            yield annotation_defect(code, ending, annotation, position)


def annotation_defect(code: str, ending: str, annotation: dict, position: int) -> Defect:
    """Return a defect of an annotation that has an id, with the end of a sentence about it."""
    text = f'the annotation with id {few_letters(annotation["id"])} {ending}'
    return Defect(code, text, 'annotations', position)


def _defect(annotation: dict, sizes: dict) -> tuple[str, str] | None:
    """Return what is wrong with one annotation: the code, the end of a sentence; None if nothing.

    Args:
        annotation: an entry with all the needed keys.
        sizes: ``(height, width)`` of each image by its id; None for a broken size.
    """
    category, image = annotation['category_id'], annotation['image_id']
    if not is_id(category):
        value = few_letters(category)
        return 'bad-category-id', f'has category_id={value}; it must be a whole number'
    if not is_id(image) or image not in sizes:
        value = few_letters(image)
        return 'unknown-image', f'belongs to image_id {value}, which is not in "images"'
    box = annotation['bbox']
    if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
        form = 'it must be four finite numbers x, y, width, height'
        return 'bad-box', f'has bbox={few_letters(box)}; {form}'
    if not is_number(annotation['area']):
        value = few_letters(annotation['area'])
        return 'bad-area', f'has area={value}; it must be a finite number, in square pixels'
    if annotation.get('iscrowd', 0) not in (0, 1):
        return 'bad-iscrowd', f'has iscrowd={few_letters(annotation["iscrowd"])}; it must be 0 or 1'
    if annotation.get('iscrowd') and isinstance(annotation.get('segmentation'), dict):
        return None  # no image of this is ever drawn, and files are careless about it
    return defect_of_mask(annotation.get('segmentation'), sizes[image])


def defect_of_mask(mask: Any, size: tuple[float, float] | None) -> tuple[str, str] | None:
    """Return what is wrong with a ``segmentation`` in an image of `size` (height, width).

    Returns:
        The code and the end of a sentence; None if nothing is wrong. The counts of a compressed
        run-length mask are not looked into.
    """
    if mask is None:
        return None
    if isinstance(mask, list):
        if mask and all(map(is_number, mask)):
            return (
                'flat-segmentation',
                f'has the flat segmentation {few_letters(mask)}; it must be a list of rings: '
                'write [[x1, y1, ...]]',
            )
        if all(isinstance(ring, list) and _holds_numbers(ring) for ring in mask):
            return None
    elif isinstance(mask, dict):
        counts, rle_size = mask.get('counts'), mask.get('size')
        if size is not None and rle_size != list(size):
            return (
                'rle-size',
                f'has a run-length mask with size={few_letters(rle_size)}; it must be height and '
                f'width of its image, {list(size)}',
            )
        if isinstance(counts, str):
            return None
        if isinstance(counts, list) and {int}.issuperset(map(type, counts)):
            total = size[0] * size[1] if size else sum(counts)
            if min(counts, default=0) >= 0 and sum(counts) == total:
                return None
            ending = f'has a run-length mask whose counts do not add up to {total} pixels'
            return 'rle-counts', ending
    return (
        'bad-segmentation',
        f'has segmentation={few_letters(mask)}; it must be a list of rings '
        '[[x1, y1, ...], ...] of numbers, or a run-length mask with "size" and "counts"',
    )


def _holds_numbers(ring: list) -> bool:
    """Say whether all values are numbers that fit a float: at once, as files have millions."""
    if not _NUMBERS.issuperset(map(type, ring)):
        return False
    try:
        array('d', ring)
    except OverflowError:
        return False
    return True


def _check_crowd_marks(annotations: Iterable[dict], path: str) -> None:
    lacking = [annotation['id'] for annotation in annotations if 'iscrowd' not in annotation]
    if lacking:
        raise DataError(
            f'{path}: {len(lacking)} annotations lack "iscrowd", which the COCO evaluation needs; '
            f'the first has the id {lacking[0]!r}. Set "iscrowd" to 0 (1 for a crowd).'
        )


def is_number(value: Any) -> TypeGuard[float]:
    """Say whether a value of a JSON file is a finite number of sensible size."""
    return type(value) in _NUMBERS and -LARGEST_NUMBER <= value <= LARGEST_NUMBER


def is_id(value: Any) -> TypeGuard[int | str]:
    """Say whether a value of a JSON file can be an id: a whole number or, in some files, a text."""
    return type(value) in (int, str)


def few_letters(value: Any) -> str:
    """Return a value from outside in the form that messages quote it: one short printable line."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # more digits than Python writes
        text = f'a {type(value).__name__}'
    return text if len(text) <= FEW_LETTERS + 2 else f'{text[:FEW_LETTERS]}...'


def check_classes(classes: Any, where: str = "metainfo['classes']") -> None:
    """Check the form of the configured class names.

    Args:
        classes: what the config gives.
        where: the field, for the message.

    Raises:
        ConfigError: they are no sequence of different, non-empty strings.
    """
    if isinstance(classes, str):
        raise ConfigError(
            f'{where} is the string {classes!r}, not a tuple of names. '
            f'Write classes=({classes!r}, ) with the comma.'
        )
    names = list(classes) if isinstance(classes, Sequence) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f'{where} must be a tuple of at least one name, got {classes!r}')
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f'{where} names {", ".join(map(repr, twice))} more than once')


def check_classes_exist(classes: Sequence[str], categories: Sequence[dict], path: str) -> None:
    """Check that every configured class is a category of the annotation file.

    Raises:
        ConfigError: some are not; the message names both lists and the nearest names.
    """
    names = [category['name'] for category in categories]
    absent = [name for name in classes if name not in names]
    if not absent:
        return
    hints = [name_with_hint(name, names) for name in absent[:5]]
    more = f' and {len(absent) - 5} more' if len(absent) > 5 else ''
    raise ConfigError(
        f'{len(absent)} of the {len(classes)} configured classes are not in the annotation file '
        f'{path}: {", ".join(hints)}{more}. Categories of the file: {shortened(names)}. '
        f'Configured: {shortened(classes)}. Set metainfo=dict(classes=(...)) of this dataset to '
        "the file's names, and num_classes to match."
    )


def name_with_hint(name: str, known: Iterable[Any]) -> str:
    """Return a name that is not known, with those of the known ones that look like it."""
    near = difflib.get_close_matches(name, [str(one) for one in known], n=2)
    return f'{name!r}' + (f' (did you mean {" or ".join(map(repr, near))}?)' if near else '')


def shortened(names: Sequence[str], limit: int = 10) -> str:
    """Return the names in one line, at most `limit` of them, and the count of all."""
    shown = ', '.join(map(repr, names[:limit]))
    return shown if len(names) <= limit else f'{shown}, ... ({len(names)} in all)'
