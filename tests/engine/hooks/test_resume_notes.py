"""Tests of what is said when a training is resumed with other settings."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.runner import EpochBasedTrainLoop

from mmyolo_lite.engine.hooks import ResumeNotesHook


def runner(batch_size: int = 4, max_epochs: int = 10, resume: bool = True) -> Any:
    loop = object.__new__(EpochBasedTrainLoop)
    loader = type('Loader', (), {'batch_size': batch_size, '__len__': lambda _: 40 // batch_size})()
    return SimpleNamespace(
        train_loop=loop,
        train_dataloader=loader,
        max_epochs=max_epochs,
        _resume=resume,
        logger=logging.getLogger('resume'),
    )


def said(caplog: pytest.LogCaptureFixture, before: Any, now: Any) -> str:
    checkpoint: dict = {'meta': {}}
    ResumeNotesHook().before_save_checkpoint(before, checkpoint)
    with caplog.at_level(logging.WARNING):
        ResumeNotesHook().after_load_checkpoint(now, checkpoint)
    return caplog.text


def test_nothing_to_say(caplog):
    assert said(caplog, runner(), runner()) == ''
    assert said(caplog, runner(), runner(batch_size=8, resume=False)) == ''
    with caplog.at_level(logging.WARNING):
        ResumeNotesHook().after_load_checkpoint(runner(), {'meta': {}})
        ResumeNotesHook().after_load_checkpoint(runner(), {'meta': {'training': 'x'}})
    assert caplog.text == ''


def test_another_length(caplog):
    text = said(caplog, runner(), runner(max_epochs=20))
    assert 'train_cfg.max_epochs (10 in the checkpoint, now 20)' in text
    assert 'falls over the new number of epochs' in text and 'images of each step' not in text


def test_another_batch_size(caplog):
    text = said(caplog, runner(), runner(batch_size=8))
    assert 'train_dataloader.batch_size (4 in the checkpoint, now 8)' in text
    assert 'batches of an epoch (10 in the checkpoint, now 5)' in text
    assert 'images of each step' in text and 'falls over' not in text
