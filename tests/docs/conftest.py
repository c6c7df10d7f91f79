"""What tests of the pages share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import world as worlds
from tests.docs.shell import Shell


@pytest.fixture(scope='session')
def shell() -> Iterator[Shell]:
    """Bash, with a `python` that has imported the frameworks."""
    running = Shell()
    yield running
    running.close()


@pytest.fixture(scope='session')
def world(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the pages name; not to be changed."""
    return worlds.make_world(tmp_path_factory.mktemp('world'), shell)


@pytest.fixture
def here(world: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(world, tmp_path / 'here', symlinks=True))


@pytest.fixture(scope='session')
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server with the balloon set's archive."""
    folder = tmp_path_factory.mktemp('served')
    worlds.write_archive(folder)
    with worlds.running_server(folder) as url:
        yield url
