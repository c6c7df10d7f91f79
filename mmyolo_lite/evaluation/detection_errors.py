"""What a detector gets right and wrong: matches, curves over confidence, confusion of classes.

Pure functions of arrays, the same for boxes and masks: these only differ in the overlaps.

Letters: D detections and G true objects of an image, N detections and C classes of a set.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NONE = -1
"""In place of the index of a true object: there is none."""
RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO reads precision."""
CONFIDENCES = np.arange(200) / 200
"""Confidences at which curves are read."""
MATCH_IOU = 0.5
"""Least IoU of a detection with the object it hits, in curves and counts of errors."""
CONFUSION_SCORE, CONFUSION_IOU = 0.25, 0.45
"""What the field counts a confusion matrix with."""
SIZES = ('small', 'medium', 'large')
AREA_EDGES = (32**2, 96**2)
"""Square pixels between sizes of objects, as in COCO."""


class Truth(NamedTuple):
    """The true objects of an image.

    Attributes:
        labels: (G,).
        crowd: (G,) bool; what is found on a crowd neither hits nor errs.
        areas: (G,) square pixels.
    """

    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float64]


class Found(NamedTuple):
    """The detections in an image.

    Attributes:
        labels: (D,).
        scores: (D,) confidences of 0 to 1.
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]


def overlaps(found: Any, truth: Any, crowd: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (D, G) IoUs; with a crowd, the share of the detection that lies in it.

    Args:
        found: D run-length masks with compressed counts in bytes, or (D, 4) xywh boxes in pixels.
        truth: G likewise.
        crowd: (G,) bool.
    """
    from pycocotools import mask as coco_mask

    if not len(found) or not len(truth):
        return np.zeros((len(found), len(truth)))
    is_crowd = crowd.astype(np.uint8).tolist()
    return np.asarray(coco_mask.iou(found, truth, is_crowd)).reshape(len(found), len(truth))


def match(
    iou: NDArray[np.float64], found: Found, truth: Truth, iou_thr: float = MATCH_IOU
) -> NDArray[np.int64]:
    """Give each detection the object of its class that it hits, as COCO does.

    The best detection chooses first, the object of most overlap that is left, the last of equal
    ones; where there is none, a crowd, which never is used up. As lower scores change nothing for
    higher ones, the matches of detections above any confidence are among these.

    Args:
        iou: (D, G), see :func:`overlaps`.
        found: the detections.
        truth: the objects.
        iou_thr: least overlap.

    Returns:
        (D,) indices of objects, or :data:`NONE`.
    """
    matches = np.full(len(found.labels), NONE)
    iou = np.where(found.labels[:, None] == truth.labels, iou, 0.0)
    near = np.flatnonzero((iou >= iou_thr).any(axis=1))
    left = iou.copy()
    left[:, truth.crowd] = 0
    crowds = np.where(truth.crowd, iou, 0.0)
    for one in near[np.argsort(-found.scores[near], kind='stable')]:
        for row in (left[one], crowds[one]):
            last_best = len(row) - 1 - int(row[::-1].argmax())
            if row[last_best] >= iou_thr:
                matches[one] = last_best
                left[:, last_best] = 0
                break
    return matches


