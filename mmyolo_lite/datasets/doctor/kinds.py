"""Everything the dataset doctor knows: each kind of finding, how bad it is, and what to do."""

from enum import IntEnum
from typing import NamedTuple


class Severity(IntEnum):
    """How bad a finding is; the value is the exit code of a check in which nothing is worse."""

    INFO = 0
    """Worth knowing: nothing is wrong."""
    WARNING = 1
    """Doubtful, or something is left out of training."""
    ERROR = 2
    """Training or evaluation stops, or learns and measures something wrong."""


class Kind(NamedTuple):
    """One kind of finding."""

    severity: Severity
    meaning: str
    remedy: str


FIX = 'check_dataset.py --fix does it'
_IDS_DIFFER = f'number the entries anew; {FIX}'

_ERRORS = {
    # the file
    'unreadable-file': ('the annotation file cannot be read as COCO', 'export or convert it again'),
    'missing-list': ('a list of the COCO format is missing', 'export or convert the file again'),
    'missing-key': ('an entry lacks a key that the format needs', f'add or remove it; {FIX}'),
    'bad-id': ('an id is no whole number', _IDS_DIFFER),
    'duplicate-image-id': ('two images have the same id', f'keep one; {FIX}'),
    'duplicate-annotation-id': ('two annotations have the same id', _IDS_DIFFER),
    'duplicate-category-id': ('two categories have the same id', f'keep one; {FIX}'),
    'bad-file-name': ('the file name of an image is no text', f'correct or remove it; {FIX}'),
    'bad-image-size': ('width or height of an image are no positive numbers', f'correct; {FIX}'),
    'bad-category-name': ('the name of a category is no text', f'correct or remove it; {FIX}'),
    # annotations
    'unknown-image': ('an annotation belongs to no image of the file', f'remove it; {FIX}'),
    'unknown-category': (
        'an annotation has a category that the file lacks; it is left out',
        f'add the category, or remove the annotation; {FIX}',
    ),
    'bad-category-id': ('the category of an annotation is no whole number', f'correct; {FIX}'),
    'bad-iscrowd': ('iscrowd is neither 0 nor 1', f'set it to 0, 1 for a crowd; {FIX}'),
    'bad-box': ('a box is not four finite numbers', f'correct or remove it; {FIX}'),
    'bad-area': ('an area is no finite number', f'compute it from the mask or the box; {FIX}'),
    'area-zero': ('an area is zero or less; training leaves the object out', f'compute it; {FIX}'),
    'box-empty': (
        'a box has no width or no height; training leaves the object out',
        f'correct or remove it (COCO boxes are x, y, width, height); {FIX}',
    ),
    'box-off-image': (
        'a box lies wholly outside its image; training leaves the object out',
        f'correct or remove it (COCO boxes are x, y, width, height in pixels); {FIX}',
    ),
    # masks
    'flat-segmentation': ('a polygon is not in a list of rings', f'write [[x1, y1, ...]]; {FIX}'),
    'bad-segmentation': ('a segmentation is no list of rings, no RLE', f'correct it; {FIX}'),
    'polygon-too-short': ('a ring has fewer than three points', f'draw it again; {FIX}: removes'),
    'polygon-odd': ('a ring has an odd number of coordinates', f'draw it again; {FIX}: removes'),
    'polygon-not-finite': ('a ring holds NaN or infinity', f'draw it again; {FIX}: removes'),
    'polygon-flat': ('a ring encloses no area', f'draw it again; {FIX}: removes'),
    'rle-size': ('the size of a run-length mask is not that of its image', 'convert it again'),
    'rle-counts': ('the runs of a run-length mask do not fill its image', 'convert it again'),
    'rle-broken': ('a compressed run-length mask cannot be decoded', 'convert it again'),
    'rle-empty': ('a run-length mask has no pixel', f'remove it; {FIX}'),
    # image files
    'image-missing': ('an image file does not exist', f'check the folder, or remove it; {FIX}'),
    'image-empty': ('an image file has no content', f'copy it again, or remove it; {FIX}'),
    'image-unreadable': ('a file is no image', f'replace or remove it; {FIX}'),
    'image-truncated': ('an image breaks off', f'copy it again, or remove it; {FIX}'),
    'image-too-large': ('an image has more pixels than is safe to decode', 'make it smaller'),
    'size-mismatch': (
        'the size in the annotation file is not that of the image: masks lie elsewhere',
        f'annotate the file that is trained on; {FIX}',
    ),
    'size-unturned': (
        'the annotation file ignores the EXIF orientation of the image: masks are turned',
        f'save the image without EXIF, or turn the annotations; {FIX}',
    ),
    # sets
    'no-images': ('the annotation file lists no image', 'export or convert the file again'),
    'no-objects': ('a training set has no object of a configured class', 'check metainfo.classes'),
    'class-not-in-file': (
        'a configured class is no category of the annotation file',
        'correct metainfo.classes and num_classes',
    ),
    'leak-file': ('a training image is also used to validate or test', 'split the set again'),
    'leak-content': (
        'a training image and one to validate or test show the same picture',
        'keep copies and frames together, as coco_split.py --group-by does',
    ),
}

