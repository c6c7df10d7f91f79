"""Where images to predict come from: files, folders, patterns, URLs, arrays."""

import glob
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.datasets.converters.files import IMAGE_SUFFIXES, list_files
from mmyolo_lite.datasets.transforms.loading import UnreadableImageError
from mmyolo_lite.errors import DataError

MAX_URL_BYTES = 256 * 2**20
CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 10.0, 30.0, 300.0
VIDEO_SUFFIXES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv')
MAX_NAME_LETTERS = 80
_UNFIT_IN_NAMES = re.compile(r'[^\w.-]')

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """One image to predict.

    Attributes:
        path: of the file, or a URL; empty for an array.
        name: under which results are stored: relative, with a suffix.
        image: (H, W, 3) uint8 BGR, where it is in memory already.
        problem: why it cannot be read, where that is known already.
    """

    path: str
    name: str
    image: Image | None = None
    problem: str = ''

    def read(self, read_file: Callable[[str], Image]) -> Image:
        """Return the image, (H, W, 3) uint8 BGR.

        Args:
            read_file: reads a local file.

        Raises:
            UnreadableImageError: it cannot be fetched or decoded; ``path`` names it.
        """
        if self.image is not None:
            return self.image
        if self.problem:
            raise self._unreadable(self.problem)
        try:
            if not is_url(self.path):
                return read_file(self.path)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, 'image')
                fetch_image(self.path, path)
                return read_file(str(path))
        except UnreadableImageError as error:
            raise self._unreadable(_reason(error)) from error
        except (DataError, OSError) as error:
            raise self._unreadable(str(error)) from error

    def _unreadable(self, reason: str) -> UnreadableImageError:
        error = UnreadableImageError(f'{self.path}: {reason}')
        error.path = self.path
        return error