def matched_overlaps(
    iou: NDArray[np.float64], found: Found, truth: Truth, matches: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return (D,) the overlap of each detection with the object it hits; without one, the largest
    with any object of its class.

    Args:
        iou: (D, G), see :func:`overlaps`.
        found: the detections.
        truth: the objects.
        matches: (D,), see :func:`match`.
    """
    if not iou.size:
        return np.zeros(len(found.labels))
    same = np.where(found.labels[:, None] == truth.labels, iou, 0.0).max(axis=1)
    return np.where(matches == NONE, same, iou[np.arange(len(iou)), matches])


@dataclass(frozen=True)
class Outcomes:
    """All detections of a set, image by image.

    Attributes:
        labels: (N,).
        scores: (N,).
        hits: (N,) bool: on an object that is no crowd.
        ignored: (N,) bool: on a crowd.
        objects: (C,) number of true objects but crowds.
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]

    def of_class(self, label: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return scores (n,) and hits (n,) of the n detections of a class that count, best first,
        equal ones in order.
        """
        chosen = (self.labels == label) & ~self.ignored
        scores, hits = self.scores[chosen], self.hits[chosen]
        order = np.argsort(-scores, kind='stable')
        return scores[order], hits[order]


def outcomes(
    images: Iterable[tuple[Found, Truth, NDArray[np.int64]]], num_classes: int, max_dets: int
) -> Outcomes:
    """Join the images of a set.

    Args:
        images: detections, objects and matches (D,) of each image.
        num_classes: C.
        max_dets: the best detections an image and class that count, at most.
    """
    labels, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
    hits, ignored = [np.zeros(0, np.bool_)], [np.zeros(0, np.bool_)]
    objects = np.zeros(num_classes, dtype=np.int64)
    for found, truth, matches in images:
        if len(found.labels) > max_dets:
            best = best_of_each_class(found, max_dets)
            found, matches = Found(found.labels[best], found.scores[best]), matches[best]
        on_crowd = np.zeros(len(found.labels), dtype=np.bool_)
        on_crowd[matches != NONE] = truth.crowd[matches[matches != NONE]]
        ignored.append(on_crowd)
        hits.append((matches != NONE) & ~on_crowd)
        objects += np.bincount(truth.labels[~truth.crowd], minlength=num_classes)
        labels.append(found.labels)
        scores.append(found.scores)
    return Outcomes(
        np.concatenate(labels),
        np.concatenate(scores),
        np.concatenate(hits),
        np.concatenate(ignored),
        objects,
    )


def best_of_each_class(found: Found, count: int) -> NDArray[np.int64]:
    """Return the indices (n,) of the `count` best detections of each class, in their order."""
    order = np.lexsort((-found.scores, found.labels))  # by class, best first, equal ones in order
    labels = found.labels[order]
    rank = np.arange(len(order)) - np.searchsorted(labels, labels)
    return np.sort(order[rank < count])


@dataclass(frozen=True)
class Curves:
    """Precision, recall and F1 of each class above each of :data:`CONFIDENCES`.

    Attributes:
        precision: (C, len(CONFIDENCES)); nan where nothing is found.
        recall: likewise; nan for a class without objects.
        f1: likewise.
        at_recalls: (C, 101) best precision at each of :data:`RECALLS` or a larger one, for all
            detections; nan for a class without objects.
        ap50: (C,) their mean, COCO's mAP_50 of each class.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    at_recalls: NDArray[np.float64]
    ap50: NDArray[np.float64]


def curves(done: Outcomes) -> Curves:
    """Return the curves of a set; a detection counts at confidences up to its own score."""
    count, length = len(done.objects), len(CONFIDENCES)
    precision, recall, f1 = (np.full((count, length), np.nan) for _ in range(3))
    at_recalls = np.full((count, len(RECALLS)), np.nan)
    for label, objects in enumerate(done.objects.tolist()):
        scores, hits = done.of_class(label)
        # number of detections of at least each confidence
        found = np.searchsorted(-scores, -CONFIDENCES, side='right')
        right = np.concatenate([[0], np.cumsum(hits)])[found]
        np.divide(right, found, out=precision[label], where=found > 0)
        if objects:
            recall[label] = right / objects
            f1[label] = 2 * right / (found + objects)
            at_recalls[label] = precision_at_recalls(hits, objects)
    return Curves(precision, recall, f1, at_recalls, at_recalls.mean(axis=1))


def precision_at_recalls(hits: NDArray[np.bool_], objects: int) -> NDArray[np.float64]:
    """Return (101,) precisions as COCO reads them: the best at a recall or any larger one.

    Args:
        hits: (n,) whether each detection hits, best score first.
        objects: how many there are to be found, at least one.
    """
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    precision = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return precision[np.searchsorted(right / objects, RECALLS)]


def best_confidence(found: Curves, least: float) -> float:
    """Return where the mean F1 of the classes that have objects is largest.

    Args:
        found: the curves.
        least: smallest confidence that may be chosen.

    Returns:
        The middle of the confidences of largest F1; :data:`CONFUSION_SCORE` where nothing is hit.
    """
    means = np.nan_to_num(class_mean(found.f1)) * np.greater_equal(CONFIDENCES, least)
    if not means.max() > 0:
        return CONFUSION_SCORE
    best = np.flatnonzero(means >= means.max() - 1e-9)
    # of a plateau, the part that begins it
    ends = np.flatnonzero(np.diff(best, append=best[-1] + 2) > 1)
    return float(CONFIDENCES[(best[0] + best[ends[0]]) // 2])


def class_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means (...,) over the first axis of (C, ...), of what is not nan; nan where all
    is.
    """
    known = ~np.isnan(values)
    total, number = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


class Errors(NamedTuple):
    """Counts above a confidence.

    Attributes:
        tp: detections that hit.
        fp: those that do not; on crowds they count nowhere.
        fn: objects that none hits, but crowds.
    """

    tp: int
    fp: int
    fn: int

    @property
    def f1(self) -> float:
        """F1 score; 1 where there is nothing to find and nothing is found."""
        all_of_it = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / all_of_it if all_of_it else 1.0


def image_errors(
    found: Found, truth: Truth, matches: NDArray[np.int64], confidence: float
) -> Errors:
    """Count the errors in an image among detections of at least a confidence, with matches (D,) of
    :func:`match`.
    """
    counted = matches[found.scores >= confidence]
    on_crowd = int(truth.crowd[counted[counted != NONE]].sum())
    missed = int((counted == NONE).sum())
    hits = len(counted) - missed - on_crowd
    return Errors(hits, missed, int((~truth.crowd).sum()) - hits)


def size_of(areas: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the place in :data:`SIZES` of each area (n,) in square pixels, as (n,); the smaller
    one on an edge.
    """
    return np.searchsorted(AREA_EDGES, areas, side='left')


def confusion_matrix(
    images: Sequence[tuple[NDArray[np.float64], Found, Truth]],
    num_classes: int,
    score_thr: float = CONFUSION_SCORE,
    iou_thr: float = CONFUSION_IOU,
) -> NDArray[np.int64]:
    """Count which class is found where which class is.

    Detections and objects are paired one to one whatever their classes, those of most overlap
    first. What is left over stands against the background, but for detections on a crowd of their
    class and crowds, which do not count.

    Args:
        images: overlaps (D, G), detections and objects of each image.
        num_classes: C.
        score_thr: detections of a larger score count.
        iou_thr: pairs of a larger IoU count.

    Returns:
        (C + 1, C + 1): row: class predicted, column: true class; the last of each: background.
    """
    matrix = np.zeros((num_classes + 1, num_classes + 1), dtype=np.int64)
    for iou, found, truth in images:
        counted = found.scores > score_thr
        iou, labels = iou[counted], found.labels[counted]
        free_found, free_truth = np.ones(len(labels), bool), ~truth.crowd
        rows, columns = np.nonzero((iou > iou_thr) & free_truth)
        for place in np.argsort(-iou[rows, columns], kind='stable'):
            row, column = rows[place], columns[place]
            if free_found[row] and free_truth[column]:
                free_found[row] = free_truth[column] = False
                matrix[labels[row], truth.labels[column]] += 1
        on_crowd = (iou > iou_thr) & truth.crowd & (labels[:, None] == truth.labels)
        free_found &= ~on_crowd.any(axis=1)
        matrix[:-1, -1] += np.bincount(labels[free_found], minlength=num_classes)
        matrix[-1, :-1] += np.bincount(truth.labels[free_truth], minlength=num_classes)
    return matrix
