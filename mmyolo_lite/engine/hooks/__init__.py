"""Hooks of the training loop."""

from mmyolo_lite.engine.hooks.param_scheduler import YOLOv5ParamSchedulerHook

__all__ = ['YOLOv5ParamSchedulerHook']
