"""Batches of training and of validation as pictures: images in rows, with their objects."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from mmyolo_lite.models.targets import pack_samples
from mmyolo_lite.visualization.drawing import (
    Image,
    Legend,
    Objects,
    draw_objects,
    with_title,
)

MAX_WIDTH = 2400
"""Pixels of a picture."""
TILE_SIDE = 640
"""Most pixels of a side of an image in a picture."""
GAP = 6
PAIR_COLUMNS = 2
OBJECT_COLORS = (
    *((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)),
    *((86, 180, 233), (230, 159, 0), (93, 58, 155), (240, 228, 66)),
)
"""Red, green, blue; told apart by colour-blind readers too (after Okabe and Ito)."""
DRAWN_SCORE = 0.25
"""Least score of predictions in pictures."""


def columns_for(count: int) -> int:
    """Return how many columns make a square of so many images, at least one."""
    return int(np.ceil(np.sqrt(count)))


def tile_side(columns: int) -> int:
    """Return the most pixels of a side of each image, if so many are to stand side by side."""
    return min(TILE_SIDE, MAX_WIDTH // columns - GAP)


def mosaic(tiles: Sequence[Image], columns: int) -> Image:
    """Return images in rows of `columns`, each as high as its images, on white; at least one."""
    width = max(tile.shape[1] for tile in tiles)
    rows = []
    for start in range(0, len(tiles), columns):
        row = tiles[start : start + columns]
        canvas = np.full(
            (max(tile.shape[0] for tile in row) + GAP, columns * (width + GAP), 3), 255, np.uint8
        )
        for place, tile in enumerate(row):
            left = place * (width + GAP)
            canvas[: tile.shape[0], left : left + tile.shape[1]] = tile
        rows.append(canvas)
    return np.concatenate(rows)[:-GAP, :-GAP]


def drawn(image: Image, objects: Objects, legend: Legend, side: int) -> Image:
    """Return an image with objects; if there is one class only, each object has its own colour."""
    if len(legend.names) == 1:
        names = [legend.name(int(label)) for label in objects.labels]
        legend = Legend(names, OBJECT_COLORS)
        objects = replace(objects, labels=np.arange(len(names)))
    return draw_objects(image, objects, legend, side)


def train_batch_picture(batch: Mapping[str, Any], legend: Legend, max_images: int) -> Image:
    """Return the images of a training batch, as the network gets them, with objects and masks.

    Args:
        batch: what the data loader gives: ``inputs``, uint8 BGR, (B, 3, H, W) or B of (3, H_i,
            W_i), and ``data_samples``: a dict of ``bboxes_labels`` (N, 6), rows ``[image, label,
            x1, y1, x2, y2]``, and maybe ``masks``, or B data samples.
        legend: names and colours of classes.
        max_images: draw no more.
    """
    targets = batch['data_samples']
    if not isinstance(targets, Mapping):
        targets = pack_samples(targets, torch.device('cpu'))
    images = list(batch['inputs'])
    rows = targets['bboxes_labels'].detach().cpu()
    columns = columns_for(min(len(images), max_images))
    tiles = []
    for number, image in enumerate(images[:max_images]):
        pixels = image.detach().cpu().permute(1, 2, 0).numpy()
        canvas = np.ascontiguousarray(pixels.clip(0, 255).astype(np.uint8))
        objects = _targets_of(number, rows, targets.get('masks'), len(images))
        tiles.append(drawn(canvas, objects, legend, tile_side(columns)))
    return mosaic(tiles, columns)


def _targets_of(number: int, rows: Tensor, masks: Tensor | None, num_images: int) -> Objects:
    """Return the objects of an image of a batch.

    Args:
        number: of the image.
        rows: (N, 6).
        masks: (B, h, w) numbers of objects over each other, or (N, h, w) one mask an object.
        num_images: B.
    """
    mine = rows[:, 0] == number
    boxes = rows[mine, 2:].numpy().astype(np.float64)
    objects = Objects(boxes, rows[mine, 1].numpy().astype(np.int64))
    if masks is None:
        return objects
    # with one object in each image the two are the same
    is_map = len(masks) == num_images and (len(rows) != num_images or int(masks.max()) > 1)
    if is_map:
        numbers = torch.arange(1, len(boxes) + 1)[:, None, None]
        objects.masks = (masks[number].detach().cpu() == numbers).numpy()
    elif len(masks) == len(rows):
        objects.masks = masks[mine.to(masks.device)].detach().cpu().bool().numpy()
    return objects


def entry_objects(entries: Sequence[Mapping[str, Any]], size_hw: tuple[int, int]) -> Objects:
    """Return objects or predictions of a results file for drawing.

    Args:
        entries: ``gt`` or ``pred`` of an image.
        size_hw: height and width of the image.
    """
    objects = Objects(
        boxes=np.array([one['bbox'] for one in entries], dtype=np.float64).reshape(-1, 4),
        labels=np.array([one['label'] for one in entries], dtype=np.int64),
        crowd=np.array([bool(one.get('crowd')) for one in entries], dtype=np.bool_),
    )
    if entries and 'score' in entries[0]:
        objects.scores = np.array([one['score'] for one in entries], dtype=np.float64)
    if any(isinstance(one.get('segmentation'), dict) for one in entries):
        empty = empty_mask(size_hw)
        objects.runs = [_as_bytes(one.get('segmentation') or empty) for one in entries]
    return objects


def empty_mask(size_hw: tuple[int, int]) -> dict[str, Any]:
    """Return the run-length mask without a pixel."""
    from pycocotools import mask as coco_mask

    return coco_mask.frPyObjects(
        {'size': list(size_hw), 'counts': [size_hw[0] * size_hw[1]]}, *size_hw
    )


def _as_bytes(mask: Mapping[str, Any]) -> dict[str, Any]:
    counts = mask['counts']
    return {**mask, 'counts': counts.encode() if isinstance(counts, str) else counts}


def results_pictures(
    images: Sequence[Mapping[str, Any]], legend: Legend, read: Any = None
) -> dict[str, Image]:
    """Return what there was (``labels``), what was found (``pred``), and both side by side ('').

    Args:
        images: entries of a results file.
        legend: names and colours of classes.
        read: takes a path to an image (H, W, 3) BGR; by default a local file is read.
    """
    columns = columns_for(len(images))
    side, pair_side = tile_side(columns), tile_side(2 * PAIR_COLUMNS)
    labels: list[Image] = []
    found: list[Image] = []
    pairs: list[Image] = []
    for entry in images:
        size_hw = entry['height'], entry['width']
        image = (read or read_image)(entry['path'], size_hw)
        shown = [one for one in entry['pred'] if one['score'] >= DRAWN_SCORE]
        name = Path(entry['path'] or str(entry['id'])).name
        truth, predictions = (entry_objects(one, size_hw) for one in (entry['gt'], shown))
        for objects, tiles in ((truth, labels), (predictions, found)):
            tile = drawn(image, objects, legend, side)
            tiles.append(with_title(tile, _clipped(name, tile)))
        both = [drawn(image, objects, legend, pair_side) for objects in (truth, predictions)]
        pair = mosaic(both, 2)
        pairs.append(with_title(pair, _clipped(f'truth and predictions: {name}', pair)))
    return {
        'labels': mosaic(labels, columns),
        'pred': mosaic(found, columns),
        '': mosaic(pairs, min(PAIR_COLUMNS, len(pairs))),
    }


def _clipped(title: str, image: Image) -> str:
    """Return as much of a title as has room above an image."""
    letters = max(image.shape[1] // 9, 4)
    return title if len(title) <= letters else '...' + title[-letters + 3 :]


def read_image(path: str | None, size_hw: tuple[int, int]) -> Image:
    """Return the image of a file, or a grey one where there is no such image."""
    image = None
    if path is not None and Path(path).is_file():
        image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape[:2] != tuple(size_hw):
        image = np.full((*size_hw, 3), 128, dtype=np.uint8)
    return image  # type: ignore[return-value]
