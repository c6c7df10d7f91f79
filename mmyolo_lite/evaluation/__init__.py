"""Metrics of this project."""

from mmyolo_lite.evaluation.coco_metric import CocoMetric
from mmyolo_lite.evaluation.dump import DumpDetResults

__all__ = ['CocoMetric', 'DumpDetResults']
