"""What drives training: runner building, hooks, optimizer construction."""

from mmyolo_lite.compat.cpu_amp import AmpOptimWrapper
from mmyolo_lite.engine.optimizer import YOLOv5OptimizerConstructor

__all__ = ['AmpOptimWrapper', 'YOLOv5OptimizerConstructor']
