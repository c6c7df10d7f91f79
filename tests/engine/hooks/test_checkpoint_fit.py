"""What holds no weights or no state of a training is named in one line before mmengine reads it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mmyolo_lite.engine.hooks.checkpoint_fit import CheckpointFitHook
from mmyolo_lite.errors import CheckpointError

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
