"""Work dirs as a training leaves them, made by hand, for tests of the report."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmyolo_lite.evaluation.results_file import VERSION

NASTY = '</script><script>document.title = "taken over"</script>'
CLASSES = ['balloon', NASTY]
WIDTH, HEIGHT = 400, 300
_LOG = """2026/11/01 10:00:00 - mmengine - INFO -
------------------------------------------------------------
System environment:
    sys.platform: linux
    PyTorch: 2.11.0
------------------------------------------------------------
2026/11/01 10:00:09 - mmengine - INFO - Epoch(train) [1][10/10] loss: 3.5
2026/11/01 11:30:00 - mmengine - INFO - the end
"""


def square(x: int, y: int, side: int = 60) -> dict[str, Any]:
    """Return the box and the polygon of a square."""
    right, bottom = x + side, y + side
    return {
        'bbox': [x, y, right, bottom],
        'segmentation': [[x, y, right, y, right, bottom, x, bottom]],
    }


def image(number: int, path: Path) -> dict[str, Any]:
    """Return an entry with three objects, of which `number` modulo 4 are missed, and as many wrong
    detections.
    """
    errors = number % 4
    true = [{**square(20 + 110 * i, 40), 'label': i % 2, 'crowd': 0} for i in range(3)]
    found = [
        {**one, 'score': 0.9 - 0.1 * i, 'match': {'bbox': i, 'segm': i}, 'iou': {'segm': 1.0}}
        for i, one in enumerate(true[: 3 - errors])
    ]
    found += [
        {**square(30 + 90 * i, 180), 'label': 0, 'score': 0.8, 'match': {'bbox': -1, 'segm': -1}}
        for i in range(errors)
    ]
    counts = {'tp': 3 - errors, 'fp': errors, 'fn': errors}
    return {
        'id': number,
        'path': str(path),
        'height': HEIGHT,
        'width': WIDTH,
        'gt': true,
        'pred': found,
        'errors': {'bbox': counts, 'segm': counts},
    }


def results(paths: list[Path]) -> dict[str, Any]:
    """Return the content of a file of results."""
    confidence = np.linspace(0, 1, 50).round(3).tolist()
    down = [1 - value for value in confidence]
    curve = dict(confidence=confidence, precision=confidence, recall=down, f1=down)
    curve |= dict(pr_recall=confidence, pr_precision=down, ap50=0.5)
    row = dict(images=4, objects=6, precision=0.5, recall=0.6, f1=0.55, ap=0.3, ap50=0.5, ap75=None)
    row |= dict(ap_small=None, ap_medium=0.2, ap_large=0.4)
    sizes = [dict(size='small', objects=0, ap=None, recall=None)]
    by_kind: dict[str, Any] = {
        'curves': {'classes': [dict(curve, name=name) for name in CLASSES], 'best_confidence': 0.3},
        'confusion': {
            'labels': [*CLASSES, 'background'],
            'matrix': [[7, 1, 2], [0, 3, 0], [4, 0, 0]],
            'score_thr': 0.25,
            'iou_thr': 0.45,
        },
        'per_class': [dict(row, name=name, ap=0.3 + i / 10) for i, name in enumerate(CLASSES)],
        'per_size': sizes,
    }
    return {
        'version': VERSION,
        'epoch': 2,
        'iter': 20,
        'scores': {'coco/segm_mAP': 0.3},
        'classes': CLASSES,
        'palette': [],
        'kinds': ['bbox', 'segm'],
        **{name: {'bbox': value, 'segm': value} for name, value in by_kind.items()},
        'images': [image(number, path) for number, path in enumerate(paths)],
    }


def make_work_dir(folder: Path, num_images: int = 6) -> Path:
    """Write a work dir with curves, results, a log and a config."""
    photos = folder / 'photos'
    photos.mkdir(parents=True)
    paths = [photos / f'photo_{number:04d}.jpg' for number in range(num_images)]
    photo = cv2.resize(np.arange(256, dtype=np.uint8).reshape(16, 16), (WIDTH, HEIGHT))
    for path in paths:
        cv2.imwrite(str(path), cv2.cvtColor(photo, cv2.COLOR_GRAY2BGR))
    (folder / 'val_results.json').write_text(json.dumps(results(paths)))
    header = 'epoch,iter,lr,train/loss,train/loss_mask,coco/bbox_mAP,coco/segm_mAP,time'
    rows = [
        '1,10,0.01,3.5,1.5,,,12.5',
        '2,20,0.005,2.5,1.25,0.4,0.3,12',
        '3,30,0.001,2,1,0.35,-1,12',
    ]
    (folder / 'results.csv').write_text('\n'.join([header, *rows]) + '\n')
    log = folder / '20261101_100000/20261101_100000.log'
    log.parent.mkdir()
    log.write_text(_LOG)
    (folder / 'tiny.py').write_text(f'# {NASTY}\nmax_epochs = 3\n')
    return folder
