"""Networks: blocks, backbones, necks, heads, detectors, and what feeds and averages them."""

from mmyolo_lite.models.backbones.csp_darknet import YOLOv5CSPDarknet
from mmyolo_lite.models.coder import YOLOv5BBoxCoder
from mmyolo_lite.models.detectors.yolo_detector import YOLODetector
from mmyolo_lite.models.ema import ExpMomentumEMA
from mmyolo_lite.models.heads.head_modules import YOLOv5HeadModule, YOLOv5InsHeadModule
from mmyolo_lite.models.heads.yolov5_head import YOLOv5Head
from mmyolo_lite.models.heads.yolov5_ins_head import YOLOv5InsHead
from mmyolo_lite.models.losses import IoULoss
from mmyolo_lite.models.necks.pafpn import YOLOv5PAFPN
from mmyolo_lite.models.preprocessor import YOLOv5DetDataPreprocessor, YOLOXBatchSyncRandomResize
from mmyolo_lite.models.test_time import YOLOTTAModel
from mmyolo_lite.models.wrapper import MMDistributedDataParallel

__all__ = [
    'ExpMomentumEMA',
    'IoULoss',
    'MMDistributedDataParallel',
    'YOLODetector',
    'YOLOTTAModel',
    'YOLOXBatchSyncRandomResize',
    'YOLOv5BBoxCoder',
    'YOLOv5CSPDarknet',
    'YOLOv5DetDataPreprocessor',
    'YOLOv5Head',
    'YOLOv5HeadModule',
    'YOLOv5InsHead',
    'YOLOv5InsHeadModule',
    'YOLOv5PAFPN',
]
