"""COCO scores of detections, by pycocotools or by faster-coco-eval, equal in both.

Ids of files may be texts, or too large for a float, so that images, classes and objects are
numbered anew before a backend sees them. Masks are run-length masks throughout, checked before.

Letters: T thresholds of IoU, R recalls, C classes, A ranges of area, M limits of detections.
"""

import contextlib
import importlib
import io
import itertools
import math
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.compat.coco_api import corners_of_box, usable_segmentation
from mmyolo_lite.errors import ConfigError, DataError, DependencyError

BACKENDS = ('auto', 'faster_coco_eval', 'pycocotools')
AREAS = ('all', 'small', 'medium', 'large')
STATS = (
    *('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l'),
    *('AR@100', 'AR@300', 'AR@1000', 'AR_s@1000', 'AR_m@1000', 'AR_l@1000'),
)
"""Names of the twelve scores, mmdet's; recalls are for the first, second and third limit."""

MAX_PIXELS = 2**32 - 1
"""Of an image: run lengths have 32 bits."""


def choose_backend(name: str) -> str:
    """Return the backend to use: ``auto`` is faster-coco-eval where it can be imported.

    Raises:
        ConfigError: there is no such backend.
        DependencyError: it is not installed.
    """
    if name not in BACKENDS:
        raise ConfigError(f'backend={name!r} of CocoMetric is none of {", ".join(BACKENDS)}')
    if name == 'pycocotools':
        return name
    try:
        importlib.import_module('faster_coco_eval')
    except ImportError as error:
        if name == 'auto':
            return 'pycocotools'
        raise DependencyError(
            "CocoMetric with backend='faster_coco_eval' needs faster-coco-eval, which cannot be "
            f'imported ({error}): pip install "faster-coco-eval>=1.6", or leave backend out.'
        ) from error
    return 'faster_coco_eval'


class Limits(NamedTuple):
    """What an evaluation asks for.

    Attributes:
        iou_thrs: T thresholds, ascending.
        max_dets: M numbers of best detections an image and class, ascending.
    """

    iou_thrs: NDArray[np.float64]
    max_dets: tuple[int, ...]


class Objects(NamedTuple):
    """The true objects of a set, numbered anew.

    Attributes:
        entries: COCO annotations; ``image_id`` is a rank among the images, ``category_id`` a class
            by its place in the config, ``segmentation`` a run-length mask if masks were asked for.
        ranks: rank of each image by its id; equal scores count in this order.
        num_classes: C.
    """

    entries: list[dict[str, Any]]
    ranks: dict[int | str, int]
    num_classes: int


def true_objects(truth: Mapping[str, list[dict]], classes: Sequence[str], masks: bool) -> Objects:
    """Number the objects of the given classes anew.

    Args:
        truth: content of an annotation file.
        classes: C names of the config.
        masks: make run-length masks. An object without a usable one becomes a crowd of the form of
            its box: neither it nor what is found on it counts.

    Returns:
        The objects. The id 0 stays, which all evaluations of COCO take for "not matched".
    """
    label = {name: place for place, name in enumerate(classes)}
    labels = {one['id']: label[one['name']] for one in truth['categories'] if one['name'] in label}
    sizes = {image['id']: (int(image['height']), int(image['width'])) for image in truth['images']}
    ids = sorted(sizes, key=lambda image_id: (isinstance(image_id, str), image_id))
    ranks = {image_id: rank for rank, image_id in enumerate(ids)}
    entries = []
    for number, one in enumerate(truth['annotations'], 1):
        if one['category_id'] not in labels:
            continue
        entry = {
            'id': 0 if one['id'] == 0 else number,
            'image_id': ranks[one['image_id']],
            'category_id': labels[one['category_id']],
            'area': one['area'],
            'iscrowd': int(one.get('iscrowd', 0)),
        }
        if masks:
            _add_mask(entry, one, sizes[one['image_id']])
        else:
            entry['bbox'] = one['bbox']
        entries.append(entry)
    return Objects(entries, ranks, len(classes))


def _add_mask(entry: dict[str, Any], annotation: dict, size_hw: tuple[int, int]) -> None:
    """Add the run-length mask of an annotation, or that of its box, as a crowd."""
    from pycocotools import mask as coco_mask

    height, width = size_hw
    if height * width > MAX_PIXELS:
        raise DataError(
            f'The annotation with id {annotation["id"]!r} lies in an image of {width} x {height} '
            'pixels, for which COCO scores no masks. Correct the size of the image.'
        )
    segmentation = usable_segmentation(annotation.get('segmentation'), size_hw)
    if segmentation is None:
        entry['iscrowd'] = 1
        segmentation = [corners_of_box(annotation['bbox'], size_hw)]
    if isinstance(segmentation, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation['counts'], list):
        rle = coco_mask.frPyObjects(segmentation, height, width)
    else:
        rle = segmentation
    entry['segmentation'] = {'size': [height, width], 'counts': _as_bytes(rle['counts'])}


