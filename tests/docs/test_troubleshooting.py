"""The messages on the page docs/troubleshooting.md are those that the mistakes end in."""

import re
from pathlib import Path

import pytest

from tests.docs.shell import Shell
from tests.docs.troubles import Trouble
from tests.docs.troubles_running import TROUBLES
from tests.shared_data import REPO

PAGE = REPO / 'docs/troubleshooting.md'
SHOWN = re.compile(r'^> `(.*)`$', re.MULTILINE)
# these take a training or more
SLOW = {'A loss that is not finite', 'Many damaged photos'}


@pytest.fixture(scope='module')
def shown() -> list[str]:
    """The messages of the page."""
    return SHOWN.findall(PAGE.read_text('utf-8'))


def test_the_page_shows_one_message_for_each_mistake(shown: list[str]) -> None:
    assert len(shown) == len(set(shown)) == len(TROUBLES) >= 50
    assert len({trouble.title for trouble in TROUBLES}) == len(TROUBLES)


@pytest.mark.parametrize(
    'trouble',
    [
        pytest.param(t, id=t.title, marks=[pytest.mark.slow] if t.title in SLOW else [])
        for t in TROUBLES
    ],
)
def test_message_is_that_of_the_page(
    trouble: Trouble, shown: list[str], shell: Shell, here: Path, server: str
) -> None:
    if 'boxam_vis_demo.py' in trouble.command:
        pytest.importorskip('pytorch_grad_cam', reason='pip install grad-cam')
    assert trouble.run(shell, here, SERVER=server) in shown
