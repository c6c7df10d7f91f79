"""One file over HTTP: whole, resumed, retried, or one message; never half a file under its name."""

import contextlib
import gzip
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from mmyolo_lite.datasets.download import disk
from mmyolo_lite.datasets.download.fetch import FetchSettings, Interrupted, fetch
from mmyolo_lite.errors import DataError

BODY = bytes(range(256)) * 2000  # 512 kB: more than one chunk
OTHER = BODY[::-1]
HALF = len(BODY) // 2
QUICK = FetchSettings(pauses=(0.0, 0.0, 0.0), read_seconds=5)
ONCE = FetchSettings(pauses=(), read_seconds=5)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / 'file.zip'


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent))


def is_body(part: Path, thorough: bool) -> None:
    """Stand in for the test of an archive."""
    if part.read_bytes() not in (BODY, OTHER):
        raise DataError(f'{part}: spliced')


def interrupt(server, path: Path, **fields) -> str:
    """Fetch the first half of a file, and return the URL."""
    url = server.serve('/file.zip', BODY, cuts=[HALF], **fields)
    with pytest.raises(DataError, match='wrong length'):
        fetch(url, path, settings=ONCE)
    assert path.with_name('file.zip.part').read_bytes() == BODY[:HALF]
    assert names(path) == ['file.zip.part', 'file.zip.part.json']
    server.requests.clear()
    return url


def test_a_whole_file(server, path):
    fetch(server.serve('/file.zip', BODY), path, settings=ONCE)
    assert path.read_bytes() == BODY
    assert names(path) == ['file.zip']
    assert server.asked('Accept-Encoding') == ['identity']
    assert server.asked('Range') == [None]


@pytest.mark.parametrize(
    'validator', [{'etag': '"v1"'}, {'modified': 'Mon, 01 Jan 2024 00:00:00 GMT'}]
)
def test_a_truncated_answer_is_continued(server, path, validator):
    url = server.serve('/file.zip', BODY, cuts=[1000, 100_000], **validator)
    fetch(url, path, settings=QUICK)
    assert path.read_bytes() == BODY
    assert server.asked('Range') == [None, 'bytes=1000-', 'bytes=101000-']
    assert server.asked('If-Range')[1:] == [*validator.values()] * 2
    assert names(path) == ['file.zip']


def test_an_interrupted_run_is_continued(server, path):
    url = interrupt(server, path, etag='"v1"')
    fetch(url, path, settings=ONCE)
    assert path.read_bytes() == BODY
    assert server.asked('Range') == [f'bytes={HALF}-']


@pytest.mark.parametrize('if_range', [True, False])
def test_a_changed_file_is_not_spliced(server, path, if_range):
    url = interrupt(server, path, etag='"v1"')
    server.serve('/file.zip', OTHER, etag='"v2"', if_range=if_range)
    fetch(url, path, settings=QUICK)
    assert path.read_bytes() == OTHER
    assert len(server.requests) == (1 if if_range else 2)


def test_a_changed_length_is_not_spliced(server, path):
    url = interrupt(server, path)
    server.serve('/file.zip', OTHER + b'more')
    fetch(url, path, provable=True, settings=QUICK)
    assert path.read_bytes() == OTHER + b'more'


def test_without_validators_only_what_can_be_proven_is_continued(server, path):
    url = interrupt(server, path)
    fetch(url, path, settings=ONCE)
    assert server.asked('Range') == [None]
    path.unlink()
    url = interrupt(server, path)
    fetch(url, path, is_body, provable=True, settings=ONCE)
    assert server.asked('Range') == [f'bytes={HALF}-']
    assert path.read_bytes() == BODY


def test_a_failed_proof_means_a_new_start(server, path):
    url = interrupt(server, path)
    server.serve('/file.zip', OTHER)
    fetch(url, path, is_body, provable=True, settings=QUICK)
    assert path.read_bytes() == OTHER
    assert server.asked('Range') == [f'bytes={HALF}-', None]


def test_weak_etags_guard_nothing(server, path):
    url = interrupt(server, path, etag='W/"v1"')
    fetch(url, path, settings=ONCE)
    assert server.asked('Range') == [None]


def test_a_partial_file_of_another_url_is_not_trusted(server, path):
    interrupt(server, path, etag='"v1"')
    fetch(server.serve('/mirror/file.zip', OTHER, etag='"v1"'), path, settings=ONCE)
    assert path.read_bytes() == OTHER