def _as_bytes(counts: str | bytes) -> bytes:
    return counts.encode() if isinstance(counts, str) else counts


@dataclass(frozen=True)
class PackedMasks:
    """The run-length masks of an image in two blocks of memory, in place of three objects a mask.

    Attributes:
        counts: compressed counts of all masks, one after another.
        lengths: (n,) int32 numbers of letters of each.
        sizes_hw: (n, 2) int32.
    """

    counts: bytes
    lengths: NDArray[np.int32]
    sizes_hw: NDArray[np.int32]

    @classmethod
    def of(cls, masks: Sequence[Mapping[str, Any]]) -> 'PackedMasks':
        """Pack n run-length masks with compressed counts, bytes or text."""
        counts = [_as_bytes(mask['counts']) for mask in masks]
        sizes = np.array([mask['size'] for mask in masks], dtype=np.int32).reshape(-1, 2)
        return cls(b''.join(counts), np.array(list(map(len, counts)), dtype=np.int32), sizes)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        start = 0
        for length, size in zip(self.lengths.tolist(), self.sizes_hw.tolist(), strict=True):
            yield {'size': size, 'counts': self.counts[start : start + length]}
            start += length


def found_objects(
    results: Iterable[Mapping[str, Any]], ranks: Mapping[Any, int], masks: bool
) -> list[dict[str, Any]]:
    """Return detections as COCO annotations, numbered as :func:`true_objects` does.

    Args:
        results: an image each: ``img_id``, ``bboxes`` (n, 4) xyxy pixels, ``labels`` (n,),
            ``scores`` (n,), and for masks ``masks``, n run-length masks with bytes, and if
            they have scores of their own ``mask_scores`` (n,).
        ranks: rank of each image by its id.
        masks: take masks, whose areas count then, in place of boxes.

    Raises:
        DataError: an image is not in the annotation file.
    """
    entries: list[dict[str, Any]] = []
    for result in results:
        if result['img_id'] not in ranks:
            raise DataError(
                f'There are predictions for the image with id {result["img_id"]!r}, which is not '
                'in the annotation file of the metric. Give ann_file of the dataset to the metric.'
            )
        rank, labels = ranks[result['img_id']], result['labels'].tolist()
        scores = result.get('mask_scores', result['scores']) if masks else result['scores']
        scores = np.nan_to_num(scores.astype(np.float64), nan=-math.inf)  # last, in every backend
        if masks:
            key, places = 'segmentation', list(result['masks'])
            areas = mask_areas(places)
        else:
            boxes = result['bboxes'].astype(np.float64).reshape(-1, 4)
            boxes[~np.isfinite(boxes).all(axis=1)] = 0  # to pycocotools nan overlaps everything
            boxes[:, 2:] -= boxes[:, :2]
            key, places, areas = 'bbox', boxes.tolist(), boxes[:, 2] * boxes[:, 3]
        for label, score, area, place in zip(
            labels, scores.tolist(), areas.tolist(), places, strict=True
        ):
            entries.append(
                {
                    'id': len(entries) + 1,
                    'image_id': rank,
                    'category_id': label,
                    'score': score,
                    'area': area,
                    'iscrowd': 0,
                    key: place,
                }
            )
    return entries


