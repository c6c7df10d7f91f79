"""Metrics of this project; COCO scores come from mmdet."""
