"""Annotations lie in two arrays that worker processes share."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmyolo_lite.datasets import YOLOv5CocoDataset, yolov5_worker_init

OBJECTS, POINTS = 20, 2500


def coco(images: int, objects: int, points: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    size = {'height': 500, 'width': 500}
    annotations = [
        {
            'id': number + 1,
            'image_id': number // objects,
            'category_id': 3,
            'bbox': [10, 10, 50, 60],
            'area': 3000,
            'iscrowd': 0,
            'segmentation': [(rng.random(2 * points) * 500).round(2).tolist()],
        }
        for number in range(images * objects)
    ]
    return {
        'images': [{'id': n, 'file_name': f'{n}.jpg', **size} for n in range(images)],
        'categories': [{'id': 3, 'name': 'kite'}],
        'annotations': annotations,
    }


def load(path: Path, content: dict, **arguments: Any) -> YOLOv5CocoDataset:
    path.write_text(json.dumps(content))
    dataset = YOLOv5CocoDataset(
        ann_file=str(path),
        data_prefix={'img': ''},
        metainfo={'classes': ('kite',)},
        pipeline=[],
        lazy_init=True,
        **arguments,
    )
    dataset.full_init()
    return dataset


def test_packed_and_plain_lists_give_the_same(tmp_path):
    content = coco(5, 2, 4)
    content['annotations'] = content['annotations'][:7]  # images without objects too
    packed = load(tmp_path / 'a.json', content, test_mode=True)
    plain = load(tmp_path / 'a.json', content, test_mode=True, serialize_data=False)
    assert packed.data_list == [] and len(packed) == len(plain) == 5
    for index in (*range(5), -1):
        assert packed.get_data_info(index) == plain.get_data_info(index)


def test_a_test_set_may_be_empty(tmp_path):
    content = {**coco(1, 1, 3), 'images': [], 'annotations': []}
    assert len(load(tmp_path / 'a.json', content, test_mode=True)) == 0


def own_memory() -> float:
    """Return the memory that this process shares with no other, in MiB."""
    lines = Path('/proc/self/smaps_rollup').read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith('Private')) / 1024


class Reading(Dataset):
    """Reads annotations, and gives the memory of the process that does."""

    def __init__(self, dataset: YOLOv5CocoDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> float:
        assert len(self.dataset.get_data_info(index)['instances']) == OBJECTS
        return own_memory()


@pytest.mark.skipif(
    not Path('/proc/self/smaps_rollup').exists() or not hasattr(os, 'fork'), reason='needs Linux'
)
def test_workers_copy_no_annotations(tmp_path):
    dataset = load(tmp_path / 'a.json', coco(50, OBJECTS, POINTS))
    whole = dataset.data_bytes.nbytes / 2**20
    assert whole > 40
    loader = DataLoader(
        Reading(dataset), batch_size=None, num_workers=2, worker_init_fn=yolov5_worker_init
    )
    sizes = torch.tensor(list(loader))
    # an epoch of reading, after the first images of both
    assert sizes[-2:].max() - sizes[:2].min() < 0.1 * whole
