"""What is wrong with image files: missing, broken off, turned, of another size than stated."""

import hashlib
import io
import os
import os.path as osp
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from mmyolo_lite.datasets.coco_checks import Defect, few_letters
from mmyolo_lite.datasets.converters.coco_json import (
    TRANSPOSED_ORIENTATIONS,
    UPRIGHT,
    exif_orientation,
)
from mmyolo_lite.datasets.doctor.annotations import Entries

MAX_FILE_BYTES = 2**30
"""Larger files are not read; of images Pillow refuses those that decode to too many pixels."""
THREADS = 8
"""At most so many images are decoded at a time, which bounds the memory."""
_PLAIN_MODES = ('RGB', 'L', 'P', '1')


class ImageFacts(NamedTuple):
    """What one image file is."""

    code: str = ''
    """Kind of defect for which it cannot be used; empty for a readable image."""
    reason: str = ''
    size_wh: tuple[int, int] = (0, 0)
    """Width and height in pixels as stored, before any turning by EXIF."""
    orientation: int = UPRIGHT
    """EXIF orientation, 1 to 8."""
    mode: str = ''
    """Pillow's name of the pixel format."""
    digest: bytes = b''
    """Equal for equal pictures, however they are compressed without loss."""

    @property
    def loaded_wh(self) -> tuple[int, int]:
        """Width and height as training loads it, turned by EXIF."""
        turned = self.orientation in TRANSPOSED_ORIENTATIONS
        return self.size_wh[::-1] if turned else self.size_wh


def look_at(path: str) -> ImageFacts:
    """Decode a file completely and say what it is; nothing in a file makes this raise."""
    if not osp.isfile(path):
        windows = '; its backslashes must be slashes' if '\\' in path else ''
        return ImageFacts('image-missing', f'does not exist{windows}')
    try:
        size = osp.getsize(path)
        if size == 0:
            return ImageFacts('image-empty', 'is empty')
        if size > MAX_FILE_BYTES:
            return ImageFacts('image-too-large', f'has {size} bytes')
        with open(path, 'rb') as file:
            data = file.read()
    except OSError as error:
        return ImageFacts('image-unreadable', f'cannot be read: {error.strerror}')
    fact = _decoded(data)
    if not fact.code and not _opencv_reads(path, data):
        return ImageFacts('image-unreadable', 'has a format that OpenCV does not read')
    return fact


def _opencv_reads(path: str, data: bytes) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # a name that is no UTF-8: OpenCV ends the process on it
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) is not None
    return cv2.haveImageReader(path)


def _decoded(data: bytes) -> ImageFacts:
    code = 'image-unreadable'
    try:  # decoders of damaged files raise nearly anything
        with Image.open(io.BytesIO(data)) as image:
            code = 'image-truncated'
            image.load()
            plain = image.convert('RGB') if image.mode == 'P' else image
            digest = hashlib.blake2b(f'{plain.mode} {plain.size}'.encode())
            digest.update(plain.tobytes())
            return ImageFacts(
                size_wh=image.size,
                orientation=exif_orientation(image),
                mode=image.mode,
                digest=digest.digest(),
            )
    except Image.DecompressionBombError:
        return ImageFacts('image-too-large', 'has too many pixels')
    except Exception as error:
        reason = f'{type(error).__name__}: {error}' if str(error) else type(error).__name__
        return ImageFacts(code, f'cannot be decoded ({few_letters(reason)})')


def look_at_all(paths: Sequence[str]) -> list[ImageFacts]:
    """Look at many files, a progress bar on a terminal."""
    workers = min(THREADS, os.cpu_count() or 1)
    # Pillow warns of large images and odd metadata, which are reported in another way
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter('ignore')
        looks = pool.map(look_at, paths)
        return list(tqdm(looks, total=len(paths), desc='images', disable=None))


def image_file_defects(images: Entries, facts: Sequence[ImageFacts]) -> Iterator[Defect]:
    """Yield what is wrong with the files of a set.

    Args:
        images: the sound image entries of the annotation file.
        facts: what the file of each is.
    """
    seen: dict[bytes, str] = {}
    for position, image, fact in zip(*images, facts, strict=True):
        name = image['file_name']
        for code, ending in _defects_of_file(image, fact):
            yield Defect(code, f'{few_letters(name)} {ending}', 'images', position)
        twin = seen.setdefault(fact.digest, name) if fact.digest else name
        if twin != name:
            text = f'{few_letters(name)} shows the same as {few_letters(twin)}'
            yield Defect('duplicate-content', text, 'images', position)


def _defects_of_file(image: dict[str, Any], fact: ImageFacts) -> Iterator[tuple[str, str]]:
    if fact.code:
        yield fact.code, fact.reason
        return
    stated, loaded = (image['width'], image['height']), fact.loaded_wh
    sizes = f'is {loaded[0]} x {loaded[1]} pixels, but stated as {stated[0]} x {stated[1]}'
    turned = fact.orientation in TRANSPOSED_ORIENTATIONS
    if stated != loaded:
        if turned and stated == fact.size_wh:
            yield 'size-unturned', f'{sizes}: the EXIF orientation {fact.orientation} is ignored'
        else:
            yield 'size-mismatch', sizes
    elif turned and loaded[0] != loaded[1]:
        yield 'exif-rotated', f'is turned by the EXIF orientation {fact.orientation}'
    elif fact.orientation != UPRIGHT:
        yield 'exif-ambiguous', f'has the EXIF orientation {fact.orientation}'
    if fact.mode not in _PLAIN_MODES:
        yield 'unusual-pixels', f'has pixels of the format {fact.mode}'
