"""The results of a validation as one JSON file: what was found, what there was, curves, tables.

Reports and pictures are made from it.
"""

import math
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.datasets.file_io import read_json, write_json
from mmyolo_lite.errors import DataError
from mmyolo_lite.evaluation import coco_scores
from mmyolo_lite.evaluation import detection_errors as errors
from mmyolo_lite.evaluation.coco_metric import Evaluation
from mmyolo_lite.evaluation.image_matches import Judged, Part, judge
from mmyolo_lite.evaluation.results_shape import refuse_malformed

VERSION = 1
KINDS = ('bbox', 'segm')
LEAST_SCORE = 0.05
MAX_FOUND = 100
"""Detections of an image that the file holds, of those of at least :data:`LEAST_SCORE`."""


def results_content(
    evaluation: Evaluation, epoch: int, iteration: int, scores: Mapping[str, float]
) -> dict[str, Any]:
    """Return the content of a results file.

    Args:
        evaluation: what a metric has kept.
        epoch: of training.
        iteration: of training.
        scores: of the validation, with their prefixes.
    """
    kinds = [kind for kind in KINDS if kind in evaluation.objects]
    objects = {kind: pickle.loads(evaluation.objects[kind]) for kind in kinds}
    images = [without_weak_masks(image) for image in judge(evaluation.results, objects)]
    classes = [str(name) for name in evaluation.dataset_meta['classes']]
    parts = {kind: [image.parts[kind] for image in images] for kind in kinds}
    found = {
        kind: errors.curves(
            errors.outcomes(
                ((part.found, part.truth, part.matches) for part in parts[kind]),
                len(classes),
                evaluation.max_dets,
            )
        )
        for kind in kinds
    }
    best = {kind: errors.best_confidence(found[kind], LEAST_SCORE) for kind in kinds}
    content: dict[str, Any] = {
        'version': VERSION,
        'epoch': int(epoch),
        'iter': int(iteration),
        'scores': {name: plain(value, 6) for name, value in scores.items()},
        'classes': classes,
        'palette': [list(map(int, one)) for one in evaluation.dataset_meta.get('palette') or ()],
        'kinds': kinds,
        'curves': {kind: curves_entry(found[kind], classes, best[kind]) for kind in kinds},
        'confusion': {
            kind: confusion_entry([part.confident for part in parts[kind]], classes)
            for kind in kinds
        },
        'per_class': {},
        'per_size': {},
    }
    for kind in kinds:
        table = evaluation.evaluated.get(kind)
        content['per_class'][kind] = per_class(parts[kind], found[kind], classes, best[kind], table)
        content['per_size'][kind] = per_size(parts[kind], best[kind], table)
    content['images'] = [image_entry(image, best) for image in images]
    return content


def without_weak_masks(image: Judged) -> Judged:
    """Return an image without the masks that the file has no place for: they are the most."""
    if 'masks' not in image.result:
        return image
    masks = image.result['masks'][: len(_kept(image))]
    return replace(image, result={**image.result, 'masks': masks})


def _kept(image: Judged) -> NDArray[np.intp]:
    return np.flatnonzero(image.result['scores'] >= LEAST_SCORE)[:MAX_FOUND]


def plain(value: Any, digits: int = 4) -> Any:
    """Return a rounded number; None for what is none: not finite, or -1, COCO's "no object"."""
    value = float(value)
    return None if not math.isfinite(value) or value == -1 else round(value, digits)


def plain_list(values: NDArray[np.float64], digits: int = 4) -> list[float | None]:
    """Return the numbers (n,) rounded, None in place of nan."""
    return [None if value != value else value for value in values.round(digits).tolist()]


def curves_entry(found: errors.Curves, classes: Sequence[str], best: float) -> dict[str, Any]:
    """Return the curves of each class; of one without objects, empty lists but for confidence and
    precision.
    """
    entries = []
    for label, name in enumerate(classes):
        exists = not np.isnan(found.ap50[label])
        entries.append(
            {
                'name': name,
                'confidence': errors.CONFIDENCES.round(4).tolist(),
                'precision': plain_list(found.precision[label]),
                'recall': plain_list(found.recall[label]) if exists else [],
                'f1': plain_list(found.f1[label]) if exists else [],
                'pr_recall': errors.RECALLS.round(4).tolist() if exists else [],
                'pr_precision': plain_list(found.at_recalls[label]) if exists else [],
                'ap50': plain(found.ap50[label], 6),
            }
        )
    return {'classes': entries, 'best_confidence': plain(best)}


def confusion_entry(
    images: Sequence[tuple[NDArray[np.float64], errors.Found, errors.Truth]],
    classes: Sequence[str],
    score_thr: float = errors.CONFUSION_SCORE,
    iou_thr: float = errors.CONFUSION_IOU,
) -> dict[str, Any]:
    """Return a confusion matrix and what it was counted with: ``matrix[predicted][true]``.

    Args:
        images: overlaps (D, G), detections and objects of each image.
        classes: C names by label.
        score_thr: least confidence of a detection that counts.
        iou_thr: least overlap of a detection with the object it is counted with.
    """
    matrix = errors.confusion_matrix(images, len(classes), score_thr, iou_thr)
    return {
        'labels': [*classes, 'background'],
        'rows': 'predicted',
        'columns': 'true',
        'matrix': matrix.tolist(),
        'score_thr': score_thr,
        'iou_thr': iou_thr,
    }


