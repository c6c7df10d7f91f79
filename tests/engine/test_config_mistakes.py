"""Every mistake on the page docs/config_errors.md gets the message that the page shows."""

import os
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import DictAction

from mmyolo_lite.apis.cli import one_line
from mmyolo_lite.engine.config import TEST_PARTS, TRAIN_PARTS, check_files, load_config
from mmyolo_lite.errors import UserError
from tests.engine.config_mistakes import END, MISTAKES, PAGE, START, Mistake, normalised, row
from tests.tools.journey import WarmTools

PARTS = {'train': TRAIN_PARTS, 'test': TEST_PARTS}
CASES = [(mistake, tool) for mistake in MISTAKES for tool in mistake.tools]


@pytest.fixture(scope='module')
def rows() -> list[str]:
    """The rows of the page."""
    _, _, rest = PAGE.read_text('utf-8').partition(START)
    lines = rest.partition(END)[0].strip().splitlines()
    return lines[2:]


@pytest.fixture(scope='module')
def tools() -> Iterator[WarmTools]:
    warm = WarmTools()
    yield warm
    warm.close()


def named(cases: list[tuple[Mistake, str]]) -> list[str]:
    return [f'{tool}-{mistake.title}' for mistake, tool in cases]


def options_of(mistake: Mistake) -> dict | None:
    parser = ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    given = ['--cfg-options', *mistake.options] if mistake.options else []
    return parser.parse_args(given).cfg_options


@pytest.mark.filterwarnings('ignore:my_backbone failed to import')
@pytest.mark.parametrize(('mistake', 'tool'), CASES, ids=named(CASES))
def test_messages_are_those_of_the_page(
    mistake: Mistake, tool: str, rows: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        config = load_config(mistake.name, options_of(mistake), PARTS[tool])
        check_files(config, PARTS[tool])
    message = normalised(one_line(caught.value), tmp_path)
    if tool == mistake.tools[0]:
        assert row(mistake, message) in rows, 'run python -m tests.engine.config_mistakes'
    assert not os.path.exists(tmp_path / 'made')


def test_the_page_has_no_other_rows(rows: list[str]) -> None:
    titles = [line.split(' | ')[0].removeprefix('| ') for line in rows]
    assert titles == [mistake.title for mistake in MISTAKES]
    assert len(titles) >= 20


QUICK = [case for case in CASES if case[0] in MISTAKES[:2]]
REST = [case for case in CASES if case not in QUICK]


@pytest.mark.parametrize(
    ('mistake', 'tool'),
    [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in REST)],
    ids=named([*QUICK, *REST]),
)
def test_command_lines_end_in_that_message_and_make_nothing(
    mistake: Mistake, tool: str, rows: list[str], tools: WarmTools, tmp_path: Path
) -> None:
    message = mistake.run(tools, tmp_path, tool)
    if tool == mistake.tools[0]:
        assert row(mistake, message) in rows
