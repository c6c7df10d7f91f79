"""A small set of objects, crowds and empty images, and predictions for it, perfect or not."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from pycocotools import mask as coco_mask

from mmyolo_lite.datasets import YOLOv5CocoDataset

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


def write_set(folder: Path) -> Path:
    """Write objects of two classes, some of several parts, a crowd, and an empty image."""
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
        cv2.imwrite(str(folder / image['file_name']), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    categories = [dict(id=id_, name=name) for id_, name in zip((3, 7), FILE_CLASSES, strict=True)]
    path = folder / 'ann.json'
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


def as_tensors(samples: list[dict]) -> list[dict]:
    """Return samples as a model gives them."""
    return [
        {
            **sample,
            'pred_instances': {
                name: value if name == 'masks' else torch.as_tensor(value)
                for name, value in sample['pred_instances'].items()
            },
        }
        for sample in samples
    ]
