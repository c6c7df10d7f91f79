"""The detections of each image beside its objects, matched as boxes and as masks.

Letters: D detections and G true objects of an image.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.evaluation import coco_scores
from mmyolo_lite.evaluation import detection_errors as errors


class Part(NamedTuple):
    """An image as one kind of results sees it.

    Attributes:
        found: D detections.
        truth: G objects.
        matches: (D,) see :func:`errors.match`.
        overlap: (D,) see :func:`errors.matched_overlaps`.
        confident: overlaps, detections and objects for :func:`errors.confusion_matrix`.
    """

    found: errors.Found
    truth: errors.Truth
    matches: NDArray[np.int64]
    overlap: NDArray[np.float64]
    confident: tuple[NDArray[np.float64], errors.Found, errors.Truth]


@dataclass(frozen=True)
class Judged:
    """An image, its objects and detections, and how they match.

    Attributes:
        truth: ``img_id``, ``path``, ``height``, ``width``.
        result: what the metric keeps of its predictions, detections best first.
        entries: by kind, its G objects as :class:`coco_scores.Objects` has them, one order in all.
        parts: by kind.
    """

    truth: Mapping[str, Any]
    result: Mapping[str, Any]
    entries: Mapping[str, Sequence[Mapping[str, Any]]]
    parts: Mapping[str, Part]


def judge(
    results: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
    objects: Mapping[str, coco_scores.Objects],
    least_score: float = errors.CONFUSION_SCORE,
) -> Iterator[Judged]:
    """Match the detections of each image with its objects, images in the order of scoring.

    Args:
        results: truth and predictions of each image, see :class:`Evaluation`.
        objects: by kind; for ``segm`` predictions need masks.
        least_score: detections of a larger one are confident.
    """
    ranks = next(iter(objects.values())).ranks
    by_image: dict[str, list[list[dict]]] = {}
    for kind, group in objects.items():
        by_image[kind] = [[] for _ in ranks]
        for entry in group.entries:
            by_image[kind][entry['image_id']].append(entry)
    for truth, result in sorted(results, key=lambda one: ranks[one[0]['img_id']]):
        rank = ranks[truth['img_id']]
        ordered = _best_first(result)
        entries = {kind: by_image[kind][rank] for kind in objects}
        parts = {kind: _part(kind, ordered, entries[kind], least_score) for kind in objects}
        yield Judged(truth, ordered, entries, parts)


def _best_first(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the predictions of an image ordered by score, masks as a list."""
    order = np.argsort(-np.nan_to_num(result['scores'], nan=-math.inf), kind='stable')
    ordered: dict[str, Any] = {
        name: np.asarray(result[name])[order]
        for name in ('bboxes', 'scores', 'labels', 'mask_scores')
        if name in result
    }
    boxes = ordered['bboxes'].astype(np.float64).reshape(-1, 4)
    boxes[~np.isfinite(boxes).all(axis=1)] = 0
    ordered['bboxes'] = boxes
    if 'masks' in result:
        masks = list(result['masks'])
        ordered['masks'] = [masks[place] for place in order.tolist()]
    return ordered


def _part(
    kind: str, result: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], least_score: float
) -> Part:
    truth = errors.Truth(
        np.array([one['category_id'] for one in entries], dtype=np.int64),
        np.array([bool(one['iscrowd']) for one in entries], dtype=np.bool_),
        np.array([one['area'] for one in entries], dtype=np.float64),
    )
    scores = result.get('mask_scores', result['scores']) if kind == 'segm' else result['scores']
    scores = np.nan_to_num(scores.astype(np.float64), nan=-math.inf)
    found = errors.Found(result['labels'].astype(np.int64), scores)
    if kind == 'segm':
        iou = errors.overlaps(
            result['masks'], [one['segmentation'] for one in entries], truth.crowd
        )
    else:
        boxes = result['bboxes'].copy()
        boxes[:, 2:] -= boxes[:, :2]
        true_boxes = np.array([one['bbox'] for one in entries], dtype=np.float64).reshape(-1, 4)
        iou = errors.overlaps(boxes, true_boxes, truth.crowd)
    matches = errors.match(iou, found, truth)
    overlap = errors.matched_overlaps(iou, found, truth, matches)
    counted = scores > least_score
    confident = errors.Found(found.labels[counted], scores[counted])
    return Part(found, truth, matches, overlap, (iou[counted], confident, truth))
