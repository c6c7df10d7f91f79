"""Everything about data that configs name; importing registers it, transforms included."""

from mmyolo_lite.compat import coco_api
from mmyolo_lite.datasets import transforms
from mmyolo_lite.datasets.batch_shapes import BatchShapePolicy
from mmyolo_lite.datasets.coco import BatchShapePolicyDataset, YOLOv5CocoDataset
from mmyolo_lite.datasets.collate import yolov5_collate
from mmyolo_lite.datasets.seeding import worker_init_fn, yolov5_worker_init

coco_api.patch_mmdet()

__all__ = [
    'BatchShapePolicy',
    'BatchShapePolicyDataset',
    'YOLOv5CocoDataset',
    'transforms',
    'worker_init_fn',
    'yolov5_collate',
    'yolov5_worker_init',
]
