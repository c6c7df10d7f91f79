"""One line says where the time of a validation went, whatever the model."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from mmyolo_lite.datasets import coco_truth
from mmyolo_lite.engine.hooks import validation_time
from mmyolo_lite.engine.hooks.validation_time import (
    EndOfIterationHook,
    ValidationTimeHook,
    network_ends,
)
from tests.models import tiny


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, 'perf_counter', lambda: self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds


class Part(nn.Module):
    """A part of a model that takes time."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self) -> None:
        self.clock.wait(self.seconds)


class Detector(nn.Module):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.data_preprocessor, self.backbone = Part(clock, 0.25), Part(clock, 1)
        self.bbox_head = nn.Module()
        self.bbox_head.head_module = Part(clock, 0.5)

    def forward(self) -> None:
        self.data_preprocessor()
        self.backbone()
        self.bbox_head.head_module()


class Wrapper(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(validation_time, 'print_log', lambda line, logger: found.append(line))
    return found


def run(clock: Clock, runner: Any, what: str = 'val', drawing: float = 0) -> None:
    """Go through two batches as mmengine's loops do."""
    hook = ValidationTimeHook()
    last = EndOfIterationHook(hook)
    inner = runner.model
    while isinstance(inner, Wrapper):
        inner = inner.module
    for _ in range(2):  # the second run starts anew
        getattr(hook, f'before_{what}_epoch')(runner)
        for batch in range(2):
            clock.wait(3)  # data
            getattr(hook, f'before_{what}_iter')(runner, batch)
            inner()
            clock.wait(0.5)  # post-processing
            getattr(hook, f'after_{what}_iter')(runner, batch)
            clock.wait(drawing)
            getattr(last, f'after_{what}_iter')(runner, batch)
        clock.wait(2)  # scoring
        getattr(hook, f'after_{what}_epoch')(runner)
    assert not any(
        len(part._forward_hooks) + len(part._forward_pre_hooks) for part in inner.modules()
    )


def runner_of(model: nn.Module, **config: Any) -> SimpleNamespace:
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=[0] * 7))
    return SimpleNamespace(model=model, cfg=config, val_loop=loop, test_loop=loop)


@pytest.mark.parametrize('wrappers', [0, 1, 2])
@pytest.mark.parametrize(('what', 'name'), [('val', 'validation'), ('test', 'test')])
def test_parts_of_the_time(monkeypatch, lines, what, name, wrappers):
    clock = Clock(monkeypatch)
    model: nn.Module = Detector(clock)
    for _ in range(wrappers):
        model = Wrapper(model)
    run(clock, runner_of(model), what)
    line = (
        f'{name} of 7 images in 12.5 s: data 6.0 s, network 3.5 s, post-processing 1.0 s, '
        'scoring 2.0 s'
    )
    assert lines == [line, line]


def test_drawing_belongs_to_no_part(monkeypatch, lines):
    clock = Clock(monkeypatch)
    run(clock, runner_of(Detector(clock)), drawing=4)
    assert lines[0].endswith('post-processing 1.0 s, scoring 2.0 s, other hooks 8.0 s')


def test_models_of_other_form_and_compiled_ones(monkeypatch, lines):
    clock = Clock(monkeypatch)
    run(clock, runner_of(Part(clock, 1)))
    run(clock, runner_of(Detector(clock), compile={'backend': 'eager'}))
    for line, seconds in ((lines[0], 3.0), (lines[2], 4.5)):
        assert f'data 6.0 s, network and post-processing {seconds} s, scoring 2.0 s' in line


def test_on_cuda_events_are_read_once_at_the_end(monkeypatch, lines):
    clock, calls = Clock(monkeypatch), []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.time = clock.now

        def elapsed_time(self, end: 'Event') -> float:
            assert calls, 'read before the device is done'
            return (end.time - self.time) * 1000

    monkeypatch.setattr(torch.cuda, 'Event', Event)
    monkeypatch.setattr(torch.cuda, 'synchronize', lambda: calls.append(clock.now))
    monkeypatch.setattr(validation_time, 'is_on_cuda', lambda model: True)
    run(clock, runner_of(Detector(clock)))
    assert 'network 3.5 s, post-processing 1.0 s' in lines[0]
    assert len(calls) == 2, 'once a validation'


def test_our_detectors_have_the_ends() -> None:
    for kind in ('det', 'ins'):
        detector = tiny.detector(kind)
        begin, end = network_ends(detector)
        assert begin is detector.data_preprocessor and end is detector.bbox_head.head_module


def test_a_run_lets_go_of_annotations_that_no_metric_took(monkeypatch) -> None:
    monkeypatch.setattr(coco_truth, '_handed', 'annotations')
    ValidationTimeHook().before_run(None)
    assert coco_truth._handed is None
