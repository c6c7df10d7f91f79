"""Matches, curves and confusion against counting by hand."""

import numpy as np
import pytest

from mmyolo_lite.evaluation import detection_errors as errors
from mmyolo_lite.evaluation.detection_errors import CONFIDENCES, NONE, Found, Truth

NUM_CLASSES = 3


def truth_of(labels, crowd=None, areas=None) -> Truth:
    count = len(labels)
    return Truth(
        np.array(labels, dtype=np.int64),
        np.array(crowd if crowd is not None else [False] * count, dtype=np.bool_),
        np.array(areas if areas is not None else [1.0] * count),
    )


def found_of(labels, scores) -> Found:
    return Found(np.array(labels, dtype=np.int64), np.array(scores, dtype=np.float64))


def boxes_xywh(rng, count):
    return np.column_stack([rng.uniform(0, 40, (count, 2)), rng.uniform(20, 60, (count, 2))])


def random_image(rng):
    """Return overlaps, detections and objects that often are near each other."""
    objects, count = int(rng.integers(0, 6)), int(rng.integers(0, 15))
    true_boxes, labels = boxes_xywh(rng, objects), rng.integers(0, NUM_CLASSES - 1, objects)
    boxes, found_labels = boxes_xywh(rng, count), rng.integers(0, NUM_CLASSES, count)
    for place in range(count if objects else 0):
        if rng.random() < 0.7:
            near = rng.integers(objects)
            boxes[place] = true_boxes[near] + rng.normal(0, 3, 4)
            found_labels[place] = labels[near] if rng.random() < 0.8 else found_labels[place]
    truth = truth_of(labels, rng.random(objects) < 0.2)
    found = found_of(found_labels, rng.random(count).round(2))
    return errors.overlaps(boxes, true_boxes, truth.crowd), found, truth


def random_set(seed, count=12):
    rng = np.random.default_rng(seed)
    images = [random_image(rng) for _ in range(count)]
    return [(iou, found, truth, errors.match(iou, found, truth)) for iou, found, truth in images]


def matches_by_hand(iou, found, truth, least_score):
    """Return hits and ignored of detections above a score, chosen anew, without any array."""
    taken, hits, ignored = set(), set(), set()
    order = sorted(range(len(found.scores)), key=lambda one: -found.scores[one])
    for one in order:
        if found.scores[one] < least_score:
            continue
        best = None
        for column in range(len(truth.labels)):
            fits = truth.labels[column] == found.labels[one] and iou[one, column] >= 0.5
            free = column not in taken and not truth.crowd[column]
            if fits and free and (best is None or iou[one, column] >= iou[one, best]):
                best = column
        if best is not None:
            taken.add(best)
            hits.add(one)
        elif any(
            truth.crowd[column]
            and truth.labels[column] == found.labels[one]
            and iou[one, column] >= 0.5
            for column in range(len(truth.labels))
        ):
            ignored.add(one)
    return hits, ignored


@pytest.mark.parametrize('seed', range(4))
def test_curves_are_what_counting_gives(seed):
    images = random_set(seed)
    curves = errors.curves(errors.outcomes([one[1:] for one in images], NUM_CLASSES, 100))
    for place in range(0, len(CONFIDENCES), 17):
        tp, fp, objects = (np.zeros(NUM_CLASSES, int) for _ in range(3))
        for iou, found, truth, matches in images:
            hits, ignored = matches_by_hand(iou, found, truth, CONFIDENCES[place])
            for one in np.flatnonzero(found.scores >= CONFIDENCES[place]).tolist():
                tp[found.labels[one]] += one in hits
                fp[found.labels[one]] += one not in hits and one not in ignored
            objects += np.bincount(truth.labels[~truth.crowd], minlength=NUM_CLASSES)
            counted = errors.image_errors(found, truth, matches, CONFIDENCES[place])
            assert counted.tp == len(hits)
            assert counted.fn == (~truth.crowd).sum() - len(hits)
        for label in range(NUM_CLASSES):
            found_of_class = tp[label] + fp[label]
            wanted = tp[label] / found_of_class if found_of_class else np.nan
            assert curves.precision[label, place] == pytest.approx(wanted, nan_ok=True)
            wanted = tp[label] / objects[label] if objects[label] else np.nan
            assert curves.recall[label, place] == pytest.approx(wanted, nan_ok=True)
            if objects[label]:
                wanted = 2 * tp[label] / (2 * tp[label] + fp[label] + objects[label] - tp[label])
                assert curves.f1[label, place] == pytest.approx(wanted)
    assert np.isnan(curves.ap50[2]), 'a class without objects'


def perfect_set():
    rng = np.random.default_rng(1)
    images = []
    for _ in range(5):
        labels = rng.integers(0, NUM_CLASSES, 4)
        boxes = np.column_stack([np.arange(4) * 50, np.zeros(4), np.full((4, 2), 30)])
        truth, found = truth_of(labels), found_of(labels, rng.uniform(0.4, 0.9, 4))
        images.append((errors.overlaps(boxes, boxes, truth.crowd), found, truth))
    return images


