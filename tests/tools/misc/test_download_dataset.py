"""The command line of the downloader, as a user runs it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.datasets.download.conftest import server  # noqa: F401
from tests.datasets.download.hostile import make_zip
from tests.datasets.download.test_run import BALLOON
from tests.shared_data import REPO
from tests.tools.journey import environment

TOOL = 'tools/misc/download_dataset.py'


@pytest.fixture
def run(tools, tmp_path):
    """Run the tool in an empty folder."""
    return lambda *arguments: tools.run(tmp_path, TOOL, *arguments)


@pytest.mark.parametrize(
    'arguments',
    [
        ['--dataset-name', 'ballon'],
        ['--dataset-name', 'balloon', '--delete'],
        ['--threads', '0'],
        ['--sha256', 'abc'],
        ['--retries', '-1'],
        ['--timeout', 'nan'],
        ['--url', 'ftp://host/a.zip'],
        ['--url', 'http://host/%2e%2e'],
    ],
)
def test_usage_errors(run, arguments, tmp_path):
    done = run(*arguments)
    assert done.code == 2, done.err
    if 'ballon' in arguments:
        assert "'voc2012', 'balloon', 'cat'" in done.err or 'voc2012, balloon, cat' in done.err
    assert not (tmp_path / 'data').exists()


def test_the_documented_balloon_sequence(server, run, tmp_path):  # noqa: F811
    url = server.serve('/balloon_dataset.zip', make_zip(BALLOON))
    arguments = ['--dataset-name', 'balloon', '--save-dir', './data/balloon', '--unzip', '--delete']
    done = run(*arguments, '--url', url).check()
    assert done.err == ''
    assert done.out.splitlines()[1:] == [
        'data/balloon/balloon_dataset.zip: unpacked 76 files into data/balloon',
        'data/balloon/balloon_dataset.zip: deleted',
    ]
    assert (tmp_path / 'data/balloon/val/via_region_data.json').exists()
    assert 'is unpacked already' in run(*arguments, '--url', url).check().out
    assert len(server.requests) == 1


def test_failures_end_in_one_line(server, run, tmp_path):  # noqa: F811
    page = server.serve('/page.zip', b'<html>')
    short = server.serve('/short.zip', b'12345', claims=10, ranges=False)
    for url in (server.url('/none.zip'), page, short, 'http://127.0.0.1:1/a.zip'):
        done = run('--url', url, '--save-dir', 'out', '--unzip', '--retries', '0')
        assert (done.code, done.err.count('\n')) == (1, 1)
        assert done.err.startswith(f'error: {url}: ')
        assert f'put the file at out/{url.rpartition("/")[2]}' in done.err
    assert not list((tmp_path / 'out').glob('*.zip'))


def test_ctrl_c_keeps_what_came_and_the_next_run_goes_on(server, run, tmp_path):  # noqa: F811
    body = make_zip({'a': os.urandom(400_000)})
    release = threading.Event()
    url = server.serve('/a.zip', body, etag='"v1"', cuts=[100_000], stall=release)
    arguments = ['--url', url, '--save-dir', 'out']
    process = subprocess.Popen(
        [sys.executable, str(REPO / TOOL), *arguments],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    part = tmp_path / 'out/a.zip.part'
    try:
        wait_for(lambda: part.exists() and part.stat().st_size == 100_000, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)  # the server would stall for ever
    finally:
        release.set()
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (130, 'interrupted\n')
    assert part.read_bytes() == body[:100_000]
    run(*arguments).check()
    assert (tmp_path / 'out/a.zip').read_bytes() == body
    assert server.asked('Range')[-1] == 'bytes=100000-'


def wait_for(condition, process: subprocess.Popen, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