def per_class(
    parts: Sequence[Part],
    found: errors.Curves,
    classes: Sequence[str],
    confidence: float,
    table: coco_scores.Evaluated | None,
) -> list[dict[str, Any]]:
    """Return a row a class: precision, recall and F1 at a confidence, and COCO's scores."""
    images = np.zeros(len(classes), dtype=np.int64)
    objects = images.copy()
    for part in parts:
        counts = np.bincount(part.truth.labels[~part.truth.crowd], minlength=len(classes))
        objects += counts
        images += counts > 0
    place = int(np.searchsorted(errors.CONFIDENCES, confidence - 1e-9))
    rows = []
    for label, name in enumerate(classes):
        scores = [math.nan] * 6 if table is None else coco_scores.class_scores(table, label)
        names = ('ap', 'ap50', 'ap75', 'ap_small', 'ap_medium', 'ap_large')
        rows.append(
            {
                'name': name,
                'images': int(images[label]),
                'objects': int(objects[label]),
                'precision': plain(found.precision[label, place]),
                'recall': plain(found.recall[label, place]),
                'f1': plain(found.f1[label, place]),
                **{key: plain(value) for key, value in zip(names, scores, strict=True)},
            }
        )
    return rows


def per_size(
    parts: Sequence[Part], confidence: float, table: coco_scores.Evaluated | None
) -> list[dict[str, Any]]:
    """Return a row a size: COCO's precision, and the share of objects found at a confidence."""
    objects, hit = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    for part in parts:
        sizes = errors.size_of(part.truth.areas)
        hits = part.matches[(part.found.scores >= confidence) & (part.matches != errors.NONE)]
        hits = hits[~part.truth.crowd[hits]]
        objects += np.bincount(sizes[~part.truth.crowd], minlength=3)
        hit += np.bincount(sizes[hits], minlength=3)
    rows = []
    for number, size in enumerate(errors.SIZES):
        ap = math.nan
        if table is not None:
            ap = coco_scores.mean_score(table.precision[..., number + 1, -1])
        recall = hit[number] / objects[number] if objects[number] else math.nan
        rows.append(
            {
                'size': size,
                'objects': int(objects[number]),
                'ap': plain(ap),
                'recall': plain(recall),
            }
        )
    return rows


def image_entry(image: Judged, confidence: Mapping[str, float]) -> dict[str, Any]:
    """Return the entry of an image.

    Args:
        image: with its matches.
        confidence: by kind, from which on detections count as errors.
    """
    counts = {
        kind: errors.image_errors(part.found, part.truth, part.matches, confidence[kind])
        for kind, part in image.parts.items()
    }
    return {
        'id': image.truth['img_id'],
        'path': image.truth.get('path'),
        'height': int(image.truth['height']),
        'width': int(image.truth['width']),
        'gt': list(_true_entries(image)),
        'pred': list(_found_entries(image)),
        'errors': {kind: one._asdict() for kind, one in counts.items()},
        'f1': {kind: plain(one.f1) for kind, one in counts.items()},
    }


def _true_entries(image: Judged) -> Iterator[dict[str, Any]]:
    kinds = [kind for kind in KINDS if kind in image.entries]
    for entries in zip(*(image.entries[kind] for kind in kinds), strict=True):
        by_kind = dict(zip(kinds, entries, strict=True))
        first = entries[0]
        entry: dict[str, Any] = {
            'bbox': _corners(first),
            'label': first['category_id'],
            'crowd': int(first['iscrowd']),
        }
        # scoring makes a crowd of an object without a mask
        if 'segm' in by_kind and by_kind['segm']['iscrowd'] == first['iscrowd']:
            entry['segmentation'] = as_text(by_kind['segm']['segmentation'])
        yield entry


def _corners(entry: Mapping[str, Any]) -> list[float]:
    """Return the box of an object as x1, y1, x2, y2, around its mask where there is no other."""
    from pycocotools import mask as coco_mask

    x, y, width, height = (
        entry['bbox'] if 'bbox' in entry else coco_mask.toBbox(entry['segmentation']).tolist()
    )
    return [round(float(value), 2) for value in (x, y, x + width, y + height)]


def _found_entries(image: Judged) -> Iterator[dict[str, Any]]:
    result = image.result
    boxes = result['bboxes'].round(2).tolist()
    matches = {kind: part.matches.tolist() for kind, part in image.parts.items()}
    overlap = {kind: part.overlap.round(3).tolist() for kind, part in image.parts.items()}
    for place in _kept(image).tolist():
        entry: dict[str, Any] = {
            'bbox': boxes[place],
            'label': int(result['labels'][place]),
            'score': round(float(result['scores'][place]), 5),
        }
        if 'masks' in result:
            entry['segmentation'] = as_text(result['masks'][place])
        entry['match'] = {kind: values[place] for kind, values in matches.items()}
        entry['iou'] = {kind: values[place] for kind, values in overlap.items()}
        yield entry


def as_text(mask: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run-length mask as JSON takes it."""
    counts = mask['counts']
    text = counts.decode() if isinstance(counts, bytes) else counts
    return {'size': [int(side) for side in mask['size']], 'counts': text}


def write_results(content: Mapping[str, Any], path: Path) -> None:
    """Write a results file, whole or not at all.

    Raises:
        DataError: it cannot be written.
    """
    write_json(content, path)


def read_results(path: Path, complete: bool = False) -> dict[str, Any]:
    """Return the content of a results file.

    Args:
        path: of the file.
        complete: check all that a report reads, too; else that is the caller's to do.

    Raises:
        DataError: it is missing, no results file of this version, or malformed.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get('images'), list):
        raise DataError(
            f'{path} is no file of results: give a val_results.json or test_results.json of a work '
            'dir, or the .pkl of tools/test.py --out.'
        )
    if content.get('version') != VERSION:
        raise DataError(
            f'{path} has version {content.get("version")!r}; this program reads {VERSION}. '
            'Validate again.'
        )
    if complete:
        refuse_malformed(content, path)
    return content
