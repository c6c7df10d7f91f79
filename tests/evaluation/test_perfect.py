"""The metric: ground truth scores 1, and any score is pycocotools' own."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.evaluation.metrics import coco_metric
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmyolo_lite.datasets import YOLOv5CocoDataset

# pycocotools' own, with NumPy 2
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword"
)

HEIGHT, WIDTH = 120, 160
NUM_IMAGES = 4
FILE_CLASSES = ('kite', 'balloon')
KINDS = ('bbox', 'segm')


def ellipse(rng: np.random.Generator) -> list[float]:
    """Return a ring around a random ellipse inside the image."""
    angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    radii, centre = rng.uniform(6, 25, 2), rng.uniform((30, 30), (WIDTH - 30, HEIGHT - 30))
    return (
        (centre + radii * np.stack((np.cos(angles), np.sin(angles)), 1)).round(1).ravel().tolist()
    )


def annotation(number: int, image: int, category: int, rings: list[list[float]]) -> dict:
    points = np.concatenate(rings).reshape(-1, 2)
    low, high = points.min(0), points.max(0)
    rle = coco_mask.merge(coco_mask.frPyObjects(rings, HEIGHT, WIDTH))
    return dict(
        id=number,
        image_id=image,
        category_id=category,
        segmentation=rings,
        iscrowd=0,
        area=float(coco_mask.area(rle)),
        bbox=[*low.tolist(), *(high - low).tolist()],
    )


def crowd(number: int, image: int) -> dict:
    """Return a crowd region in uncompressed run lengths: the first columns of the image."""
    counts = [0, 20 * HEIGHT, (WIDTH - 20) * HEIGHT]
    return dict(
        id=number,
        image_id=image,
        category_id=7,
        iscrowd=1,
        area=20 * HEIGHT,
        bbox=[0, 0, 20, HEIGHT],
        segmentation=dict(size=[HEIGHT, WIDTH], counts=counts),
    )


@pytest.fixture
def ann_file(tmp_path: Path) -> Path:
    """Objects of two classes, some of several parts, a crowd, and an image without objects."""
    rng = np.random.default_rng(0)
    images = [
        dict(id=i + 11, file_name=f'{i}.png', height=HEIGHT, width=WIDTH) for i in range(NUM_IMAGES)
    ]
    annotations = [crowd(1, images[0]['id'])]
    for image in images[:-1]:
        for _ in range(4):
            rings = [ellipse(rng) for _ in range(rng.integers(1, 4))]
            category = int(rng.choice([3, 7]))
            annotations.append(annotation(len(annotations) + 1, image['id'], category, rings))
    for image in images:
        cv2.imwrite(str(tmp_path / image['file_name']), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    categories = [dict(id=id_, name=name) for id_, name in zip((3, 7), FILE_CLASSES, strict=True)]
    path = tmp_path / 'ann.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path


def load(ann_file: Path, classes: tuple[str, ...]) -> YOLOv5CocoDataset:
    return YOLOv5CocoDataset(
        ann_file=str(ann_file),
        data_prefix=dict(img=str(ann_file.parent)),
        pipeline=[],
        metainfo=dict(classes=classes),
        test_mode=True,
    )


def truth_as_prediction(info: dict) -> dict:
    """Return what a perfect model gives for an image, crowds excepted."""
    objects = [instance for instance in info['instances'] if not instance['ignore_flag']]
    rles = [coco_mask.merge(coco_mask.frPyObjects(o['mask'], HEIGHT, WIDTH)) for o in objects]
    return dict(
        img_id=info['img_id'],
        ori_shape=(HEIGHT, WIDTH),
        pred_instances=dict(
            bboxes=np.array([o['bbox'] for o in objects], np.float64).reshape(-1, 4),
            labels=np.array([o['bbox_label'] for o in objects], np.int64),
            scores=np.linspace(0.9, 0.5, len(objects)),
            masks=rles,
        ),
    )


def spoiled(sample: dict, rng: np.random.Generator) -> dict:
    """Move, relabel, drop and repeat the objects of a sample; for masks, shift them."""
    found = sample['pred_instances']
    keep = rng.integers(0, max(len(found['scores']), 1), 6)[: 6 if len(found['scores']) else 0]
    masks = [
        np.roll(coco_mask.decode(found['masks'][k]), rng.integers(-4, 5, 2), (0, 1)) for k in keep
    ]
    labels = np.where(rng.random(len(keep)) < 0.2, 1 - found['labels'][keep], found['labels'][keep])
    return {
        **sample,
        'pred_instances': dict(
            bboxes=found['bboxes'][keep] + rng.normal(0, 2, (len(keep), 4)),
            labels=labels,
            scores=rng.random(len(keep)),
            masks=[coco_mask.encode(np.asfortranarray(mask)) for mask in masks],
        ),
    }


def score(ann_file: Path, data: YOLOv5CocoDataset, samples: list[dict]) -> dict[str, float]:
    metric = CocoMetric(ann_file=str(ann_file), metric=list(KINDS), proposal_nums=(100, 1, 10))
    metric.dataset_meta = data.metainfo
    as_tensors = [
        {
            **sample,
            'pred_instances': {
                name: value if name == 'masks' else torch.as_tensor(value)
                for name, value in sample['pred_instances'].items()
            },
        }
        for sample in samples
    ]
    metric.process({}, as_tensors)
    return metric.evaluate(len(samples))


@pytest.mark.parametrize('classes', [FILE_CLASSES, FILE_CLASSES[::-1]])
def test_ground_truth_scores_one(classes, ann_file):
    """Whatever the order of classes in the config."""
    data = load(ann_file, classes)
    results = score(
        ann_file, data, [truth_as_prediction(data.get_data_info(i)) for i in range(len(data))]
    )
    assert [results[f'coco/{kind}_mAP'] for kind in KINDS] == [1.0, 1.0]
    assert [results[f'coco/{kind}_mAP_75'] for kind in KINDS] == [1.0, 1.0]


def direct_stats(
    ann_file: Path, samples: list[dict], kind: str, category_ids: tuple[int, ...]
) -> np.ndarray:
    """Return pycocotools' twelve numbers, from results written by hand."""
    truth, results = COCO(str(ann_file)), []
    for sample in samples:
        found = sample['pred_instances']
        for box, label, value, rle in zip(
            *(found[k] for k in ('bboxes', 'labels', 'scores', 'masks')), strict=True
        ):
            low, high = box[:2], box[2:]
            place = {'bbox': [*low, *(high - low)]} if kind == 'bbox' else {'segmentation': rle}
            results.append(
                dict(
                    image_id=sample['img_id'], category_id=category_ids[label], score=value, **place
                )
            )
    evaluation = COCOeval(truth, truth.loadRes(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return np.array(evaluation.stats)


@pytest.mark.parametrize('seed', range(3))
def test_imperfect_predictions_score_as_in_pycocotools(seed, ann_file, monkeypatch):
    rng = np.random.default_rng(seed)
    data = load(ann_file, FILE_CLASSES[::-1])
    samples = [spoiled(truth_as_prediction(data.get_data_info(i)), rng) for i in range(len(data))]
    evaluations = []

    class Recorded(coco_metric.COCOeval):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            evaluations.append(self)

    monkeypatch.setattr(coco_metric, 'COCOeval', Recorded)
    results = score(ann_file, data, samples)
    for kind, evaluation in zip(KINDS, evaluations, strict=True):
        # the metric lists the recalls for 100, 1, 10 detections, pycocotools for 1, 10, 100
        expected = direct_stats(ann_file, samples, kind, (7, 3))
        assert np.abs(evaluation.stats[:6] - expected[:6]).max() < 1e-6
        assert 0.05 < expected[0] < 0.95
        # mmdet rounds what it returns
        assert results[f'coco/{kind}_mAP'] == pytest.approx(expected[0], abs=5e-4 + 1e-9)