_WARNINGS = {
    'id-zero': (
        'an annotation has the id 0, which pycocotools takes for "not matched": the object always '
        'counts as missed',
        f'number annotations from 1; {FIX}',
    ),
    'iscrowd-missing': ('an annotation lacks iscrowd, needed to evaluate', f'set it to 0; {FIX}'),
    'duplicate-file-name': ('a file is listed twice', f'merge the entries; {FIX}'),
    'duplicate-category-name': ('two categories have the same name', f'merge them; {FIX}'),
    'duplicate-object': ('an object is annotated twice', f'remove one; {FIX}'),
    'box-outside': ('a box reaches over the border of its image', f'clip it; {FIX}'),
    'box-under-one-pixel': (
        'a side of a box is under one pixel; training leaves the object out',
        'remove the object; if all are so, coordinates are relative and must be pixels',
    ),
    'box-mask-disagree': ('a box is not the one around its mask', f'compute it; {FIX}'),
    'mask-missing': (
        'an object has no mask while others do; training of masks leaves it out',
        'draw it, or train boxes alone',
    ),
    'polygon-outside': ('a polygon reaches over the border of its image', f'clip it; {FIX}'),
    'polygon-self-crossing': (
        'the outline of a ring crosses itself: part of the object may be missing or counted twice',
        f'draw it again, or split it; {FIX}',
    ),
    'rle-mask': (
        'an object has a run-length mask; training uses its outer contours, without holes',
        'nothing, if the objects have no holes',
    ),
    'crowd-mask': (
        'the run-length mask of a crowd does not fit its image; evaluation takes its box',
        'convert it again',
    ),
    'exif-ambiguous': (
        'an image has an EXIF orientation that its size does not reveal: masks may be turned',
        'save it without EXIF and look at the masks',
    ),
    'duplicate-content': ('two files of a set show the same picture', 'keep one'),
    'same-annotation-file': (
        'training and validation use the same annotation file: scores say nothing about new images',
        'split it with coco_split.py',
    ),
    'category-not-configured': (
        'objects of a category that metainfo.classes lacks are left out',
        'add the class, unless it is meant',
    ),
    'class-without-objects': ('a configured class has no object to train on', 'add images of it'),
    'class-only-in-val': (
        'a class has objects to validate or test, but none to train on',
        'split the set again, as coco_split.py --stratify does',
    ),
    'class-imbalance': (
        'a class has more than a hundred times the objects of another',
        'add images of the rare class',
    ),
    'tiny-object': (
        'an object is under two pixels at the size of the network input',
        'train at a larger img_scale, cut images into tiles, or remove it',
    ),
}

_INFOS = {
    'image-without-objects': ('an image has no object: it trains the background', 'nothing'),
    'category-without-objects': ('a category has no object in the file', 'nothing'),
    'crowd': ('a crowd region: ignored in training and evaluation', 'nothing'),
    'area-mismatch': (
        'an area is neither that of the mask nor that of the box: size classes of AP are off',
        f'compute it; {FIX}, where it changes the object',
    ),
    'exif-rotated': ('an image is turned by EXIF, and the annotation file knows', 'nothing'),
    'unusual-pixels': ('an image is turned into 8-bit colour when loaded', 'nothing'),
    'rare-class': ('a class has fewer than ten objects to train on', 'add images of it'),
    'small-objects': (
        'more than half of the objects are under eight pixels at the network input',
        'train at a larger img_scale',
    ),
}

KINDS = {
    code: Kind(severity, *texts)
    for severity, table in (
        (Severity.ERROR, _ERRORS),
        (Severity.WARNING, _WARNINGS),
        (Severity.INFO, _INFOS),
    )
    for code, texts in table.items()
}
"""Every kind of finding by its code, worst first."""
