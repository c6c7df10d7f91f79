"""The collector of cycles pauses for a start, and only where a command line asked for it."""

import gc
import logging
from collections.abc import Iterator

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS

from mmyolo_lite import startup
from mmyolo_lite.engine import runner
from tests.shared_data import REPO


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_what_is_there_becomes_permanent() -> None:
    startup.pause_collection()
    assert not gc.isenabled()
    startup.settle()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000


def test_without_a_pause_nothing_is_touched() -> None:
    before = gc.get_freeze_count()
    startup.settle()
    assert gc.get_freeze_count() == before


def test_a_collector_that_the_user_turned_off_stays_off() -> None:
    gc.disable()
    startup.pause_collection()
    startup.settle()
    assert not gc.isenabled()


class StandInRunner:
    """A user's runner that wants to know whether it is built without collections."""

    def __init__(self, was_enabled: list[bool]) -> None:
        was_enabled.append(gc.isenabled())
        self.logger = logging.getLogger('stand-in')

    def register_hook(self, hook: Hook) -> None:
        pass


@pytest.mark.parametrize('paused', [True, False])
def test_the_pause_ends_when_the_runner_is_built(
    paused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if paused:
        startup.pause_collection()
    built_with: list[bool] = []
    monkeypatch.setattr(RUNNERS, 'build', lambda config: StandInRunner(built_with))
    runner.build_runner(Config({'runner_type': 'StandInRunner'}))
    assert built_with == [not paused]
    assert gc.isenabled()
    assert (gc.get_freeze_count() > 1000) == paused


@pytest.mark.parametrize('tool', ['train.py', 'test.py'])
def test_tools_pause_before_they_import(tool: str) -> None:
    text = (REPO / 'tools' / tool).read_text()
    assert text.index('startup.pause_collection()') < text.index('from mmyolo_lite.engine import')
