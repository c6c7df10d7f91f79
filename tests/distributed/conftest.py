"""What tests of several processes share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributed.ranks import WarmRanks
from tests.tools import journey


@pytest.fixture(scope='session')
def ranks() -> Iterator[WarmRanks]:
    """Command lines in several processes, without the wait for imports."""
    warm = WarmRanks()
    yield warm
    warm.close()


@pytest.fixture(scope='session')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set; not to be changed."""
    return journey.make_data(tmp_path_factory.mktemp('data'))