def mask_areas(masks: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    """Return (n,) areas in pixels of n run-length masks."""
    from pycocotools import mask as coco_mask

    # pycocotools 2.0.11 counts masks in a byte on the way
    parts = [coco_mask.area(masks[start : start + 255]) for start in range(0, len(masks), 255)]
    return np.concatenate([np.zeros(0), *parts])


class Evaluated(NamedTuple):
    """Curves of an evaluation; -1 where there is no true object.

    Attributes:
        precision: (T, R, C, A, M).
        recall: (T, C, A, M).
        limits: what was asked for.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    limits: Limits


def evaluate(
    truth: Objects, found: list[dict[str, Any]], limits: Limits, backend: str
) -> Evaluated:
    """Match detections with true objects, by masks where they have them, otherwise by boxes.

    Args:
        truth: the objects; their entries are changed.
        found: at least one detection; they are changed too.
        limits: thresholds and numbers of detections.
        backend: ``faster_coco_eval`` or ``pycocotools``.
    """
    kind = 'segm' if 'segmentation' in found[0] else 'bbox'
    build = _build_faster if backend == 'faster_coco_eval' else _build_plain
    evaluation = build(truth, found, kind)
    evaluation.params.imgIds = list(range(len(truth.ranks)))
    evaluation.params.catIds = list(range(truth.num_classes))
    evaluation.params.iouThrs = limits.iou_thrs
    evaluation.params.maxDets = list(limits.max_dets)
    with contextlib.redirect_stdout(io.StringIO()):  # progress of no interest
        evaluation.evaluate()
        evaluation.accumulate()
    curves = evaluation.eval
    return Evaluated(np.asarray(curves['precision']), np.asarray(curves['recall']), limits)


def _build_plain(truth: Objects, found: list[dict], kind: str) -> Any:
    """Return pycocotools' evaluation of what is prepared already."""
    from pycocotools.cocoeval import COCOeval

    class Prepared(COCOeval):
        _gts: dict[tuple[int, int], list]
        _dts: dict[tuple[int, int], list]
        evalImgs: Any
        eval: Any

        def _prepare(self) -> None:
            self._gts, self._dts = defaultdict(list), defaultdict(list)
            for objects, groups in ((truth.entries, self._gts), (found, self._dts)):
                for one in objects:
                    groups[one['image_id'], one['category_id']].append(one)
            for one in truth.entries:
                one['ignore'] = one['iscrowd']
            self.evalImgs, self.eval = [], {}

    return Prepared(iouType=kind)


def _build_faster(truth: Objects, found: list[dict], kind: str) -> Any:
    """Return faster-coco-eval's evaluation, which takes run-length masks as they are."""
    from faster_coco_eval import COCO, COCOeval_faster

    class Prepared(COCOeval_faster):
        def _prepare(self) -> None:
            # makes and copies no run-length masks: the objects have theirs
            self.params.compute_rle = False
            super()._prepare()
            self.params.compute_rle = kind == 'segm'

    images = [{'id': rank} for rank in range(len(truth.ranks))]
    categories = [{'id': label} for label in range(truth.num_classes)]
    shared = {'images': images, 'categories': categories}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # of id 0; reading the file says it already
        objects = COCO({**shared, 'annotations': truth.entries})
    for one in itertools.chain(truth.entries, found) if kind == 'segm' else ():
        one['rle'] = one['segmentation']
    results = COCO({**shared, 'annotations': found})
    evaluation = Prepared(objects, results, kind, print_function=lambda *_: None)
    evaluation.rle_iou_max_workers = 1  # threads take turns, and change places at a price
    return evaluation


def summary(evaluated: Evaluated) -> tuple[NDArray[np.float64], list[str]]:
    """Return the twelve scores (12,) in the order of :data:`STATS`, and a line about each.

    As pycocotools: the mean over all thresholds for at most 100 detections, what follows for the
    third limit (the last, if there are fewer); -1 where nothing can be said.
    """
    limits, lines, stats = evaluated.limits, [], []
    counts = limits.max_dets
    most = counts[min(2, len(counts) - 1)]
    asked: list[tuple[str, float | None, str, int]] = [('Precision', None, 'all', 100)]
    asked += [('Precision', threshold, 'all', most) for threshold in (0.5, 0.75)]
    asked += [('Precision', None, area, most) for area in AREAS[1:]]
    asked += [('Recall', None, 'all', counts[min(i, len(counts) - 1)]) for i in range(3)]
    asked += [('Recall', None, area, most) for area in AREAS[1:]]
    first, last = limits.iou_thrs[[0, -1]]
    for what, threshold, area, count in asked:
        curve = evaluated.precision if what == 'Precision' else evaluated.recall
        chosen = limits.iou_thrs == threshold if threshold else slice(None)
        at_count = [place for place, one in enumerate(counts) if one == count]
        value = mean_score(curve[chosen][..., AREAS.index(area), at_count], empty=-1.0)
        stats.append(value)
        thresholds = f'{threshold:0.2f}' if threshold else f'{first:0.2f}:{last:0.2f}'
        short = '(AP)' if what == 'Precision' else '(AR)'
        lines.append(
            f' {"Average " + what:<18} {short} @[ IoU={thresholds:<9} | area={area:>6s} | '
            f'maxDets={count:>3d} ] = {value:0.3f}'
        )
    return np.array(stats), lines


def mean_score(values: NDArray[np.float64], empty: float = math.nan) -> float:
    """Return the mean of scores of any shape, 0 to 1, but for those of -1, or `empty` if there are
    none.
    """
    values = values[values > -1]
    return float(np.mean(values)) if values.size else empty


def class_scores(evaluated: Evaluated, label: int) -> list[float]:
    """Return six mean precisions of a class, nan where it has no object: over all thresholds, at
    0.5, at 0.75, and of small, medium and large objects.
    """
    precision, thresholds = evaluated.precision[:, :, label, :, -1], evaluated.limits.iou_thrs
    at_one = [precision[thresholds == threshold, :, 0] for threshold in (0.5, 0.75)]
    curves = [precision[..., 0], *at_one, *(precision[..., area] for area in (1, 2, 3))]
    return [mean_score(curve) for curve in curves]