def _reason(error: UnreadableImageError) -> str:
    """Return why a file cannot be read, without advice about annotation files."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        return cause.strerror or str(cause)
    # the latter from sizes beyond its limits, in words about its source code
    undecoded = cause is None or isinstance(cause, AssertionError | cv2.error)
    return 'it holds no image that can be decoded' if undecoded else str(cause).split('\n')[0]


def is_url(text: str) -> bool:
    """Say whether a text is an http or https URL."""
    return text.lower().startswith(('http://', 'https://'))


def sources(given: Any) -> Iterator[Source]:
    """Yield the images of an input one by one, in order; those of a folder by name.

    Args:
        given: path of a file or folder (with its sub-folders), a pattern such as
            ``'photos/*.jpg'``, a URL; an array (H, W, 3) or (H, W) uint8, BGR; a Pillow image; a
            :class:`Source`; or an iterable of these, such as a list or a generator, which is taken
            one by one; a path in it that leads to no image fails when it is read, so that the
            others are not lost.

    Raises:
        DataError: there is no such file, or no image, or the input is none of these.
    """
    if isinstance(given, Source):
        yield given
    elif isinstance(given, str | os.PathLike):
        yield from _sources_of_path(os.fspath(given))
    elif isinstance(given, np.ndarray):
        yield Source('', 'image.jpg', as_bgr(given))
    elif hasattr(given, 'convert') and hasattr(given, 'getbands'):  # without importing Pillow
        yield Source('', 'image.jpg', _bgr_of_pillow(given))
    elif isinstance(given, Iterable) and not hasattr(given, '__array__'):  # as tensors have
        for number, one in enumerate(given):
            for source in _sources_of_element(one):
                unnamed = not source.path and not isinstance(one, Source)
                name = f'{number:06d}.jpg' if unnamed else source.name
                yield replace(source, name=name)
    else:
        raise DataError(
            f'A {type(given).__name__} is no image. Give a path, a folder, a URL, an array (H, W, '
            '3) of uint8, or a list or generator of these.'
        )


def first_source(given: Any) -> Source:
    """Return the one image, or the first, of what :func:`sources` takes.

    Raises:
        DataError: there is none.
    """
    source = next(sources(given), None)
    if source is None:
        raise DataError('The list is empty: there is no image to predict.')
    return source


def _sources_of_element(given: Any) -> Iterator[Source]:
    """Yield the images of an element of an iterable."""
    if not isinstance(given, str | os.PathLike):
        yield from sources(given)
        return
    path = os.fspath(given)
    try:
        yield from _sources_of_path(path)
    except DataError as error:
        problem = str(error).removeprefix(f'{path}: ')
        yield Source(path, os.path.basename(path), problem=problem)


def _sources_of_path(path: str) -> Iterator[Source]:
    if is_url(path):
        yield Source(path, name_of_url(path))
    elif os.path.isdir(path):
        names = list_files(Path(path), IMAGE_SUFFIXES, recursive=True)
        if not names:
            raise DataError(f'{path}: no image in this folder ({", ".join(IMAGE_SUFFIXES)})')
        for name in names:
            yield Source(os.path.join(path, name), name)
    elif os.path.exists(path):
        if path.lower().endswith(VIDEO_SUFFIXES):
            raise DataError(f'{path}: a video, not an image; use demo/video_demo.py')
        yield Source(path, os.path.basename(path))
    elif glob.has_magic(path):
        yield from _sources_of_pattern(path)
    else:
        raise DataError(f'{path}: no such file or folder, seen from the current folder')


def _sources_of_pattern(pattern: str) -> Iterator[Source]:
    found = sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
    found = [name for name in found if name.lower().endswith(IMAGE_SUFFIXES)]
    if not found:
        raise DataError(f'{pattern}: no image has such a name ({", ".join(IMAGE_SUFFIXES)})')
    root = os.path.commonpath([os.path.dirname(name) for name in found])
    for name in found:
        yield Source(name, os.path.relpath(name, root or '.').replace(os.sep, '/'))


def _bgr_of_pillow(picture: Any) -> Image:
    return np.ascontiguousarray(np.asarray(picture.convert('RGB'))[:, :, ::-1])


def as_bgr(image: NDArray) -> Image:
    """Return an array as an image (H, W, 3) uint8; one channel becomes three.

    Raises:
        DataError: it is something else.
    """
    if image.dtype == np.uint8 and image.size:
        if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
            return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2BGR)  # type: ignore
        if image.ndim == 3 and image.shape[2] == 3:
            return image
    raise DataError(
        f'An array of shape {image.shape} and {image.dtype} is no image: give (H, W, 3) uint8 in '
        'the order blue, green, red, as cv2.imread has it.'
    )


def name_of_url(url: str) -> str:
    """Return the file name that a URL ends in, fit for any folder.

    >>> name_of_url('https://example.org/a/big%20cat.png?size=3')
    'big_cat.png'
    """
    try:
        name = PurePosixPath(unquote(urlsplit(url).path)).name
    except ValueError:  # no URL after all; fetching it will say so
        name = ''
    path = PurePosixPath(_UNFIT_IN_NAMES.sub('_', name).lstrip('.') or 'image')
    suffix = path.suffix.lower()
    return path.stem[:MAX_NAME_LETTERS] + (suffix if suffix in IMAGE_SUFFIXES else '.jpg')


def fetch_image(url: str, path: Path, max_bytes: int = MAX_URL_BYTES) -> None:
    """Fetch a small file over HTTP.

    Args:
        url: http or https; proxies are taken from the environment.
        path: of the file to be.
        max_bytes: stop beyond.

    Raises:
        DataError: the server cannot be reached, refuses, takes minutes, or sends too much.
    """
    import requests  # for the few that need it

    from mmyolo_lite.datasets.download.fetch import NETWORK_ERRORS

    deadline, size = time.monotonic() + TOTAL_SECONDS, 0
    try:
        with (
            requests.get(url, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as answer,
            path.open('wb') as file,
        ):
            if answer.status_code != 200:
                raise DataError(f'the server answers {answer.status_code} {answer.reason}')
            for chunk in answer.iter_content(2**16):
                size += len(chunk)
                if size > max_bytes:
                    raise DataError(f'more than {max_bytes / 2**20:g} MiB, too large to fetch')
                if time.monotonic() > deadline:
                    raise DataError(f'not fetched in {TOTAL_SECONDS:g} seconds')
                file.write(chunk)
    except (*NETWORK_ERRORS, UnicodeError) as error:  # the latter from odd host names
        raise DataError(f'cannot be fetched ({_short(error)})') from error


def _short(error: BaseException) -> str:
    """Return the name of an error of requests, and what it was raised from in few words."""
    text = str(error).split(': ')[-1].strip('\'")( ')
    return f'{type(error).__name__}: {text}' if text else type(error).__name__
