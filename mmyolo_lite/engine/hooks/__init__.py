"""Hooks of the training loop."""

from mmyolo_lite.engine.hooks.checkpoint_fit import CheckpointFitHook
from mmyolo_lite.engine.hooks.param_scheduler import YOLOv5ParamSchedulerHook
from mmyolo_lite.engine.hooks.sync_buffers import SyncModelBuffersHook

__all__ = ['CheckpointFitHook', 'SyncModelBuffersHook', 'YOLOv5ParamSchedulerHook']
