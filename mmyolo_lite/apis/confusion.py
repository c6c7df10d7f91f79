"""Which class is taken for which: a confusion matrix from the predictions of a test."""

import pickle
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from mmyolo_lite.apis.datasets import build_datasets
from mmyolo_lite.compat.coco_api import usable_segmentation
from mmyolo_lite.datasets.coco_checks import few_letters, is_id, structural_defects
from mmyolo_lite.datasets.coco_truth import read_truth, unpacked_truth
from mmyolo_lite.datasets.file_io import read_file, write_json
from mmyolo_lite.errors import ConfigError, DataError, UserError
from mmyolo_lite.evaluation import coco_scores
from mmyolo_lite.evaluation.detection_errors import CONFUSION_IOU, CONFUSION_SCORE
from mmyolo_lite.evaluation.image_matches import judge
from mmyolo_lite.evaluation.results_file import LEAST_SCORE, confusion_entry, read_results
from mmyolo_lite.visualization.curve_plots import plot_confusion
from mmyolo_lite.visualization.picture_files import save_figure
from mmyolo_lite.whole_files import check_out_dir

_MALFORMED = (
    *(KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError),
    RuntimeError,  # of tensors
)

WITHOUT_WINDOWS = ('agg', 'cairo', 'pdf', 'pgf', 'ps', 'svg', 'template')
"""Backends of matplotlib that only write files."""
Results = list[tuple[dict[str, Any], dict[str, Any]]]
"""Truth and predictions of each image, as :class:`mmyolo_lite.evaluation.image_matches` takes
them."""


def confusion(
    config: Config,
    predictions: str | Path,
    kind: str = 'bbox',
    score_thr: float = CONFUSION_SCORE,
    iou_thr: float = CONFUSION_IOU,
) -> dict[str, Any]:
    """Return a confusion matrix: rows are predicted classes, columns true ones.

    Args:
        config: its ``test_dataloader`` has the classes and the true objects; where `predictions`
            is a JSON file, that has them.
        predictions: the pickle of ``tools/test.py --out``, or ``val_results.json`` or
            ``test_results.json`` of a work dir.
        kind: compare ``bbox`` or ``segm``.
        score_thr: detections of a larger score count.
        iou_thr: pairs of a larger IoU count.

    Returns:
        ``labels``, the classes and ``background``; ``matrix``, ``score_thr``, ``iou_thr``.

    Raises:
        ConfigError: a threshold is none of 0 to 1, or no test set is configured.
        DataError: the predictions cannot be used, or do not fit the test set.
    """
    path = Path(predictions)
    _check_thresholds(score_thr, iou_thr, path)
    if path.suffix == '.json':
        truth, results, classes = _of_json(path)
    else:
        truth, results, classes = _of_pickle(path, config)
    try:
        _check_predictions(results, len(classes), kind, path)
    except UserError:
        raise
    except _MALFORMED as error:
        raise _unusable(path, f'{type(error).__name__}: {error}') from error
    objects = coco_scores.true_objects(truth, classes, masks=kind == 'segm')
    missing = [one['img_id'] for one, _ in results if one['img_id'] not in objects.ranks]
    if missing:
        raise DataError(
            f'{path} has predictions for the image with id {missing[0]!r}, which is not in the '
            'test set of the config: give the config of the test'
        )
    images = judge(results, {kind: objects}, least_score=score_thr)
    return confusion_entry(
        [image.parts[kind].confident for image in images], classes, score_thr, iou_thr
    )


def _check_thresholds(score_thr: float, iou_thr: float, path: Path) -> None:
    for name, value in (('--score-thr', score_thr), ('--iou-thr', iou_thr)):
        if not 0 <= value <= 1:
            raise ConfigError(f'{name} is {value}; it must be between 0 and 1')
    if path.suffix == '.json' and score_thr < LEAST_SCORE:
        raise ConfigError(
            f'--score-thr is {score_thr}, but {path} holds detections from {LEAST_SCORE} on: give '
            'the .pkl of tools/test.py --out'
        )


def _of_pickle(path: Path, config: Config) -> tuple[dict, Results, list[str]]:
    """Return true objects in COCO's form, predictions and classes of a pickle."""
    samples = _read_pickle(path)
    (dataset, *others) = build_datasets(config, 'test_dataloader')
    if others:
        raise ConfigError('test_dataloader has several data sets; a confusion matrix needs one')
    truth = unpacked_truth(read_truth(dataset.ann_file, dataset.backend_args))
    try:
        results = [_result_of(sample) for sample in samples]
    except _MALFORMED as error:
        raise _unusable(path, f'{type(error).__name__}: {error}') from error
    return truth, results, list(dataset.metainfo['classes'])


