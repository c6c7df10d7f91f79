"""Parameters and floating-point operations of a model, and how fast it is."""

import contextlib
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.analysis import get_model_complexity_info
from torch import nn

from mmyolo_lite.apis.model import InferenceModel
from mmyolo_lite.engine.checks import head_module_config
from mmyolo_lite.engine.quiet import errors_alone
from mmyolo_lite.errors import ConfigError

WARM_UP = 5
"""Runs that are not counted."""
LEAST_RUNS = 4
"""Runs that a median and quartiles are taken from."""


@dataclass(frozen=True)
class Complexity:
    """What a network costs for one image.

    Attributes:
        parameters: number of trained values.
        macs: multiply-accumulate operations, which the field calls FLOPs.
        table: of every module, as text.
    """

    parameters: int
    macs: int
    table: str


class _Network(nn.Module):
    """A detector from tensor to raw maps, without pre- and post-processing."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.backbone, self.neck = detector.backbone, detector.neck
        self.head = detector.bbox_head.head_module

    def forward(self, image: torch.Tensor) -> Any:
        """Return the raw maps of (B, 3, H, W)."""
        return self.head(self.neck(self.backbone(image)))


def check_shape(config: Any, shape_hw: tuple[int, int]) -> None:
    """Check that the strides divide an input's sides.

    Raises:
        ConfigError: they do not.
    """
    divisor = max(head_module_config(config).get('featmap_strides', [32]))
    if any(side < divisor or side % divisor for side in shape_hw):
        raise ConfigError(
            f'--shape {shape_hw[0]} {shape_hw[1]} (height, width) must be multiples of {divisor}'
        )


def complexity(model: InferenceModel, shape_hw: tuple[int, int]) -> Complexity:
    """Count parameters and operations for an input of a shape.

    Raises:
        ConfigError: the strides do not divide the shape.
    """
    check_shape(model.config, shape_hw)
    network = _Network(model.network)
    image = torch.zeros(1, 3, *shape_hw, device=model.device)
    # mmengine warns of activations, sums and pooling, which the field does not count either
    with torch.no_grad(), errors_alone():
        found = get_model_complexity_info(network, inputs=(image,), show_arch=False)
    return Complexity(int(found['params']), int(found['flops']), found['out_table'])


@dataclass(frozen=True)
class Speed:
    """Milliseconds of a batch, each a list over its runs.

    Attributes:
        whole: from images in memory to detections in original pixels.
        network: of it, the network.
        batch_size: images of a batch.
    """

    whole: list[float]
    network: list[float]
    batch_size: int

    def lines(self) -> list[str]:
        """Return medians, spread (half of the range of the middle half) and images a second."""
        rows = []
        for name, values in (('network', self.network), ('whole', self.whole)):
            low, middle, high = statistics.quantiles(values, n=4)
            rate = 1000 * self.batch_size / middle
            rows.append(
                f'{name}: {middle:.2f} ± {(high - low) / 2:.2f} ms a batch of {self.batch_size}, '
                f'{rate:.1f} images/s'
            )
        return rows


def check_runs(batch_size: int, runs: int, repeats: int = 1) -> None:
    """Raise ConfigError if there is nothing to time, or too little for quartiles."""
    for name, value, least in (
        ('--batch-size', batch_size, 1),
        ('--max-iter', runs, LEAST_RUNS),
        ('--repeat-num', repeats, 1),
    ):
        if value < least:
            raise ConfigError(f'{name} is {value}; it must be {least} or more.')


def measure_speed(
    model: InferenceModel,
    shape_hw: tuple[int, int],
    batch_size: int = 1,
    runs: int = 50,
    amp: bool = False,
) -> Speed:
    """Time a model on noise of a size, pre- and post-processing included.

    Args:
        model: with its weights; what is found depends on them, and so does post-processing.
        shape_hw: of the network's input.
        batch_size: images at once.
        runs: that are timed, at least ``LEAST_RUNS``.
        amp: in mixed precision.

    Raises:
        ConfigError: an argument cannot be.
    """
    check_shape(model.config, shape_hw)
    check_runs(batch_size, runs)
    noise = np.random.default_rng(0).integers(0, 256, (*shape_hw, 3), dtype=np.uint8)
    meta = {'ori_shape': shape_hw, 'img_shape': shape_hw, 'scale_factor': (1.0, 1.0)}
    inputs = [torch.from_numpy(noise.transpose(2, 0, 1).copy())] * batch_size
    device = model.device
    detector: Any = model.network
    network = _Network(detector)
    whole, alone = [], []
    context: Any = contextlib.nullcontext()
    if amp:
        context = torch.autocast(device.type, torch.bfloat16 if device.type == 'cpu' else None)
    with torch.inference_mode(), context:
        for number in range(WARM_UP + runs):
            times = [_timed(lambda: _predict(model, inputs, meta), device)]
            image = detector.data_preprocessor(_batch(inputs, meta))['inputs']
            times.append(_timed(lambda image=image: network(image), device))
            if number >= WARM_UP:
                whole.append(times[0])
                alone.append(times[1])
    return Speed(whole, alone, batch_size)


def _batch(inputs: list[torch.Tensor], meta: dict) -> dict[str, Any]:
    samples = [DetDataSample(metainfo=dict(meta)) for _ in inputs]
    return {'inputs': inputs, 'data_samples': samples}


def _predict(model: InferenceModel, inputs: list[torch.Tensor], meta: dict) -> Any:
    detector: Any = model.network
    return detector.test_step(_batch(inputs, meta))


def _timed(call: Any, device: torch.device) -> float:
    """Return milliseconds, the device's work included."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return 1000 * (time.perf_counter() - start)
