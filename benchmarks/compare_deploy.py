"""Compare every detection of exported files with PyTorch's, in all modes of export.

    python benchmarks/compare_deploy.py CONFIG CHECKPOINT IMAGES [--number 20] [--formats onnx
    openvino] [--half] [--cfg-options KEY=VALUE ...]

Prints, for each mode, detections, the largest difference of boxes (pixels of the photo) and scores,
the smallest IoU of masks, and how many detections are missing or too many.
"""

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
from mmengine.config import DictAction
from pycocotools import mask as coco_mask

from mmyolo_lite.apis.model import load_model
from mmyolo_lite.apis.prediction import Prediction
from mmyolo_lite.apis.predictor import Predictor
from mmyolo_lite.deploy import ExportOptions, Runtime, export_model
from mmyolo_lite.deploy.options import SUFFIXES
from mmyolo_lite.engine.checks import innermost_datasets
from mmyolo_lite.engine.config import load_config

NEAR = 5.0
"""Pixels within which a box of the same class is the same detection."""


def differences(ours: Prediction, theirs: Prediction) -> dict[str, float]:
    """Match the detections of an image, and return how far they are apart."""
    left = list(range(len(theirs)))
    worst = {'detections': len(ours), 'box': 0.0, 'score': 0.0, 'iou': 1.0, 'missing': 0}
    for place in range(len(ours)):
        distance = {
            other: float(np.abs(ours.boxes[place] - theirs.boxes[other]).max())
            for other in left
            if ours.labels[place] == theirs.labels[other]
        }
        nearest = min(distance, key=distance.__getitem__, default=None)
        if nearest is None or distance[nearest] > NEAR:
            worst['missing'] += 1
            continue
        left.remove(nearest)
        worst['box'] = max(worst['box'], distance[nearest])
        gap = abs(float(ours.scores[place]) - float(theirs.scores[nearest]))
        worst['score'] = max(worst['score'], gap)
        if ours.masks is not None and theirs.masks is not None:
            pair = ours.masks.runs[place], theirs.masks.runs[nearest]
            if sum(map(coco_mask.area, pair)):
                iou = float(coco_mask.iou([pair[0]], [pair[1]], [0])[0, 0])
                worst['iou'] = min(worst['iou'], iou)
    return {**worst, 'extra': len(left)}


def total(images: Sequence[dict[str, float]]) -> str:
    """Return the worst of all images, and the sums, as cells of a table."""
    cells = [
        f'{sum(one["detections"] for one in images)}',
        f'{max(one["box"] for one in images):.2g}',
        f'{max(one["score"] for one in images):.2g}',
        f'{min(one["iou"] for one in images):.5f}',
        *(f'{sum(one[name] for one in images)}' for name in ('missing', 'extra')),
    ]
    return ' | '.join(cells)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('images', type=Path, help='folder')
    parser.add_argument('--number', type=int, default=20)
    parser.add_argument('--score-thr', type=float, default=0.05)
    parser.add_argument('--formats', nargs='+', choices=('onnx', 'openvino'), default=['onnx'])
    parser.add_argument('--half', action='store_true')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE')
    args = parser.parse_args()
    images = sorted(path for path in args.images.iterdir() if path.suffix == '.jpg')[: args.number]
    config = load_config(args.config, args.cfg_options)
    one_size = deepcopy(config)
    for _, dataset in innermost_datasets(one_size, ['val_dataloader', 'test_dataloader']):
        dataset['batch_shapes_cfg'] = None
    wanted = {
        dynamic: list(Predictor(given, args.checkpoint, 'cpu', score_thr=args.score_thr)(images))
        for dynamic, given in (('none', one_size), ('all', config))
    }
    print(
        '| format | NMS | dynamic | batch | detections | box px | score | IoU | missing | extra |'
    )
    print('|---' * 10 + '|')
    modes = itertools.product(args.formats, ('graph', 'none'), ('none', 'all'), (1, 3))
    for kind, nms, dynamic, batch in modes:
        options = ExportOptions(
            format=kind,
            dynamic=dynamic,
            batch=batch if dynamic == 'none' else 1,
            nms=nms,
            half=args.half,
        )
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, f'model{SUFFIXES[kind]}'))
            model = load_model(config, args.checkpoint, 'cpu')
            export_model(model, path, options, str(args.checkpoint))
            runtime = Runtime(path, score_thr=args.score_thr, batch_size=batch)
            found = list(runtime.predict(images))
        pairs = zip(wanted[dynamic], found, strict=True)
        row = total([differences(ours, theirs) for ours, theirs in pairs])
        print(f'| {kind} | {nms} | {dynamic} | {batch} | {row} |', flush=True)


if __name__ == '__main__':
    main()