@pytest.mark.parametrize('notes', ['', '[]', '{"url": 1}', '[' * 100_000, '{"etag": "\\n"}'])
def test_spoilt_notes_mean_a_new_start(server, path, notes):
    url = interrupt(server, path, etag='"v1"')
    path.with_name('file.zip.part.json').write_text(notes)
    fetch(url, path, settings=ONCE)
    assert path.read_bytes() == BODY
    assert server.asked('Range') == [None]


def test_servers_without_ranges_begin_anew(server, path):
    url = server.serve('/file.zip', BODY, etag='"v1"', ranges=False, cuts=[HALF, 100])
    fetch(url, path, settings=QUICK)
    assert path.read_bytes() == BODY
    assert len(server.requests) == 3


def test_a_complete_partial_file_takes_its_name(server, path):
    url = interrupt(server, path, etag='"v1"')
    path.with_name('file.zip.part').write_bytes(BODY)
    fetch(url, path, settings=ONCE)
    assert path.read_bytes() == BODY
    assert server.asked('Range') == [f'bytes={len(BODY)}-']


def test_a_partial_file_longer_than_the_file_is_dropped(server, path):
    url = interrupt(server, path, etag='"v1"')
    path.with_name('file.zip.part').write_bytes(BODY + b'more')
    fetch(url, path, settings=QUICK)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize('ranges', [True, False])
def test_too_few_bytes_never_take_the_name(server, path, ranges):
    url = server.serve('/file.zip', BODY, claims=len(BODY) + 10, ranges=ranges)
    with pytest.raises(DataError) as caught:
        fetch(url, path, settings=QUICK)
    assert 'file.zip' not in names(path)
    assert url in str(caught.value) and str(path) in str(caught.value)


def test_fewer_bytes_announced_than_there_are(server, path):
    url = server.serve('/file.zip', BODY, claims=HALF)
    with pytest.raises(DataError, match='spliced'):
        fetch(url, path, is_body, settings=QUICK)
    assert names(path) == []


@pytest.mark.parametrize('status', [403, 404, 500, 503])
def test_http_errors(server, path, status):
    url = server.serve('/file.zip', BODY, statuses=[status] * 9)
    with pytest.raises(DataError, match=f'HTTP {status} .*4 attempts') as caught:
        fetch(url, path, settings=QUICK)
    assert len(server.requests) == 4
    message = str(caught.value)
    assert url in message and f'put the file at {path}' in message and '--url' in message
    assert names(path) == []


def test_passing_errors_are_survived(server, path):
    fetch(server.serve('/file.zip', BODY, statuses=[503, 403, 500]), path, settings=QUICK)
    assert path.read_bytes() == BODY


def test_pauses_grow(server, path):
    url = server.serve('/file.zip', BODY, statuses=[503, 503])
    started = time.monotonic()
    fetch(url, path, settings=FetchSettings(pauses=(0.1, 0.3)))
    assert time.monotonic() - started >= 0.4


def test_growth_refreshes_patience(server, path):
    body = os.urandom(4 << 20)
    url = server.serve('/file.zip', body, etag='"v1"', cuts=[(1 << 20) + 1] * 3)
    fetch(url, path, settings=FetchSettings(pauses=(0.0,)))
    assert path.read_bytes() == body


def test_no_connection(path, server):
    with contextlib.closing(socket.socket()) as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    with pytest.raises(DataError, match='no connection .*refused.*after 4 attempts'):
        fetch(f'http://127.0.0.1:{port}/file.zip', path, settings=QUICK)


def test_an_unknown_host(path, monkeypatch):
    def fail(*arguments, **options):
        raise socket.gaierror(-2, 'Name or service not known')

    monkeypatch.setenv('NO_PROXY', '*')
    monkeypatch.setattr(socket, 'getaddrinfo', fail)
    with pytest.raises(DataError, match='http://nowhere/file.zip: no connection .*not known'):
        fetch('http://nowhere/file.zip', path, settings=QUICK)


def test_a_frozen_server(server, path):
    release = threading.Event()
    url = server.serve('/file.zip', BODY, etag='"v1"', cuts=[HALF, None], stall=release)
    try:
        fetch(url, path, settings=FetchSettings(pauses=(0.0,), read_seconds=0.3))
    finally:
        release.set()
    assert path.read_bytes() == BODY
    assert server.asked('Range') == [None, f'bytes={HALF}-']


