"""Hooks of the training loop."""

from mmyolo_lite.engine.hooks.checkpoint import CheckpointHook
from mmyolo_lite.engine.hooks.checkpoint_fit import CheckpointFitHook
from mmyolo_lite.engine.hooks.exact_epochs import ExactEpochsHook
from mmyolo_lite.engine.hooks.finite_loss import FiniteLossHook
from mmyolo_lite.engine.hooks.param_scheduler import YOLOv5ParamSchedulerHook
from mmyolo_lite.engine.hooks.pipeline_switch import PipelineSwitchHook
from mmyolo_lite.engine.hooks.results_csv import ResultsCsvHook
from mmyolo_lite.engine.hooks.resume_notes import ResumeNotesHook
from mmyolo_lite.engine.hooks.run_pictures import RunPicturesHook
from mmyolo_lite.engine.hooks.sync_buffers import SyncModelBuffersHook

__all__ = [
    'CheckpointFitHook',
    'CheckpointHook',
    'ExactEpochsHook',
    'FiniteLossHook',
    'PipelineSwitchHook',
    'ResultsCsvHook',
    'ResumeNotesHook',
    'RunPicturesHook',
    'SyncModelBuffersHook',
    'YOLOv5ParamSchedulerHook',
]
