"""Metrics of this project; COCO scores come from mmdet."""

from mmyolo_lite.evaluation.dump import DumpDetResults

__all__ = ['DumpDetResults']