def test_perfect_predictions():
    """F1 is 1 at every confidence below the scores, the matrix diagonal, all precisions 1."""
    images = perfect_set()
    matched = [(found, truth, errors.match(iou, found, truth)) for iou, found, truth in images]
    curves = errors.curves(errors.outcomes(matched, NUM_CLASSES, 100))
    assert (curves.f1[:, CONFIDENCES <= 0.4] == 1).all()
    assert (curves.ap50 == 1).all()
    assert 0.05 <= errors.best_confidence(curves, 0.05) <= 0.4
    matrix = errors.confusion_matrix(images, NUM_CLASSES)
    assert matrix.sum() == np.trace(matrix) == 20


def test_a_planted_confusion_is_in_its_cell():
    images = perfect_set()
    iou, found, truth = images[0]
    truth.labels[:] = 0
    found.labels[:] = [0, 2, 0, 0]
    found.scores[3] = 0.2  # below the threshold: missed
    matrix = errors.confusion_matrix(images[:1], NUM_CLASSES)
    wanted = np.zeros((4, 4), int)
    wanted[0, 0], wanted[2, 0], wanted[3, 0] = 2, 1, 1  # rows: predicted, columns: true
    assert matrix.tolist() == wanted.tolist()


def test_what_is_found_where_nothing_is():
    found, truth = found_of([1, 1], [0.9, 0.8]), truth_of([])
    matrix = errors.confusion_matrix([(np.zeros((2, 0)), found, truth)], NUM_CLASSES)
    assert matrix[1, NUM_CLASSES] == matrix.sum() == 2


def test_pairs_of_a_matrix_are_made_by_overlap_whatever_class_and_score():
    """Each detection and object once, the best pair first."""
    iou = np.array([[0.6, 0.7], [0.5, 0.9], [0.44, 0.46]])
    found, truth = found_of([0, 1, 2], [0.3, 0.5, 0.9]), truth_of([2, 0])
    matrix = errors.confusion_matrix([(iou, found, truth)], NUM_CLASSES)
    assert [(matrix[1, 0]), matrix[0, 2], matrix[2, 3]] == [1, 1, 1]
    assert matrix.sum() == 3


def test_crowds_are_neither_missed_nor_hit():
    boxes = np.array([[0, 0, 20, 20], [5, 5, 20, 20], [10, 0, 20, 20.0]])
    truth = truth_of([1], [True])
    found = found_of([1, 1, 0], [0.9, 0.8, 0.7])
    iou = errors.overlaps(boxes, np.array([[0, 0, 100, 100.0]]), truth.crowd)
    assert iou.tolist() == [[1], [1], [1]], 'share of the detection'
    matches = errors.match(iou, found, truth)
    assert matches.tolist() == [0, 0, NONE], 'of its class, as often as it is found'
    assert errors.image_errors(found, truth, matches, 0.25) == (0, 1, 0)
    done = errors.outcomes([(found, truth, matches)], NUM_CLASSES, 100)
    assert done.objects.tolist() == [0, 0, 0]
    assert done.of_class(1)[0].size == 0
    matrix = errors.confusion_matrix([(iou, found, truth)], NUM_CLASSES)
    assert matrix[0, NUM_CLASSES] == matrix.sum() == 1


def test_an_object_is_preferred_to_a_crowd_and_equal_ones_are_taken_from_the_last():
    iou = np.array([[0.6, 0.9, 0.6], [0.6, 0.9, 0.6], [0.6, 0.9, 0.6]])
    truth = truth_of([0, 0, 0], [False, True, False])
    assert errors.match(iou, found_of([0] * 3, [0.7, 0.9, 0.8]), truth).tolist() == [1, 2, 0]


def test_the_overlap_of_what_hits_nothing_is_the_largest_of_its_class():
    iou = np.array([[0.3, 0.4], [0.6, 0.2]])
    found, truth = found_of([0, 0], [0.9, 0.8]), truth_of([0, 1])
    matches = errors.match(iou, found, truth)
    assert matches.tolist() == [NONE, 0]
    assert errors.matched_overlaps(iou, found, truth, matches).tolist() == [0.3, 0.6]


def test_the_best_of_each_class_count():
    found = found_of([0, 1, 0, 0, 1], [0.1, 0.9, 0.5, 0.5, 0.8])
    assert errors.best_of_each_class(found, 2).tolist() == [1, 2, 3, 4]
    assert errors.best_of_each_class(found, 1).tolist() == [1, 2]


def test_without_any_hit_the_confidence_is_that_of_the_field():
    found, truth = found_of([0], [0.9]), truth_of([1])
    matches = errors.match(np.zeros((1, 1)), found, truth)
    curves = errors.curves(errors.outcomes([(found, truth, matches)], NUM_CLASSES, 100))
    assert errors.best_confidence(curves, 0.05) == 0.25
    empty = errors.curves(errors.outcomes([], NUM_CLASSES, 100))
    assert errors.best_confidence(empty, 0.05) == 0.25


def test_sizes_are_those_of_coco():
    assert errors.size_of(np.array([1, 1024, 1025, 9216, 9217.0])).tolist() == [0, 0, 1, 1, 2]


def test_an_empty_image_without_detections_is_right():
    assert errors.Errors(0, 0, 0).f1 == 1
    assert errors.Errors(0, 1, 0).f1 == 0