def _read_pickle(path: Path) -> list[Any]:
    try:
        samples = pickle.loads(read_file(path))
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error})') from error
    except Exception as error:  # unpickling a damaged file raises whatever it trips over
        raise _unusable(path, f'{type(error).__name__}: {error}') from error
    if not isinstance(samples, list):
        raise _unusable(path, f'it holds a {type(samples).__name__}, no list')
    return samples


def _result_of(sample: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    if not isinstance(sample, dict) or not isinstance(sample['pred_instances'], dict):
        raise TypeError('an image is no dict with a dict of predictions')
    height, width = (int(side) for side in tuple(sample['ori_shape'])[:2])
    found = sample['pred_instances']
    result: dict[str, Any] = {
        name: np.asarray(found[name]) for name in ('bboxes', 'scores', 'labels')
    }
    if 'masks' in found:
        result['masks'] = list(found['masks'])
    if not is_id(sample['img_id']):
        raise ValueError(f'the id of an image is {few_letters(sample["img_id"])}')
    return {'img_id': sample['img_id'], 'height': height, 'width': width}, result


def _of_json(path: Path) -> tuple[dict, Results, list[str]]:
    """Return true objects in COCO's form, predictions and classes of a file of results."""
    content = read_results(path)
    truth: dict[str, Any] = {'images': [], 'annotations': [], 'categories': []}
    results = []
    try:
        classes = [str(name) for name in content['classes']]
        for label, name in enumerate(classes):
            truth['categories'].append({'id': label, 'name': name})
        for number, image in enumerate(content['images']):
            size = {'height': image['height'], 'width': image['width']}
            truth['images'].append({'id': number, 'file_name': str(number), **size})
            for one in image['gt']:
                annotation = _annotation(one, number, len(truth['annotations']) + 1)
                truth['annotations'].append(annotation)
            results.append(({'img_id': number, **size}, _found_in(image['pred'])))
    except _MALFORMED as error:
        raise _unusable(path, f'{type(error).__name__}: {error}') from error
    if len(set(classes)) < len(classes):
        raise _unusable(path, 'it names a class twice')
    for defect in structural_defects(truth):
        raise _unusable(path, defect.text)
    for annotation in truth['annotations']:
        if annotation['category_id'] not in range(len(classes)):
            raise _unusable(path, f'an object has the label {annotation["category_id"]!r}')
    return truth, results, classes


def _annotation(entry: Mapping[str, Any], image: int, number: int) -> dict[str, Any]:
    left, top, right, bottom = entry['bbox']
    annotation = {
        'id': number,
        'image_id': image,
        'category_id': entry['label'],
        'bbox': [left, top, right - left, bottom - top],
        'area': (right - left) * (bottom - top),
        'iscrowd': int(bool(entry['crowd'])),
    }
    if entry.get('segmentation') is not None:
        annotation['segmentation'] = entry['segmentation']
    return annotation


def _found_in(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        'bboxes': np.array([one['bbox'] for one in entries], dtype=np.float64).reshape(-1, 4),
        'scores': np.array([one['score'] for one in entries], dtype=np.float64),
        'labels': np.array([one['label'] for one in entries]).astype(np.int64, casting='safe')
        if entries
        else np.zeros(0, dtype=np.int64),
    }
    if all('segmentation' in one for one in entries):
        found['masks'] = [one['segmentation'] for one in entries]
    return found


def _check_predictions(results: Results, num_classes: int, kind: str, path: Path) -> None:
    """Check what a matrix is counted from, and make all masks of bytes.

    Raises:
        DataError: it cannot be used.
    """
    for truth, found in results:
        boxes, scores, labels = (found[name] for name in ('bboxes', 'scores', 'labels'))
        where = f'image {truth["img_id"]!r}'
        if boxes.shape != (len(scores), 4) or scores.ndim != 1 or labels.shape != scores.shape:
            raise _unusable(path, f'{where} has not as many boxes as scores and labels')
        numeric = all(array.dtype.kind in 'fiu' for array in (boxes, scores))
        if not numeric or labels.dtype.kind not in 'iu':
            raise _unusable(path, f'{where} has boxes, scores or labels that are no numbers')
        if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
            raise _unusable(
                path, f'{where} has a label beyond the {num_classes} classes of the config'
            )
        if kind == 'segm':
            found['masks'] = _checked_masks(truth, found, where, path)
        else:
            found.pop('masks', None)


def _checked_masks(
    truth: Mapping[str, Any], found: Mapping[str, Any], where: str, path: Path
) -> list[dict[str, Any]]:
    masks, size = found.get('masks'), (truth['height'], truth['width'])
    if masks is None:
        raise DataError(f'{path} holds no masks: leave --kind out, or test a model that has them')
    if len(masks) != len(found['scores']):
        raise _unusable(path, f'{where} has not as many masks as scores')
    checked = []
    for mask in masks:
        counts, sides = (
            (mask.get('counts'), mask.get('size')) if isinstance(mask, dict) else (None, None)
        )
        text = counts.decode('latin-1') if isinstance(counts, bytes) else counts
        # as in a file of annotations, where nothing can lead the C code astray
        plain = {'size': list(size), 'counts': text}
        fits = isinstance(sides, (list, tuple)) and list(sides) == list(size)
        if not fits or not isinstance(text, str) or usable_segmentation(plain, size) is None:
            raise _unusable(path, f'{where} has a damaged mask')
        checked.append({'size': list(size), 'counts': text.encode()})
    return checked


def _unusable(path: Path, reason: str) -> DataError:
    return DataError(
        f'{path} cannot be used ({reason}): give the .pkl of tools/test.py --out, or a '
        'val_results.json or test_results.json'
    )


def check_output(save_dir: str | Path, color_theme: str = 'Blues', show: bool = False) -> None:
    """Refuse before the work starts what :func:`save_confusion` would refuse behind it."""
    import matplotlib

    if color_theme not in matplotlib.colormaps:
        raise ConfigError(
            f'--color-theme is {color_theme!r}, no colour map of matplotlib; Blues, viridis and '
            'plasma are some'
        )
    if show and not _has_windows():
        raise ConfigError('--show: no window can be opened here. Leave it out.')
    check_out_dir(Path(save_dir))


def _has_windows() -> bool:
    """Say whether matplotlib can open windows."""
    import matplotlib.pyplot as plt

    try:
        plt.switch_backend(plt.get_backend())
    except ImportError:  # a backend that is asked for and needs a display
        return False
    return plt.get_backend().lower() not in WITHOUT_WINDOWS


def save_confusion(
    entry: Mapping[str, Any],
    kind: str,
    save_dir: str | Path,
    color_theme: str = 'Blues',
    show: bool = False,
) -> list[Path]:
    """Write a confusion matrix as two figures, counted and divided by columns, and as JSON.

    Args:
        entry: what :func:`confusion` returns.
        kind: ``bbox`` or ``segm``.
        save_dir: is made if needed.
        color_theme: a colour map of matplotlib.
        show: show the second figure in a window too.

    Returns:
        The paths written.

    Raises:
        ConfigError: there is no such colour map, or no window can be opened.
        DataError: the folder cannot be made or written.
    """
    check_output(save_dir, color_theme, show)
    folder, start = Path(save_dir), '' if kind == 'bbox' else 'mask_'
    paths = [folder / f'{start}confusion_matrix{end}.png' for end in ('', '_normalized')]
    write_json(dict(entry), folder / f'{start}confusion_matrix.json')
    for path, normalized in zip(paths, (False, True), strict=True):
        draw = partial(plot_confusion, entry, kind, normalized=normalized, color_theme=color_theme)
        try:
            save_figure(draw, path)
        except OSError as error:
            raise DataError(f'{path}: cannot be written ({error})') from error
    if show:
        _show(draw)
    return [*paths, folder / f'{start}confusion_matrix.json']


def _show(draw: Any) -> None:
    import matplotlib.pyplot as plt

    draw(plt.figure(layout='constrained'))
    plt.show()


def describe(entry: Mapping[str, Any]) -> list[str]:
    """Return the matrix in words: what is right, missed, found where nothing is, and mistaken."""
    matrix = np.array(entry['matrix'])
    inner = matrix[:-1, :-1]
    right = int(np.trace(inner))
    lines = [
        f'{right} right, {int(inner.sum()) - right} taken for another class, '
        f'{int(matrix[-1].sum())} missed, {int(matrix[:-1, -1].sum())} found where nothing is '
        f'(score > {entry["score_thr"]:g}, IoU > {entry["iou_thr"]:g})'
    ]
    mistakes = inner * (1 - np.eye(len(inner), dtype=inner.dtype))
    for place in np.argsort(-mistakes, axis=None, kind='stable')[:5].tolist():
        row, column = divmod(place, len(inner))
        if mistakes[row, column]:
            labels = entry['labels']
            lines.append(f'  {labels[column]} taken for {labels[row]}: {mistakes[row, column]}')
    return lines
