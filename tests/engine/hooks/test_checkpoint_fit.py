"""What holds no weights or no state of a training is named in one line before mmengine reads it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mmyolo_lite.engine.hooks.checkpoint_fit import CheckpointFitHook
from mmyolo_lite.errors import CheckpointError
from tests.models import tiny

META = {'epoch': 1, 'iter': 10}
ODD: dict = {1: torch.ones(1)}


def weights() -> dict[str, torch.Tensor]:
    return {'weight': torch.ones(1, 2), 'bias': torch.ones(1)}


def check(
    checkpoint: Any, resume: bool = False, strict: bool = True, classes: tuple = ('a', 'b')
) -> None:
    dataset = SimpleNamespace(metainfo={'classes': classes})
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    runner = SimpleNamespace(
        model=torch.nn.Linear(2, 1),
        _load_from='a.pth',
        _resume=resume,
        train_loop=loop,
        test_loop=loop,
    )
    CheckpointFitHook(strict).after_load_checkpoint(runner, checkpoint)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ('checkpoint', 'message'),
    [
        ([weights()], 'it is a list'),
        (torch.ones(2), 'it is a Tensor'),
        (None, 'it is a NoneType'),
        ({}, 'holds no weights'),
        ({'state_dict': [torch.ones(1)]}, 'holds no weights'),
        ({'state_dict': weights() | ODD}, r'1 of its 3 entries .* 1 \(Tensor\)'),
        ({'state_dict': {**weights(), 'bias': 1}}, r"'bias' \(int\)"),
        ({1: torch.ones(1)}, r'1 \(Tensor\)'),
        ({'state_dict': {'bias': torch.ones(3)}}, 'does not fit the model'),
    ],
)
def test_no_weights_are_explained(checkpoint: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=f'a.pth.*{message}') as caught:
        check(checkpoint)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'extra',
    [
        {},
        {'meta': None},
        {'meta': 3},
        {'meta': {'epoch': 1}},
        {'meta': {'epoch': '1', 'iter': 10}, 'message_hub': {}},
        {'meta': META},
    ],
)
def test_resuming_needs_the_state_of_a_training(extra: dict) -> None:
    checkpoint = {'state_dict': weights(), **extra}
    check(dict(checkpoint))
    with pytest.raises(CheckpointError, match='a.pth .*load_from=') as caught:
        check(checkpoint, resume=True)
    assert '\n' not in str(caught.value)


def test_bare_weights_are_wrapped() -> None:
    bare = weights()
    check(bare)
    assert set(bare) == {'state_dict'}


def test_the_config_of_a_checkpoint_is_not_run() -> None:
    meta = {**META, 'config': 'import os', 'seed': 0}
    checkpoint: dict = {'state_dict': weights(), 'meta': meta, 'message_hub': {}}
    check(checkpoint, resume=True)
    assert checkpoint['meta'] == {**META, 'seed': 0}


def trained_with(classes: Any) -> dict:
    meta = {**META, 'dataset_meta': {'classes': classes}}
    return {'state_dict': weights(), 'meta': meta, 'message_hub': {}, 'optimizer': {}}


@pytest.mark.parametrize('resume', [False, True])
def test_classes_in_another_order_are_refused(resume: bool) -> None:
    check(trained_with(('a', 'b')), resume)
    check(trained_with(['a', 'b']), resume)
    with pytest.raises(CheckpointError, match="another order: 'b', 'a'; the data set has 'a', 'b'"):
        check(trained_with(('b', 'a')), resume)


@pytest.mark.parametrize('meta', [None, 3, {}, {'dataset_meta': 3}, {'dataset_meta': {}}])
def test_checkpoints_without_class_names_pass(meta: Any) -> None:
    check({'state_dict': weights(), 'meta': meta})


def test_other_classes_are_warned_of_and_start_values_are_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from mmengine.logging import MMLogger

    logger = MMLogger.get_instance('test_checkpoint_fit')
    logger.addHandler(caplog.handler)
    check(trained_with(('kite', 'balloon')))
    assert "'kite', 'balloon'" in caplog.text
    caplog.clear()
    check(trained_with(('b', 'a')), strict=False)
    assert not caplog.text


def start(
    target: Any, checkpoint: dict, classes: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> str:
    """Start a training of `target` from a checkpoint, and return what was logged."""
    from mmengine.logging import MMLogger

    logger = MMLogger.get_instance('test_checkpoint_fit_start')
    logger.addHandler(caplog.handler)
    caplog.clear()
    dataset = SimpleNamespace(metainfo={'classes': classes})
    runner: Any = SimpleNamespace(
        model=target,
        _load_from='a.pth',
        _resume=False,
        train_loop=SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset)),
    )
    CheckpointFitHook(strict=False).after_load_checkpoint(runner, checkpoint)
    logger.removeHandler(caplog.handler)
    return caplog.text


def test_rows_of_known_classes_are_taken_over(caplog: pytest.LogCaptureFixture) -> None:
    source, target = tiny.detector('ins', 3), tiny.detector('ins', 2)
    weights = {f'module.{name}': tensor for name, tensor in source.state_dict().items()}
    checkpoint = {'state_dict': weights, 'meta': {'dataset_meta': {'classes': ['a', 'b', 'c']}}}
    log = start(target, checkpoint, ('new', 'b'), caplog)
    assert 'loaded 366, 6 of them in part: bbox_head.head_module.convs_pred.0.weight' in log
    assert 'skipped 0\n  missing, started anew 0\n  classes kept 1: b; started anew 1: new' in log
    target.load_state_dict(checkpoint['state_dict'], strict=True)


@pytest.mark.parametrize(
    ('classes', 'frozen', 'is_told'),
    [(('c', 'b'), (), True), (('c', 'b'), ('backbone', 'neck'), False), (('c', 'new'), (), False)],
)
def test_known_classes_alone_are_better_frozen(
    classes: tuple, frozen: tuple, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = tiny.detector('ins', 3), tiny.detector('ins', 2)
    target.frozen_parts = frozen
    meta = {'dataset_meta': {'classes': ['a', 'b', 'c']}}
    log = start(target, {'state_dict': source.state_dict(), 'meta': meta}, classes, caplog)
    assert ('--freeze backbone,neck' in log) is is_told


def test_eighty_nameless_classes_are_those_of_coco(caplog: pytest.LogCaptureFixture) -> None:
    source, target = tiny.detector('det', 80), tiny.detector('det', 2)
    log = start(target, {'state_dict': source.state_dict()}, ('balloon', 'person'), caplog)
    assert 'taken for those of COCO' in log
    assert 'classes kept 1: person; started anew 1: balloon' in log


def test_weights_that_fit_are_taken_over_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    source = tiny.detector('det')
    assert not start(tiny.detector('det'), {'state_dict': source.state_dict()}, ('a',), caplog)


def test_official_names_lead_to_the_converter(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CheckpointError, match='yolov5_to_mmyolo.py'):
        start(tiny.detector('det'), {'model.0.conv.weight': torch.ones(1)}, ('a',), caplog)