def test_a_frozen_server_is_named(server, path):
    release = threading.Event()
    url = server.serve('/file.zip', BODY, cuts=[0], stall=release)
    try:
        with pytest.raises(DataError, match=r'no data for 0\.2 s, after one attempt'):
            fetch(url, path, settings=FetchSettings(pauses=(), read_seconds=0.2))
    finally:
        release.set()


def test_encoded_bytes_are_kept_as_sent(server, path):
    packed = gzip.compress(BODY)
    fetch(server.serve('/file.zip', packed, headers={'Content-Encoding': 'gzip'}), path)
    assert path.read_bytes() == packed


def test_chunks(server, path):
    fetch(server.serve('/file.zip', BODY, chunked=True), path, settings=ONCE)
    assert path.read_bytes() == BODY
    path.unlink()
    url = server.serve('/file.zip', BODY, chunked=True, cuts=[HALF])
    with pytest.raises(DataError, match='connection broke'):
        fetch(url, path, settings=ONCE)
    assert 'file.zip' not in names(path)


@pytest.mark.parametrize('length', ['x', '-5', '5, 5', '9' * 30])
def test_unusable_lengths(server, path, length):
    url = server.serve('/file.zip', BODY, claims=0, headers={'Content-Length': length})
    with contextlib.suppress(DataError):
        fetch(url, path, is_body, settings=ONCE)
    assert not path.exists() or path.read_bytes() == BODY


def test_redirects(server, path):
    server.serve('/real', BODY)
    fetch(server.serve('/file.zip', moved='/real'), path, settings=ONCE)
    assert path.read_bytes() == BODY
    for target in ('/loop', 'file:///etc/passwd', 'http://[', 'http://\xff..'):
        with pytest.raises(DataError, match='after one attempt'):
            fetch(server.serve('/loop', moved=target), path, settings=ONCE)


def test_wrong_content_is_not_asked_for_again(server, path):
    url = server.serve('/file.zip', b'<html>')
    with pytest.raises(DataError, match=f'^{url}: spliced; try again'):
        fetch(url, path, is_body, settings=QUICK)
    assert len(server.requests) == 1
    assert names(path) == []


def test_too_little_space(server, path, monkeypatch):
    class Usage:
        free = 1000

    monkeypatch.setattr(disk.shutil, 'disk_usage', lambda folder: Usage)
    url = server.serve('/file.zip', BODY)
    with pytest.raises(DataError, match=r'needs 0\.6 MB, the disk has 0\.1 MB free') as caught:
        fetch(url, path, settings=QUICK)
    assert url in str(caught.value) and len(server.requests) == 1


def test_a_disk_that_fills_up(server, path, monkeypatch):
    def full(handle):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    url = server.serve('/file.zip', BODY, etag='"v1"')
    with pytest.raises(DataError, match='No space left on device.*make room') as caught:
        fetch(url, path, settings=QUICK)
    assert url in str(caught.value) and str(path) in str(caught.value)
    assert len(server.requests) == 1
    assert 'file.zip' not in names(path)


@pytest.mark.parametrize('name', ['file.zip', 'file.zip.part', 'file.zip.part.json'])
def test_folders_in_the_way(server, path, name):
    path.with_name(name).mkdir()
    with pytest.raises(DataError, match='in the way'):
        fetch(server.serve('/file.zip', BODY), path, settings=ONCE)


def test_stopping_during_a_pause_and_between_chunks(server, path):
    settings = FetchSettings(pauses=(600.0,))
    threading.Timer(0.1, settings.stop.set).start()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        fetch(server.url('/nothing.zip'), path, settings=settings)
    with pytest.raises(Interrupted):
        fetch(server.serve('/file.zip', BODY), path, settings=settings)
    assert time.monotonic() - started < 300  # less than the pause, also on a busy machine
    assert 'file.zip' not in names(path)


def test_passwords_stay_out_of_messages(server, path):
    url = server.url('/missing.zip').replace('//', '//me:secret@')
    with pytest.raises(DataError) as caught:
        fetch(url, path, settings=ONCE)
    assert 'secret' not in str(caught.value)
