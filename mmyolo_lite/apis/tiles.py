"""Large images tile by tile: cutting, and putting together what was found.

Letters: n objects, (H, W) image. Tiles are (x1, y1, x2, y2) in whole pixels.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mmyolo_lite.apis.media import Image, Source
from mmyolo_lite.apis.prediction import PredictedMasks, Prediction
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops.mask_crops import (
    MaskCrop,
    moved_mask,
    place_mask,
    shared_pixels,
    united_mask,
)
from mmyolo_lite.ops.nms import batched_nms
from mmyolo_lite.ops.run_length_masks import Rle, RunLengthMasks

MERGE_TYPES = ('union', 'nms')
MAX_OVERLAP_RATIO = 0.9
LEAST_PATCH = 32
MAX_TILES = 20_000

Detect = Callable[[Iterable[Source]], Iterable[Prediction]]
Tile = tuple[int, int, int, int]


@dataclass(frozen=True)
class TileSettings:
    """How an image is cut, and what becomes of objects in several tiles.

    Attributes:
        patch_size: side of a tile in pixels.
        overlap_ratio: part of a side that neighbouring tiles share, at least.
        merge_type: ``union`` makes one object of detections that agree where their tiles overlap,
            with the box around them and the union of their masks; ``nms`` keeps the best of
            detections whose boxes overlap.
        merge_thr: from which agreement on, strict, 0 to 1: for ``union`` the pixels in both masks
            over those of the smaller one, counted where the tiles overlap, or the IoU of the boxes
            there if there are no masks; for ``nms`` the IoU of the boxes.

    Raises:
        ConfigError: a value is out of range.
    """

    patch_size: int = 640
    overlap_ratio: float = 0.25
    merge_type: str = 'union'
    merge_thr: float = 0.25

    def __post_init__(self) -> None:
        if self.patch_size < LEAST_PATCH:
            raise ConfigError(
                f'The side of tiles is {self.patch_size}; give {LEAST_PATCH} pixels or more.'
            )
        if not 0 <= self.overlap_ratio <= MAX_OVERLAP_RATIO:
            raise ConfigError(
                f'The overlap of tiles is {self.overlap_ratio:g}; give a part of their side from 0 '
                f'to {MAX_OVERLAP_RATIO}.'
            )
        if not 0 <= self.merge_thr <= 1:
            raise ConfigError(f'The threshold of merging is {self.merge_thr:g}, not in 0 to 1.')
        if self.merge_type not in MERGE_TYPES:
            raise ConfigError(
                f'{self.merge_type!r} is no way of merging; there are {", ".join(MERGE_TYPES)}.'
            )


def tile_boxes(size_hw: tuple[int, int], settings: TileSettings) -> list[Tile]:
    """Return tiles that cover an image, row by row.

    All lie inside the image and have one size; neighbours share the overlap or, at the right and
    lower border, more. An image smaller than a tile is one.

    Raises:
        ConfigError: there would be more than :data:`MAX_TILES`.

    >>> tile_boxes((40, 100), TileSettings(patch_size=64, overlap_ratio=0.25))
    [(0, 0, 64, 40), (36, 0, 100, 40)]
    """
    rows, columns = (_spans(side, settings) for side in size_hw)
    if len(rows) * len(columns) > MAX_TILES:
        raise ConfigError(
            f'An image of {size_hw[1]} x {size_hw[0]} pixels makes {len(rows) * len(columns)} '
            f'tiles of {settings.patch_size}, more than {MAX_TILES}: take larger ones, or less '
            'overlap.'
        )
    return [(left, top, right, bottom) for top, bottom in rows for left, right in columns]


def _spans(side: int, settings: TileSettings) -> list[tuple[int, int]]:
    patch = settings.patch_size
    if side <= patch:
        return [(0, side)]
    step = max(patch - round(patch * settings.overlap_ratio), 1)
    starts = [*range(0, side - patch, step), side - patch]
    return [(start, start + patch) for start in starts]


def predict_tiles(
    source: Source, image: Image, detect: Detect, settings: TileSettings
) -> Iterator[tuple[Tile, Prediction]]:
    """Yield each tile of an image, and its prediction in pixels of the tile.

    Args:
        source: where the image is from.
        image: (H, W, 3).
        detect: takes the tiles' images one by one, and gives a prediction for each in their order;
            a :class:`~mmyolo_lite.apis.predictor.Predictor` does.
        settings: how to cut.
    """
    tiles = tile_boxes((image.shape[0], image.shape[1]), settings)
    parts = (
        Source('', source.name, np.ascontiguousarray(image[y1:y2, x1:x2]))
        for x1, y1, x2, y2 in tiles
    )
    yield from zip(tiles, detect(parts), strict=True)


def merge_tiles(
    found: Iterable[tuple[Tile, Prediction]], size_hw: tuple[int, int], settings: TileSettings
) -> Prediction:
    """Put the predictions of tiles together to one of the image.

    Masks stay run lengths all the way: the memory taken does not grow with the image.

    Args:
        found: at least one tile with its prediction, in pixels of the tile.
        size_hw: (H, W).
        settings: how to merge.

    Returns:
        Boxes and masks in pixels of the image, by descending score. An object has the score of its
        best detection.
    """
    objects, first = _Objects.of(found, size_hw)
    if settings.merge_type == 'nms':
        kept = batched_nms(
            torch.from_numpy(objects.boxes),
            torch.from_numpy(objects.scores),
            torch.from_numpy(objects.labels),
            settings.merge_thr,
        )
        groups = [[place] for place in kept.tolist()]
    else:
        groups = _groups(len(objects.scores), _same_objects(objects, settings.merge_thr))
    # the best of each group first
    groups = [sorted(group, key=lambda place: -objects.scores[place]) for group in groups]
    groups.sort(key=lambda group: -objects.scores[group[0]])
    best = np.array([group[0] for group in groups], dtype=np.int64)
    boxes = [
        np.concatenate([objects.boxes[group, :2].min(0), objects.boxes[group, 2:].max(0)])
        for group in groups
    ]
    masks = None
    if objects.masks is not None:
        runs = (united_mask([objects.masks[place] for place in group]) for group in groups)
        masks = PredictedMasks(RunLengthMasks(runs, size_hw))
    return replace(
        first,
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        scores=objects.scores[best],
        labels=objects.labels[best],
        masks=masks,
        shape=size_hw,
        image=None,
    )


class _Objects(NamedTuple):
    """All detections of all tiles, in pixels of the image.

    ``tile`` (n,) is the place of each detection's tile in ``tiles`` (t, 4).
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    tile: NDArray[np.int64]
    tiles: NDArray[np.int64]
    masks: list[Rle] | None
    size_hw: tuple[int, int]

    @classmethod
    def of(
        cls, found: Iterable[tuple[Tile, Prediction]], size_hw: tuple[int, int]
    ) -> tuple['_Objects', Prediction]:
        columns: list[tuple[Any, ...]] = []
        tiles: list[Tile] = []
        masks: list[Rle] = []
        first = None
        for tile, prediction in found:
            first = first or prediction
            left, top = tile[:2]
            boxes = prediction.boxes + np.array([left, top] * 2, dtype=np.float32)
            number = np.full(len(boxes), len(tiles))
            columns.append((boxes, prediction.scores, prediction.labels, number))
            tiles.append(tile)
            for rle in prediction.masks.runs if prediction.masks is not None else ():
                masks.append(moved_mask(rle, (top, left), size_hw))
        assert first is not None, 'an image has a tile'
        boxes, scores, labels, number = map(np.concatenate, zip(*columns, strict=True))
        objects = cls(
            boxes=boxes,
            scores=scores,
            labels=labels,
            tile=number,
            tiles=np.array(tiles),
            masks=None if first.masks is None else masks,
            size_hw=size_hw,
        )
        return objects, first


