"""A model that has learned four pictures, each with one planted object, in seconds."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmyolo_lite.apis.model import load_model
from mmyolo_lite.datasets import yolov5_collate
from tests.shared_data import REPO
from tests.test_overfit import dataset, learn

SIDE = 128
BASE = 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py'
ELLIPSES = (  # centre and half axes, x before y
    ((40, 44), (24, 22)),
    ((84, 40), (20, 28)),
    ((46, 86), (26, 24)),
    ((88, 84), (23, 30)),
)


@dataclass(frozen=True)
class Planted:
    """Files of the model, and its pictures with the masks of their only objects."""

    config: Path
    checkpoint: Path
    images: Path
    masks: tuple[np.ndarray, ...]

    def image(self, number: int) -> Path:
        return self.images / f'{number}.png'


def _picture(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture on noise, and the outline (K, 2) of its object."""
    random = np.random.default_rng(number)
    image = cv2.resize(random.integers(40, 120, (16, 16, 3), dtype=np.uint8), (SIDE, SIDE))
    (x, y), (half_w, half_h) = ELLIPSES[number]
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    outline = np.stack((x + half_w * np.cos(angles), y + half_h * np.sin(angles)), axis=1)
    cv2.fillPoly(image, [outline.round().astype(np.int32)], (40, 60, 230))
    return image, outline


def _write_data(folder: Path) -> tuple[np.ndarray, ...]:
    (folder / 'train').mkdir(parents=True)
    content: dict = dict(images=[], annotations=[], categories=[dict(id=1, name='balloon')])
    masks = []
    for number in range(len(ELLIPSES)):
        image, outline = _picture(number)
        cv2.imwrite(str(folder / f'train/{number}.png'), image)
        (x, y), (width, height) = outline.min(axis=0), np.ptp(outline, axis=0)
        content['images'].append(
            dict(id=number + 1, file_name=f'{number}.png', width=SIDE, height=SIDE)
        )
        content['annotations'].append(
            dict(
                id=number + 1,
                image_id=number + 1,
                category_id=1,
                bbox=[x, y, width, height],
                area=float(width * height),
                iscrowd=0,
                segmentation=[outline.ravel().tolist()],
            )
        )
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        masks.append(cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1).astype(bool))
    (folder / 'train.json').write_text(json.dumps(content))
    return tuple(masks)


@pytest.fixture(scope='session')
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """The model and its pictures; not to be changed."""
    if not _made:
        _made.append(_make(tmp_path_factory.mktemp('planted')))
    return _made[0]


_made: list[Planted] = []
"""One training, though each module that imports the fixture has its own."""


def _make(folder: Path) -> Planted:
    masks = _write_data(folder)
    config_file = folder / 'planted.py'
    config_file.write_text(
        f'_base_ = {str(REPO / BASE)!r}\n'
        f'test_pipeline = _base_.test_pipeline\n'
        f'for step in test_pipeline[1:3]:\n    step.scale = ({SIDE}, {SIDE})\n'
        'del step\n'
        'test_dataloader = dict(dataset=dict(pipeline=test_pipeline))\n'
    )
    config = Config.fromfile(config_file)
    *_, flip_step, mask_step, pack_step = config.train_pipeline
    flip_step.prob = 0.0
    steps = [*config.pre_transform, *config.test_pipeline[1:3], flip_step, mask_step, pack_step]
    torch.manual_seed(0)
    model = load_model(config, None, 'cpu')
    with DefaultScope.overwrite_default_scope('mmyolo_lite'):
        data = dataset(folder, steps)
        batch = yolov5_collate([data[index] for index in range(len(data))])
        model.network.init_weights()
        learn(model.network, batch)
    checkpoint = folder / 'planted.pth'
    meta = dict(dataset_meta=dict(classes=('balloon',), palette=[(220, 20, 60)]))
    torch.save({'state_dict': model.network.state_dict(), 'meta': meta}, checkpoint)
    return Planted(config_file, checkpoint, folder / 'train', masks)
