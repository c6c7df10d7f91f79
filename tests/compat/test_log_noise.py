"""Runs do not log what mmengine tells its programmers."""

from pathlib import Path

import pytest
from mmengine.fileio import FileClient
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmyolo_lite.compat.log_noise import is_for_users
from mmyolo_lite.engine.runner import SteadyRunner


def test_a_run_is_silent_of_them(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    logger = MMLogger.get_instance('test_log_noise')
    logger.addHandler(caplog.handler)
    FileClient.infer_client(None, str(tmp_path))
    assert [record.levelname for record in caplog.records] == ['WARNING'] * 2, 'as mmengine is'
    caplog.clear()
    logger.addFilter(is_for_users)
    FileClient.infer_client(None, str(tmp_path))
    logger.warning('a warning')
    logger.removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records] == ['a warning']


def test_the_runner_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = MMLogger.get_instance('test_log_noise_of_a_runner')
    monkeypatch.setattr(Runner, 'build_logger', lambda self: logger)
    assert SteadyRunner.build_logger(object.__new__(SteadyRunner)) is logger
    assert is_for_users in logger.filters
