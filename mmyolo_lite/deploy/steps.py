"""What an exported network needs around it, in NumPy and OpenCV alone: from an image to its input,
and from its outputs to detections of the image, as the metadata of the file describes.

``examples/onnx_infer.py`` holds this file, and :mod:`mmyolo_lite.ops.box_masks`, letter by letter.

Letters: B images, P priors, C classes, n detections of one image.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.ops.box_masks import Floats, Patch, Way, masks_in_boxes, paste_in_boxes

Arrays = dict[str, NDArray]
"""The outputs of a network, by name."""


class Placement(NamedTuple):
    """How an image lies in the input.

    Attributes:
        image_hw: height and width of the image in pixels.
        input_hw: height and width of the input in pixels.
        scale_wh: resized over original size.
        pad_lt: padding at the left and at the top in input pixels, as boxes are moved by.
    """

    image_hw: tuple[int, int]
    input_hw: tuple[int, int]
    scale_wh: tuple[float, float]
    pad_lt: tuple[float, float]

    def boxes_of_image(self, boxes: Floats) -> Floats:
        """Return boxes (n, 4) of the input in pixels of the image, clipped to it."""
        shift, scale, most = (
            np.array(pair * 2, dtype=np.float32)
            for pair in (self.pad_lt, self.scale_wh, self.image_hw[::-1])
        )
        return np.clip((boxes - shift) / scale, 0, most)

    def mask_way(self) -> Way:
        """Return how masks go from the input to the image."""
        left, top = self.pad_lt
        height, width = self.input_hw
        window = (int(top), int(height - top), int(left), int(width - left))
        return Way(self.input_hw, window, self.image_hw)


class Detections(NamedTuple):
    """What was found in an image, by descending score.

    Attributes:
        boxes: (n, 4) xyxy in pixels of the image.
        scores: (n,) of 0 to 1.
        labels: (n,) int64.
        masks: yields n patches, made when asked for; None without masks.
    """

    boxes: Floats
    scores: Floats
    labels: NDArray[np.int64]
    masks: Iterator[Patch] | None


def target_size(image_hw: tuple[int, int], preprocess: dict[str, Any]) -> tuple[int, int]:
    """Return the (height, width) of the input of an image."""
    rule = preprocess['batch_shape']
    if rule is None:
        return tuple(preprocess['letterbox']['size_hw'])
    ratio = image_hw[0] / image_hw[1]
    unit = (min(ratio, 1.0), min(1 / ratio, 1.0))
    cells = (math.ceil(u * rule['img_size'] / rule['divisor'] + rule['extra_pad']) for u in unit)
    height, width = (count * rule['divisor'] for count in cells)
    return height, width


def letterbox(image: Any, preprocess: dict[str, Any]) -> tuple[NDArray[np.uint8], Placement]:
    """Return an image (H, W, 3) uint8, resized and padded to its input size, and where it lies."""
    first_hw, target_hw = image.shape[:2], target_size(image.shape[:2], preprocess)
    if preprocess['keep_ratio'] is not None:
        scale, (height, width) = preprocess['keep_ratio'], first_hw
        ratio = min(max(scale) / max(height, width), min(scale) / min(height, width))
        size = (max(int(width * ratio), 1), max(int(height * ratio), 1))
        if ratio != 1:
            kind = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
            image = cv2.resize(image, size, interpolation=kind)
    settings, (height, width) = preprocess['letterbox'], image.shape[:2]
    ratio = min(target_hw[0] / height, target_hw[1] / width)
    if not settings['allow_scale_up']:
        ratio = min(ratio, 1.0)
    new_h, new_w = max(round(height * ratio), 1), max(round(width * ratio), 1)
    if (new_h, new_w) != (height, width):
        image = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
    pad_h, pad_w = target_hw[0] - new_h, target_hw[1] - new_w
    top, left = pad_h // 2, pad_w // 2
    fill = cv2.BORDER_CONSTANT, None, tuple(settings['fill'])
    image = cv2.copyMakeBorder(image, top, pad_h - top, left, pad_w - left, *fill)
    shift = (pad_w / 2, pad_h / 2) if settings['half_pad'] else (float(left), float(top))
    scale_wh = (new_w / first_hw[1], new_h / first_hw[0])
    return image, Placement(first_hw, target_hw, scale_wh, shift)


def network_input(images: list[NDArray[np.uint8]], preprocess: dict[str, Any]) -> Floats:
    """Return letterboxed images of one size, (H, W, 3) uint8 BGR each, as (B, 3, H, W) float32."""
    mean, std = (np.array(preprocess[key], dtype=np.float32) for key in ('mean', 'std'))
    batch = np.empty((len(images), 3, *images[0].shape[:2]), dtype=np.float32)
    for place, image in zip(batch, images, strict=True):
        ordered = image[:, :, ::-1] if preprocess['to_rgb'] else image
        for channel in range(3):
            np.subtract(ordered[:, :, channel], mean[channel], out=place[channel])
            place[channel] /= std[channel]
    return batch


def detections(
    outputs: Arrays, number: int, placement: Placement, meta: dict[str, Any], score_thr: float
) -> Detections:
    """Return the detections of one image of a batch.

    Args:
        outputs: of the network for the batch, by their names in the file, whose metadata say
            shapes and meanings.
        number: of the image in the batch.
        placement: how the image lies in the input.
        meta: metadata of the file.
        score_thr: keep objects with a score above it, strict; the file's own is the lowest that
            works.
    """
    thresholds = meta['thresholds']
    boxes, scores = outputs['boxes'][number], outputs['scores'][number]
    if meta['nms'] == 'graph':
        values = scores[: outputs['num_dets'][number]]
        rows = np.flatnonzero(values > score_thr)
        labels, values = outputs['labels'][number][rows], values[rows]
    else:
        score_thr = max(score_thr, thresholds['score'])
        rows, labels = candidates(scores, score_thr, thresholds)
        values = scores[rows, labels]
        kept = suppressed(boxes[rows], values, labels, thresholds)
        rows, labels, values = rows[kept], labels[kept], values[kept]
    boxes, masks = boxes[rows], None
    if meta['masks']:
        masks = _masks(outputs, number, rows, (boxes, placement.mask_way(), thresholds['mask']))
    return Detections(placement.boxes_of_image(boxes), values, labels, masks)


def _masks(outputs: Arrays, number: int, rows: NDArray, paste: tuple) -> Iterator[Patch]:
    """Yield the masks of the rows `rows` of an image's outputs."""
    if 'masks' not in outputs:
        coefficients, prototypes = outputs['coefficients'][number], outputs['prototypes'][number]
        return masks_in_boxes(coefficients[rows], prototypes, *paste)
    maps = outputs['masks'][number]

    def probabilities(place: int, part_h: slice, part_w: slice) -> Floats:
        return maps[rows[place], part_h, part_w]

    return paste_in_boxes(probabilities, maps.shape[1:], *paste)


