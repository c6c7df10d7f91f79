"""Scoring an exported file with the config's own data and evaluator."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import Tensor

from mmyolo_lite.datasets.coco_checks import shortened
from mmyolo_lite.deploy.runtime import Runtime, run_lengths
from mmyolo_lite.engine.checks import innermost_datasets, type_name
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import HOOKS, MODELS


@MODELS.register_module()
class ExportedDetector(BaseModel):
    """An exported file in the place of a model, for a runner's test.

    Images go through the file's own preprocessing, network and post-processing, as they do where it
    is deployed.

    Args:
        path: of the exported file.
        device: ``'cpu'``, ``'cuda'``, or None for the best there is.
        threads: of the CPU; None leaves it to the package that runs the file.
        batch_size: images that go through the network together, where the file leaves it free.
    """

    def __init__(
        self,
        path: str,
        device: str | None = None,
        threads: int | None = None,
        batch_size: int = 1,
    ) -> None:
        super().__init__()
        self.runtime = Runtime(path, device, score_thr=None, threads=threads, batch_size=batch_size)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'predict') -> Any:
        """Return the samples with ``pred_instances``.

        Args:
            inputs: B tensors (3, H, W) uint8, BGR.
            data_samples: B samples.
            mode: ``'predict'`` alone.
        """
        if mode != 'predict':
            raise ConfigError('An exported file predicts, and nothing else.')
        images = [np.ascontiguousarray(image.cpu().numpy().transpose(1, 2, 0)) for image in inputs]
        for sample, image, found in zip(
            data_samples, images, self.runtime.detect(images), strict=True
        ):
            result = InstanceData(
                bboxes=_tensor(found.boxes),
                scores=_tensor(found.scores),
                labels=_tensor(found.labels),
            )
            if found.masks is not None:
                result.masks = run_lengths(found, (image.shape[0], image.shape[1]))
            sample.pred_instances = result
        return data_samples


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))


def use_exported(config: Config, path: str, with_tta: bool = False) -> None:
    """Have a config test an exported file in place of its model and a checkpoint.

    Images are handed over as they are in their files; the file's metadata say what becomes of them.

    Raises:
        ConfigError: there is no such file, or augmented views are asked for.
    """
    if with_tta:
        raise ConfigError('--tta serves checkpoints, not exported files. Test without --tta.')
    if not Path(path).is_file():
        raise ConfigError(f'Exported file not found: {path}')
    batch = config.test_dataloader.get('batch_size', 1)
    config.model = ConfigDict(type='ExportedDetector', path=str(path), batch_size=batch)
    config.load_from = None
    # averaged weights are in the file already
    hooks = [hook for hook in config.get('custom_hooks') or () if hook.get('type') != 'EMAHook']
    config.custom_hooks = [*hooks, dict(type='ExportedFitHook')]
    for _, dataset in innermost_datasets(config, ['test_dataloader']):
        steps = [
            dict(step)
            for step in dataset.get('pipeline') or ()
            if type_name(step.get('type')) not in ('YOLOv5KeepRatioResize', 'LetterResize')
        ]
        for step in steps:
            if type_name(step.get('type')) == 'PackDetInputs':
                step['meta_keys'] = ('img_id', 'img_path', 'ori_shape')
        dataset.update(pipeline=steps, batch_shapes_cfg=None)


@HOOKS.register_module()
class ExportedFitHook(Hook):
    """Compare an exported file with the data and the evaluator that are to score it, before the
    test.
    """

    def before_test(self, runner: Runner) -> None:
        """Compare.

        Raises:
            ConfigError: masks are scored, but the file has none, or its classes are others.
        """
        runtime: Runtime = runner.model.runtime
        loop: Any = runner.test_loop
        name = runtime.session.path
        kinds = {kind for one in loop.evaluator.metrics for kind in getattr(one, 'metrics', ())}
        if 'segm' in kinds and not runtime.has_masks:
            raise ConfigError(
                f'{name} detects boxes alone, but test_evaluator.metric asks for the score of '
                'masks (segm). Export a model of configs/yolov5/ins_seg, or test with '
                '--cfg-options test_evaluator.metric=bbox.'
            )
        given = loop.dataloader.dataset.metainfo.get('classes') or runtime.class_names
        if tuple(given) != runtime.class_names:
            raise ConfigError(
                f'{name} knows the classes {shortened(list(runtime.class_names))}, but the test '
                f'data set has {shortened(list(given))}. Test with the config that it was exported '
                'with.'
            )
