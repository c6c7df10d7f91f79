"""Between the data loader and the network: device, channel order, mean and std (spec: model.md 11).

Letters: B images, N objects of the batch, H W input size in pixels.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmengine.dist import broadcast, get_dist_info
from mmengine.logging import MessageHub
from torch import Tensor, nn
from torch.nn import functional as F

from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.models.targets import pack_samples
from mmyolo_lite.registry import MODELS


@MODELS.register_module()
class YOLOv5DetDataPreprocessor(DetDataPreprocessor):
    """Prepare batches; in training give the targets in the model's one form.

    Args:
        args: those of mmdet's ``DetDataPreprocessor``; mean and std are in the channel order after
            conversion.
        non_blocking: copy to the device asynchronously.
        batch_augments: configs of augmentations of whole batches, for training.
        kwargs: likewise.
    """

    def __init__(
        self,
        *args: Any,
        non_blocking: bool | None = True,
        batch_augments: Sequence[dict] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, non_blocking=non_blocking, **kwargs)
        # built here, in our own scope: mmdet would look for them in its own when no default scope
        # is set
        self.batch_augments = (
            None if batch_augments is None else nn.ModuleList(map(MODELS.build, batch_augments))
        )

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return ``inputs`` (B, 3, H, W) float32 and ``data_samples``.

        Args:
            data: from the collate function: ``inputs``, uint8 BGR, (B, 3, H, W) or a list of (3,
                H_i, W_i), and ``data_samples``, a dict with ``bboxes_labels`` (N, 6) and maybe
                ``masks``, or a list of samples.
            training: give targets as the dict of :func:`mmyolo_lite.models.targets.pack_samples`.
        """
        if not training:
            return super().forward(data, training)
        if isinstance(data['data_samples'], dict):
            data = self.cast_data(data)
            inputs, samples = self._convert(_stack(data['inputs'])), dict(data['data_samples'])
        else:
            # not in training mode, where mmdet would hand the list of samples to the augmentations
            data = super().forward(data, training=False)
            inputs = data['inputs']
            samples = pack_samples(data['data_samples'], inputs.device)
        for augment in self.batch_augments or ():
            inputs, samples = augment(inputs, samples)
        samples['img_metas'] = [
            {'batch_input_shape': tuple(inputs.shape[-2:])} for _ in range(len(inputs))
        ]
        return {'inputs': inputs, 'data_samples': samples}

    def _convert(self, inputs: Tensor) -> Tensor:
        """Swap channels and normalise a stacked batch."""
        if self._channel_conversion and inputs.shape[1] == 3:
            inputs = inputs.flip(1)
        if self._enable_normalize:
            inputs = (inputs.float() - self.mean) / self.std
        return inputs


def _stack(images: Tensor | Sequence[Tensor]) -> Tensor:
    """Return (B, 3, H, W); a list, as from ``use_ms_training``, has to be of one shape."""
    if isinstance(images, Tensor):
        return images
    shapes = {tuple(image.shape[-2:]) for image in images}
    if len(shapes) > 1:
        raise DataError(
            'The images of a training batch have different sizes (height, width): '
            f'{sorted(shapes)}. End the training pipeline with a transform that gives all one size.'
        )
    return torch.stack(list(images))


_CURRENT_SIZE = 'multi_scale_hw'


@MODELS.register_module()
class YOLOXBatchSyncRandomResize(nn.Module):
    """Multi-scale training: resize whole batches, a new size every few iterations, the same on all
    processes.

    Args:
        random_size_range: smallest and largest height in pixels.
        interval: iterations between two sizes.
        size_divisor: sizes are multiples of it.
    """

    def __init__(
        self, random_size_range: tuple[int, int], interval: int = 10, size_divisor: int = 32
    ) -> None:
        super().__init__()
        self._units = tuple(round(size / size_divisor) for size in random_size_range)
        if not 0 < self._units[0] <= self._units[1]:
            raise ConfigError(
                f'YOLOXBatchSyncRandomResize.random_size_range is {random_size_range}; give the '
                f'smallest and the largest height, at least {size_divisor} pixels.'
            )
        self._interval = interval
        self._size_divisor = size_divisor
        self._target_hw: tuple[int, int] | None = None

    def forward(self, inputs: Tensor, data_samples: dict) -> tuple[Tensor, dict]:
        """Resize (B, 3, H, W) to the current size, scale the boxes likewise, and maybe draw the
        next size.

        Masks keep their size; the mask loss resamples them.
        """
        height, width = inputs.shape[-2:]
        aspect_ratio = width / height
        hub = MessageHub.get_current_instance()
        # checkpoints hold what the hub does: a resumed training goes on with its size
        known = tuple(hub.get_info(_CURRENT_SIZE) or (height, width))
        self._target_hw = self._target_hw or known
        if (height, width) != self._target_hw:
            inputs = F.interpolate(inputs, self._target_hw, mode='bilinear', align_corners=False)
            scale_x, scale_y = self._target_hw[1] / width, self._target_hw[0] / height
            scale = data_samples['bboxes_labels'].new_tensor(
                (1, 1, scale_x, scale_y, scale_x, scale_y)
            )
            tables = {
                name: data_samples[name] * scale
                for name in ('bboxes_labels', 'ignored')
                if name in data_samples
            }
            data_samples = {**data_samples, **tables}
        if (hub.get_info('iter') + 1) % self._interval == 0:
            self._target_hw = self._draw(aspect_ratio, inputs.device)
            hub.update_info(_CURRENT_SIZE, self._target_hw)
        return inputs, data_samples

    def _draw(self, aspect_ratio: float, device: torch.device) -> tuple[int, int]:
        size = torch.zeros(2, dtype=torch.long, device=device)
        if get_dist_info()[0] == 0:
            units = int(torch.randint(self._units[0], self._units[1] + 1, ()))
            size = (
                torch.tensor((units, int(units * aspect_ratio)), device=device) * self._size_divisor
            )
        broadcast(size, 0)
        return int(size[0]), int(size[1])
