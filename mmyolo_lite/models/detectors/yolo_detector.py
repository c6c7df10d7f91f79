"""The detector: backbone, neck and head under one roof (spec: model.md 10)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import SingleStageDetector
from mmdet.models.detectors.base import BaseDetector
from mmengine.dist import get_world_size
from mmengine.model.utils import convert_sync_batchnorm
from torch import Tensor, nn

from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.models.freezing import check_parts, freeze_parts, part_names
from mmyolo_lite.models.process_means import mean_over_processes
from mmyolo_lite.registry import MODELS


@MODELS.register_module()
class YOLODetector(SingleStageDetector):
    """A single-stage YOLO detector.

    Args:
        backbone: config of the backbone.
        neck: config of the neck.
        bbox_head: config of the head.
        train_cfg: handed to the head.
        test_cfg: handed to the head.
        data_preprocessor: config of the data preprocessor.
        init_cfg: mmengine's.
        use_syncbn: with several processes, normalise over all of them, on CPUs too.
        channels_last: keep weights and maps in channels-last memory format, which convolutions in
            low precision run faster in. Results differ by rounding alone.
        compile: compile the network for training, by True or by the arguments of
            :func:`torch.compile`, such as ``dict(mode='max-autotune')``. Validation and loss stay
            as they are, and so do the keys of checkpoints.
        freeze: parts that do not train, such as ``('backbone', 'neck')`` or 'backbone.stage1':
            their parameters get no gradients, and their batch norms keep their statistics.

    Raises:
        ConfigError: `compile` is not what PyTorch knows, or `freeze` names no parts of the model.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        bbox_head: dict,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: Any = None,
        use_syncbn: bool = True,
        channels_last: bool = False,
        compile: bool | dict = False,
        freeze: str | Sequence[str] = (),
    ) -> None:
        # built here, in our own scope, so that the model needs no default scope
        if isinstance(data_preprocessor, dict):
            data_preprocessor = MODELS.build(data_preprocessor)
        BaseDetector.__init__(self, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.bbox_head = MODELS.build({**bbox_head, 'train_cfg': train_cfg, 'test_cfg': test_cfg})
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        if use_syncbn and get_world_size() > 1:
            convert_sync_batchnorm(self, implementation='torch')
        if channels_last:
            # convolutions give maps in the format of their weights
            self.to(memory_format=torch.channels_last)
        self.compile_options = _compile_options(compile)
        self.frozen_parts = part_names(freeze)
        check_parts(self, self.frozen_parts)
        self.train(self.training)

    def train(self, mode: bool = True) -> 'YOLODetector':
        """Switch the mode; frozen parts stay frozen, and what is compiled runs in training only,
        where all inputs have few sizes.
        """
        super().train(mode)
        freeze_parts(self, self.frozen_parts)
        if self.compile_options is not None:
            for part in (self.backbone, self.neck, self.bbox_head.head_module):
                if not mode:
                    part._compiled_call_impl = None
                elif part._compiled_call_impl is None:
                    # in place: no module is wrapped, no key of the state dict changes, and copies
                    # are not compiled
                    part.compile(**self.compile_options)
        return self

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of the neck.

        Args:
            batch_inputs: (B, 3, H, W) float, H and W multiples of the largest stride.

        Raises:
            DataError: H or W is no such multiple.
        """
        divisor = max(self.bbox_head.featmap_strides)
        height, width = batch_inputs.shape[-2:]
        if height % divisor or width % divisor:
            nearest = tuple(max(round(side / divisor), 1) * divisor for side in (height, width))
            raise DataError(
                f'The network input is {height}x{width} pixels (height x width), but both must be '
                f'multiples of {divisor}. The nearest that fits is {nearest[0]}x{nearest[1]}: set '
                'img_scale, or the size in LetterResize and batch_shapes_cfg, accordingly.'
            )
        return super().extract_feat(batch_inputs)

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss to minimise, and the losses to log: their means over all processes.

        Args:
            losses: by name, tensors of any shape; their means count.

        Returns:
            The sum of those with "loss" in their name, a scalar, and scalars by name.
        """
        loss, logged = super().parse_losses(losses)
        if get_world_size() > 1:
            means = mean_over_processes(torch.stack(list(logged.values())))
            logged = dict(zip(logged, means, strict=True))
        return loss, logged

    def add_pred_to_datasample(self, data_samples: list, results_list: list) -> list:
        """Put each result into its sample as ``pred_instances``."""
        for sample, result in zip(data_samples, results_list, strict=True):
            sample.pred_instances = result
        return data_samples


def _compile_options(given: bool | dict) -> dict[str, Any] | None:
    """Return the arguments of :func:`torch.compile`, or None to leave the network as it is.

    Raises:
        ConfigError: PyTorch refuses them.
    """
    if given is None or given is False:
        return None
    options = {} if given is True else given
    try:
        torch.compile(nn.Identity(), **options)
    except Exception as error:  # TypeError, RuntimeError, InvalidBackend of a private module ...
        reason = str(error).strip().split('\n')[0]
        raise ConfigError(
            f'model.compile is {given!r}, and torch.compile refuses it: {reason} Give True, or a '
            "dict of its arguments such as dict(backend='inductor', mode='default')."
        ) from error
    return dict(options)