def candidates(
    scores: Floats, score_thr: float, thresholds: dict[str, Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose (prior, class) pairs whose score passes.

    Args:
        scores: (P, C).
        score_thr: keep scores above it, strict.
        thresholds: ``multi_label``, and ``candidates``, how many to keep at most.

    Returns:
        Priors and labels, by descending score; ties by the lower prior, then the lower label.
    """
    if thresholds['multi_label'] or scores.shape[1] == 1:
        rows, labels = np.divmod(np.flatnonzero(scores > score_thr), scores.shape[1])
    else:
        labels = scores.argmax(axis=1)
        rows = np.flatnonzero(scores[np.arange(len(scores)), labels] > score_thr)
        labels = labels[rows]
    order = np.argsort(-scores[rows, labels], kind='stable')[: thresholds['candidates']]
    return rows[order], labels[order]


def suppressed(
    boxes: Floats, scores: Floats, labels: NDArray[np.int64], thresholds: dict[str, Any]
) -> NDArray[np.int64]:
    """Return the places of the boxes that stay after class-wise greedy suppression.

    Args:
        boxes: (n, 4) xyxy input pixels, by descending score.
        scores: (n,).
        labels: (n,).
        thresholds: ``iou``, strict, ``class_agnostic``, ``max_per_image``, and ``min_box_size`` in
            input pixels, strict, -1 for off.
    """
    corners, kept = boxes.astype(np.float64), []
    large = np.ones(len(boxes), dtype=bool)
    if thresholds['min_box_size'] >= 0:
        large = (corners[:, 2:] - corners[:, :2] > thresholds['min_box_size']).all(axis=1)
    groups = np.zeros_like(labels) if thresholds['class_agnostic'] else labels
    for group in np.unique(groups):
        left = np.flatnonzero((groups == group) & large)
        while len(left):
            kept.append(left[0])
            left = left[1:][_iou(corners[left[0]], corners[left[1:]]) <= thresholds['iou']]
    return np.sort(np.array(kept, dtype=np.int64))[: thresholds['max_per_image']]


def _iou(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU (n,) of a box (4,) with others (n, 4); 0 where neither has an area."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    inner = sides.clip(min=0).prod(axis=1)
    area, areas = ((b[..., 2:] - b[..., :2]).prod(axis=-1) for b in (box, others))
    return inner / np.maximum(area + areas - inner, 1e-300)
