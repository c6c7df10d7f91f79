"""Learning is right as a whole: a small model learns four pictures by heart, boxes and masks.

Settings: n-size with one class, four sample pictures of 256 pixels without any augmentation as one
    fixed batch,
AdamW with a cosine from 4e-3 over 130 iterations, no EMA. Batch norms forget faster than in
training, since so few iterations would leave their averages behind the weights.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmyolo_lite.datasets import YOLOv5CocoDataset, yolov5_collate
from mmyolo_lite.datasets.converters.via import ViaOptions, convert_via_splits
from mmyolo_lite.datasets.sample import ANN_NAME, make_picture, via_entry
from mmyolo_lite.registry import MODELS
from tests.shared_data import REPO

# pycocotools' own, with NumPy 2
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword"
)

SIDE = 256
ITERATIONS = 130
MAX_LR = 4e-3
MIN_SHARE = (
    0.05  # of the picture that its smallest balloon covers: masks have a quarter of the resolution
)


def write_pictures(folder: Path) -> None:
    """Write the first four sample pictures that have large balloons only, and their COCO file."""
    (folder / 'train').mkdir(parents=True)
    entries, seed = {}, 0
    while len(entries) < 4:
        seed += 1
        image, polygons = make_picture(np.random.default_rng(seed), (SIDE, SIDE))
        if min(map(cv2.contourArea, polygons)) >= MIN_SHARE * SIDE**2:
            name = f'{seed}.png'
            cv2.imwrite(str(folder / 'train' / name), image)
            entries[name] = via_entry(name, 1, polygons)
    (folder / 'train' / ANN_NAME).write_text(json.dumps(entries))
    convert_via_splits(str(folder), ['train'], ANN_NAME, str(folder), ViaOptions())


def dataset(folder: Path, steps: list[dict], **kwargs) -> YOLOv5CocoDataset:
    return YOLOv5CocoDataset(
        data_root=str(folder),
        ann_file='train.json',
        data_prefix=dict(img='train/'),
        metainfo=dict(classes=('balloon',)),
        pipeline=steps,
        **kwargs,
    )


def learn(model: torch.nn.Module, batch: dict) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.1
    optimizer = torch.optim.AdamW(model.parameters(), MAX_LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, MAX_LR, ITERATIONS, pct_start=0.15)
    data = model.data_preprocessor(batch, training=True)
    model.train()
    for _ in range(ITERATIONS):
        loss, _ = model.parse_losses(model(**data, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def evaluate(model: torch.nn.Module, data: YOLOv5CocoDataset) -> dict[str, float]:
    metric = CocoMetric(ann_file=data.ann_file, metric=['bbox', 'segm'], proposal_nums=(100, 1, 10))
    metric.dataset_meta = data.metainfo
    model.eval()
    for sample in (data[index] for index in range(len(data))):
        with torch.no_grad():
            found = model.test_step({key: [value] for key, value in sample.items()})
        metric.process({}, [result.to_dict() for result in found])
    return metric.evaluate(len(data))


@pytest.mark.timeout(900)  # a minute on a quiet machine
def test_four_pictures_are_learned_by_heart(tmp_path):
    write_pictures(tmp_path)
    config = Config.fromfile(
        REPO / 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py'
    )
    test_steps = [*config.test_pipeline]
    for step in test_steps[1:3]:
        step.scale = (SIDE, SIDE)
    *_, flip_step, mask_step, pack_step = config.train_pipeline
    flip_step.prob = 0.0
    train_steps = [*config.pre_transform, *test_steps[1:3], flip_step, mask_step, pack_step]
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmyolo_lite'):
        train_data = dataset(tmp_path, train_steps)
        batch = yolov5_collate([train_data[index] for index in range(len(train_data))])
        model = MODELS.build(config.model)
        model.init_weights()
        learn(model, batch)
        results = evaluate(model, dataset(tmp_path, test_steps, test_mode=True))
    assert results['coco/bbox_mAP'] > 0.9, results
    assert results['coco/segm_mAP'] > 0.9, results
