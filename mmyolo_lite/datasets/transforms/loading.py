"""Load the image of a sample."""

import os.path as osp
from collections.abc import Callable
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile as _MMCVLoadImageFromFile
from numpy.typing import NDArray

from mmyolo_lite.datasets.image_store import ImageStore
from mmyolo_lite.datasets.tile_decoding import decode_tile
from mmyolo_lite.errors import DataError
from mmyolo_lite.ops.affine import fit_inside
from mmyolo_lite.registry import TRANSFORMS


class UnreadableImageError(DataError):
    """One image file is missing or damaged; a training set may skip it. ``path`` names the file."""

    path: str = ''


class DeferredTile:
    """A tile whose file is not read before it is asked for: about a tenth of a mosaic's tiles lie
    outside what the affine shows, and of many others only the upper part is seen.

    Args:
        make: Returns the tile, given how many of its rows are needed; None asks for all.
    """

    def __init__(self, make: Callable[[int | None], NDArray[np.uint8] | None]) -> None:
        self._make = make
        self._tile: NDArray[np.uint8] | None = None
        self._is_whole = False

    def array(self, rows: int | None = None) -> NDArray[np.uint8]:
        """Return the tile (h, w, 3) uint8 BGR.

        Args:
            rows: How many are needed, from the top; those below may be missing. None: all.

        Raises:
            UnreadableImageError: see :class:`LoadImageFromFile`.
            DataError: likewise.
        """
        held = self._tile
        if held is None or not (self._is_whole or (rows is not None and rows <= len(held))):
            # asked for a second time, it may be asked for ever more
            wanted = rows if held is None else None
            self._tile, self._is_whole = self._make(wanted), wanted is None
        return self._tile  # type: ignore[return-value]


@TRANSFORMS.register_module()
class LoadImageFromFile(_MMCVLoadImageFromFile):
    """mmcv's loader with failures that name the file. Source: spec data.md 3.1.

    Sets ``img`` (H, W, 3) uint8 BGR, EXIF orientation applied, and ``img_shape``, ``ori_shape`` as
    ``(height, width)``. Arguments as in mmcv: ``to_float32``, ``color_type``, ``imdecode_backend``,
    ``ignore_empty``, ``backend_args``.

    Directly before a mosaic, a dataset may set `fit_to`: then ``img`` is a tile for it, smaller or
    larger than ``ori_shape``, in whose pixels the annotations are, and ``img_is_tile`` says so.
    """

    fit_to: tuple[int, int] | None = None
    """Width and height that the mosaic scales each image to fit. Scaling them one by one, at once,
    saves the memory of the large ones, which takes longer to provide than to fill."""
    tiles: ImageStore | None = None
    """Tiles that need not be made."""
    reduced_decode: bool = False
    """Decode JPEG files at 1/2, 1/4 or 1/8 of their size as long as the image stays at least as
    large as its tile (spec: data.md 9.3, idea 10)."""
    defers: bool = False
    """Give a :class:`DeferredTile` where no tile is kept; only before a step that knows them."""

    def transform(self, results: dict) -> dict | None:
        """Load ``results['img_path']``.

        Returns:
            `results`, or None for an unreadable file with ``ignore_empty=True``.

        Raises:
            UnreadableImageError: the file is missing, no regular file or cannot be decoded to three
                8-bit channels (the former not with ``ignore_empty=True``).
            DataError: the decoded size is not the ``height`` and ``width`` of the annotation file.
        """
        if self.fit_to is None or 'width' not in results:
            return self._load(results)
        return self._set_tile(results, self.fit_to)

    def _load(self, results: dict) -> dict | None:
        path = results['img_path']
        try:
            if osp.exists(path) and not osp.isfile(path):  # a pipe would be waited for
                raise OSError('it is no regular file')
            loaded = super().transform(results)
        except Exception as error:
            if self.ignore_empty:
                return None
            # mmcv asserts that the decoder returned something.
            undecoded = isinstance(error, AssertionError)
            reason = 'it holds no image that can be decoded' if undecoded else str(error)
            raise _unreadable(path, reason) from error
        if loaded is None:
            return None
        image = loaded['img']
        if self.color_type.startswith('color'):
            _check_channels(image, path, self.to_float32)
        _check_size(image.shape[:2], results)
        return loaded

    def _set_tile(self, results: dict, fit_to: tuple[int, int]) -> dict | None:
        path, size_wh = results['img_path'], (results['width'], results['height'])
        tile: Any = self.tiles.get(path, size_wh) if self.tiles is not None else None
        if tile is None and self.defers:
            tile = DeferredTile(lambda rows: self.read_tile(path, size_wh, rows))
        elif tile is None:
            tile = self.read_tile(path, size_wh)
            if tile is None:
                return None
        results['img'], results['img_is_tile'] = tile, True
        results['img_shape'], results['ori_shape'] = (
            fit_inside(size_wh, fit_to)[1][::-1],
            size_wh[::-1],
        )
        return results

    def read_tile(
        self, path: str, size_wh: tuple[int, int], rows: int | None = None
    ) -> NDArray[np.uint8] | None:
        """Read the image at `path`, `size_wh` large, and scale it to a tile (h, w, 3).

        Args:
            path: of the file.
            size_wh: width and height that the annotation file says.
            rows: how many of the tile's rows are needed, from the top; it may lack others.

        Returns:
            None for an unreadable file with ``ignore_empty=True``.

        Raises:
            UnreadableImageError: see :meth:`transform`.
            DataError: likewise.
        """
        tile_wh = size_wh if self.fit_to is None else fit_inside(size_wh, self.fit_to)[1]
        content = self._content(path)
        if content is not None:
            tile = decode_tile(content, size_wh, tile_wh, rows, self.reduced_decode)
            if tile is not None:
                return tile
        # an unusual one, or mmcv's loader says what is wrong
        loaded = self._load({'img_path': path, 'width': size_wh[0], 'height': size_wh[1]})
        if loaded is None:
            return None
        tile = loaded['img']
        return tile if tile.shape[1::-1] == tile_wh else mmcv.imresize(tile, tile_wh)

    def _content(self, path: str) -> bytes | None:
        """Return the content of a local file of a usual loader; None for others, and if it cannot
        be read.
        """
        is_usual = self.fit_to is not None and self.backend_args in (None, {'backend': 'local'})
        if not is_usual or not osp.isfile(path):
            return None
        try:
            with open(path, 'rb', buffering=0) as file:
                return file.read()
        except OSError:
            return None


def _unreadable(path: str, reason: str) -> UnreadableImageError:
    error = UnreadableImageError(
        f'Cannot read the image {path}: {reason}. Repair or replace the file, or '
        'remove it from the annotation file.'
    )
    error.path = path
    return error


def _check_channels(image: np.ndarray, path: str, is_float: bool) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or not (is_float or image.dtype == np.uint8):
        raise _unreadable(
            path, f'it decodes to shape {image.shape}, {image.dtype}, not to three 8-bit channels'
        )


def _check_size(shape_hw: tuple[int, int], results: dict) -> None:
    """Refuse an image whose annotations were made in another coordinate frame."""
    expected = (results.get('height'), results.get('width'))
    if None in expected or tuple(shape_hw) == expected:
        return
    raise DataError(
        f'The image {results["img_path"]} is {shape_hw[1]} x {shape_hw[0]} pixels (width x '
        f'height), but the annotation file says {expected[1]} x {expected[0]}, so its annotations '
        'do not fit. If width and height are exchanged, the file carries an EXIF orientation that '
        'the annotation tool ignored: save it without EXIF, or convert the annotations again.'
    )
