"""What tests of the downloader share."""

from collections.abc import Iterator

import pytest

from tests.datasets.download.server import Server, running_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine, reached directly whatever proxies the environment names."""
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    with running_server() as running:
        yield running
