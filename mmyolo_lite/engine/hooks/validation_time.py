"""Say after each validation and test where its time went."""

import time
from collections.abc import Sized
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from mmyolo_lite.datasets import coco_truth

MIN_SHARE = 0.02
"""What other hooks take, such as drawing, is named from this share of the whole on."""


class ValidationTimeHook(Hook):
    """Log one line a validation and test: the whole time, and its parts.

    Data is what the loop waits for batches; network is what goes from the preprocessor to the raw
    maps; post-processing is the rest of the step (boxes, suppression, masks, run lengths); scoring
    follows the last batch. On CUDA the network is timed by events that are read at the very end, so
    that nothing waits for the device. Of a compiled model, and one without ``data_preprocessor``
    and ``bbox_head.head_module``, network and post-processing are told as one.

    :class:`EndOfIterationHook` has to be registered too.
    """

    priority = 'VERY_HIGH'  # other hooks, such as drawing, belong to no part

    def __init__(self) -> None:
        self.seconds = {'data': 0.0, 'step': 0.0}
        self._since = self._started = 0.0
        self._network: list[tuple[Any, Any]] = []
        self._begin: Any = None
        self._handles: list[Any] = []
        self._on_cuda = False

    def before_run(self, runner: Runner) -> None:
        """Let go of annotations that no metric has asked for: all metrics are built by now."""
        coco_truth.forget()

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        """Start all clocks."""
        if mode == 'train':
            return
        self._remove_handles()
        self.seconds = {'data': 0.0, 'step': 0.0}
        self._network, self._begin = [], None
        parts = network_ends(runner.model)
        if parts is not None and not runner.cfg.get('compile'):
            self._on_cuda = is_on_cuda(runner.model)
            self._handles = [
                parts[0].register_forward_pre_hook(self._network_begins),
                parts[1].register_forward_hook(self._network_ended),
            ]
        self._started = self._since = time.perf_counter()

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, mode: str = 'train'
    ) -> None:
        """End of waiting for a batch."""
        if mode != 'train':
            self._pass('data')

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = 'train',
    ) -> None:
        """End of a step."""
        if mode != 'train':
            self._pass('step')

    def resume(self) -> None:
        """Begin to wait for the next batch, or for the scores."""
        self._since = time.perf_counter()

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        """Log the line."""
        if mode == 'train':
            return
        self._pass('scoring')
        whole = self._since - self._started
        self._remove_handles()
        loop = runner.val_loop if mode == 'val' else runner.test_loop
        name = 'validation' if mode == 'val' else 'test'
        dataset = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
        images = f' of {len(dataset)} images' if isinstance(dataset, Sized) else ''
        print_log(f'{name}{images} in {whole:.1f} s: {self._describe(whole)}', 'current')

    def _pass(self, part: str) -> None:
        """Count the time since the last call for a part."""
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now

    def _now(self) -> Any:
        if not self._on_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _network_begins(self, *_: Any) -> None:
        self._begin = self._now()

    def _network_ended(self, *_: Any) -> None:
        if self._begin is not None:
            self._network.append((self._begin, self._now()))
            self._begin = None

    def _remove_handles(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _describe(self, whole: float) -> str:
        """Return the parts, with their seconds."""
        step = self.seconds['step']
        if not self._network:
            parts = {'network and post-processing': step}
        else:
            if self._on_cuda:
                torch.cuda.synchronize()
                network = sum(begin.elapsed_time(end) for begin, end in self._network) / 1000
            else:
                network = sum(end - begin for begin, end in self._network)
            network = min(network, step)
            parts = {'network': network, 'post-processing': step - network}
        parts = {'data': self.seconds['data'], **parts, 'scoring': self.seconds['scoring']}
        other = whole - sum(parts.values())
        if other > MIN_SHARE * whole:
            parts['other hooks'] = other
        return ', '.join(f'{name} {seconds:.1f} s' for name, seconds in parts.items())


class EndOfIterationHook(Hook):
    """Tell a :class:`ValidationTimeHook` that all other hooks are done with a batch."""

    priority = 'LOWEST'

    def __init__(self, clock: ValidationTimeHook) -> None:
        self.clock = clock

    def _after_iter(self, runner: Runner, *args: Any, mode: str = 'train', **kwargs: Any) -> None:
        """Resume the clock."""
        if mode != 'train':
            self.clock.resume()


def register_validation_time(runner: Runner) -> None:
    """Have a runner say where the time of validations and tests goes."""
    clock = ValidationTimeHook()
    runner.register_hook(clock)
    runner.register_hook(EndOfIterationHook(clock))


def is_on_cuda(model: nn.Module) -> bool:
    """Say whether a model works on a CUDA device."""
    return any(parameter.is_cuda for parameter in model.parameters())


def network_ends(model: nn.Module) -> tuple[nn.Module, nn.Module] | None:
    """Return the modules that the network begins and ends with, in whatever wrapper; None if it
    has none of that name.
    """
    while isinstance(inner := getattr(model, 'module', None), nn.Module):
        model = inner
    first = getattr(model, 'data_preprocessor', None)
    last = getattr(getattr(model, 'bbox_head', None), 'head_module', None)
    if isinstance(first, nn.Module) and isinstance(last, nn.Module):
        return first, last
    return None