def _same_objects(objects: _Objects, threshold: float) -> Iterator[tuple[int, int]]:
    """Yield pairs of detections of one class that agree where their tiles overlap.

    What a cut-off object looks like outside the overlap, one of the two tiles cannot know; inside
    it both see the same, so that detections of one object agree there, and others do not.
    """
    members = [np.flatnonzero(objects.tile == number) for number in range(len(objects.tiles))]
    filled = [number for number, places in enumerate(members) if len(places)]
    for one, other, overlap in _overlapping(objects.tiles, np.array(filled, dtype=np.int64)):
        rows, columns = members[one], members[other]
        equal = objects.labels[rows][:, None] == objects.labels[columns]
        ious = _ious(objects.boxes[rows], objects.boxes[columns], overlap)
        if objects.masks is None:
            agrees = np.argwhere(equal & (ious > threshold)).tolist()
        else:
            agrees = _agreeing_masks(objects, rows, columns, equal & (ious > 0), overlap, threshold)
        yield from ((int(rows[i]), int(columns[j])) for i, j in agrees)


def _overlapping(
    tiles: NDArray[np.int64], chosen: NDArray[np.int64]
) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Yield the numbers of each two of the chosen tiles that overlap, and where (4,)."""
    for place, one in enumerate(chosen.tolist()):
        others = chosen[place + 1 :]
        overlaps = _intersection(tiles[one], tiles[others])
        for i in np.flatnonzero((overlaps[:, 2:] > overlaps[:, :2]).all(axis=1)).tolist():
            yield one, int(others[i]), overlaps[i]


def _intersection(one: NDArray, other: NDArray) -> NDArray:
    """Return the common part of boxes (..., 4), which is inside out where there is none."""
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., 2:], other[..., 2:])
    return np.concatenate([low, high], axis=-1)


def _area(boxes: NDArray) -> NDArray:
    return (boxes[..., 2:] - boxes[..., :2]).clip(min=0).prod(axis=-1)


def _ious(one: NDArray, other: NDArray, window: NDArray) -> NDArray:
    """Return the IoU (n, m) of boxes (n, 4) and (m, 4), of their parts inside a window (4,)."""
    one, other = _intersection(one, window), _intersection(other, window)
    shared = _area(_intersection(one[:, None], other))
    together = _area(one)[:, None] + _area(other) - shared
    return shared / np.where(together > 0, together, 1)


def _agreeing_masks(
    objects: _Objects,
    rows: NDArray,
    columns: NDArray,
    candidates: NDArray,
    overlap: NDArray,
    threshold: float,
) -> list[list[int]]:
    """Return the pairs out of candidates (n, m) whose masks agree inside the overlap."""
    masks = objects.masks
    assert masks is not None, 'the caller looks'
    left, top, right, bottom = (int(value) for value in overlap)
    whole = np.ones((bottom - top, right - left), dtype=np.bool_)
    window = place_mask(MaskCrop(top, left, whole), objects.size_hw)
    inside: dict[int, int] = {}
    found = []
    for i, j in np.argwhere(candidates).tolist():
        one, other = int(rows[i]), int(columns[j])
        for place in (one, other):
            if place not in inside:
                inside[place] = shared_pixels(masks[place], window)
        smaller = min(inside[one], inside[other])
        # each mask lies in its tile, so that what they share lies in the overlap
        if smaller and shared_pixels(masks[one], masks[other]) > threshold * smaller:
            found.append([i, j])
    return found


def _groups(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the connected groups of the numbers below `count`.

    >>> _groups(4, [(0, 2), (2, 3)])
    [[0, 2, 3], [1]]
    """
    parent = list(range(count))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for one, other in pairs:
        parent[root(other)] = root(one)
    groups: dict[int, list[int]] = {}
    for place in range(count):
        groups.setdefault(root(place), []).append(place)
    return list(groups.values())
