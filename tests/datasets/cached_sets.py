"""A small training set in files, with masks and a mosaic, for tests of the image cache."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from mmyolo_lite.datasets import YOLOv5CocoDataset
from mmyolo_lite.datasets.image_store import Image, Tile, Wanted
from mmyolo_lite.errors import DataError

SCALE = (64, 48)
"""Width and height that tiles fit."""

SIZES_WH = [(100, 80), (40, 50), (64, 48), (300, 1), (200, 150)]
"""Larger than a tile, smaller, just as large, of one row, and larger than two."""

LOAD = [
    dict(type='mmyolo_lite.LoadImageFromFile', backend_args=None),
    dict(type='mmyolo_lite.LoadAnnotations', with_bbox=True, with_mask=True, mask2bbox=True),
]
MOSAIC = dict(type='mmyolo_lite.Mosaic', img_scale=SCALE, pad_val=114.0, pre_transform=LOAD)
PIPELINE = [
    *LOAD,
    MOSAIC,
    dict(
        type='mmyolo_lite.YOLOv5RandomAffine',
        max_rotate_degree=0.0,
        max_shear_degree=0.0,
        scaling_ratio_range=(0.5, 1.5),
        border=(-(SCALE[0] // 2), -(SCALE[1] // 2)),
        border_val=(114, 114, 114),
        min_area_ratio=0.01,
        use_mask_refine=True,
    ),
    dict(type='mmyolo_lite.YOLOv5HSVRandomAug'),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(type='mmyolo_lite.Polygon2Mask', downsample_ratio=4, mask_overlap=True),
    dict(
        type='mmyolo_lite.PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')
    ),
]


def noise(width: int, height: int, seed: int = 0) -> Tile:
    """Return a picture (height, width, 3) without two equal tiles."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return cv2.blur(pixels, (3, 3))


def write_set(root: Path, suffix: str = '.png') -> Path:
    """Write pictures ``0.png`` ..., and ``ann.json`` with one object in each."""
    images, annotations = [], []
    for number, (width, height) in enumerate(SIZES_WH):
        name = f'{number}{suffix}'
        cv2.imwrite(str(root / name), noise(width, height, number))
        images.append(dict(id=number + 1, file_name=name, width=width, height=height))
        right, bottom = width * 0.8, height * 0.8
        annotations.append(
            dict(
                id=number + 1,
                image_id=number + 1,
                category_id=1,
                iscrowd=0,
                area=right * bottom,
                bbox=[0, 0, right, bottom],
                segmentation=[[0, 0, right, 0, right, bottom, 0, bottom]],
            )
        )
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name='a')])
    (root / 'ann.json').write_text(json.dumps(content))
    return root


def build(root: Path, **kwargs: Any) -> YOLOv5CocoDataset:
    """Return the training set of :func:`write_set`."""
    return YOLOv5CocoDataset(
        data_root=str(root),
        ann_file='ann.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=('a',)),
        **(dict(pipeline=PIPELINE) | kwargs),
    )


def samples(dataset: YOLOv5CocoDataset, rounds: int = 3) -> list[torch.Tensor]:
    """Return all tensors of some rounds through a set, drawn with seeds of their own."""
    found: list[torch.Tensor] = []
    for number in range(rounds * len(dataset)):
        np.random.seed(number)
        packed = dataset[number % len(dataset)]
        truth = packed['data_samples']
        objects = truth.gt_instances
        found += [packed['inputs'], objects.bboxes.tensor, objects.labels]
        found.append(truth.gt_panoptic_seg.pan_seg)
    return found


def are_equal(ones: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    """Say whether two lists of tensors are the same bit for bit."""
    return len(ones) == len(others) and all(map(torch.equal, ones, others))


class Tiles:
    """Loads tiles of plain colours, and counts how often."""

    def __init__(self, unreadable: str = '') -> None:
        self.unreadable = unreadable
        self.loads: list[str] = []

    def __call__(self, image: Image) -> Tile:
        path, width, height = image
        self.loads.append(path)
        if path == self.unreadable:
            raise DataError(f'{path}: cannot be read')
        return colour(path, width, height)

    def wanted(self, images: list[Image], fit: int = 8) -> Wanted:
        """Return what a store of square tiles of `fit` pixels is to hold."""
        return Wanted(images, (fit, fit), self.load_scaled(fit))

    def load_scaled(self, fit: int):
        """Return a function that makes the tile of a square image."""
        return lambda image: self((image[0], fit, fit))


def colour(path: str, width: int = 8, height: int = 8) -> Tile:
    """Return a tile whose colour depends on the name of the file alone."""
    return np.full((height, width, 3), sum(Path(path).name.encode()) % 251, dtype=np.uint8)
