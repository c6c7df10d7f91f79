"""Fetches one file over HTTP: resumed, retried, checked, and under its name only when complete."""

import http.client
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError  # what requests is built on, and lets through

from mmyolo_lite.datasets.download.disk import check_free_space
from mmyolo_lite.datasets.download.partial import PartialFile
from mmyolo_lite.datasets.download.sources import shown
from mmyolo_lite.errors import DataError
from mmyolo_lite.whole_files import disk_errors

CHUNK_BYTES = 1 << 18
# Growth that shows a connection to be alive, if shaky: the count of attempts begins anew.
GROWTH_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 40
NETWORK_ERRORS = (
    requests.RequestException,
    HTTPError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
)

Check = Callable[[Path, bool], None]


class Interrupted(Exception):
    """The run is being stopped; partial files stay."""


class _Retry(Exception):
    """This attempt failed, and another one may do better."""


@dataclass(frozen=True)
class FetchSettings:
    """How patiently to fetch.

    Attributes:
        pauses: Seconds to wait before each further attempt; their number is that of the retries.
        connect_seconds: Longest wait for a connection.
        read_seconds: Longest wait for the next bytes.
        stop: Set by another thread to end the fetch within one chunk or pause.
    """

    pauses: tuple[float, ...] = (1.0, 3.0, 9.0)
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    stop: threading.Event = field(default_factory=threading.Event)


def fetch(
    url: str,
    path: Path,
    check: Check = lambda part, thorough: None,
    *,
    provable: bool = False,
    settings: FetchSettings | None = None,
) -> None:
    """Fetch a URL into a file that appears under its name only when it is complete and checked.

    Bytes gather in ``<path>.part``. What is there from an interrupted run is continued with a Range
    request, guarded by the ETag or Last-Modified that came with it (If-Range). Where the server
    sends neither, or the partial file came by other ways, it is continued only if ``check`` can
    prove the whole. A failed check of a continued file means a new start.

    Args:
        url: An http or https URL. Proxies are taken from the environment.
        path: Where the file goes; its folder exists, and no other process works on it.
        check: Called with the complete partial file, and whether it needs a thorough check because
            it was put together from several answers; raises DataError when the content is wrong.
        provable: Whether a thorough ``check`` finds a file joined from two versions.
        settings: Retries and time limits.

    Raises:
        DataError: Nothing more to try; the message holds the URL, the cause and the path.
        Interrupted: ``settings.stop`` was set; the partial file stays.
    """
    settings = settings or FetchSettings()
    part = PartialFile(path)
    failures, mark = 0, part.size
    while True:
        try:
            if part.size and not (part.validator(url) or provable):
                part.discard()
            _attempt(url, part, check, settings)
            part.finish()
            return
        except (_Retry, *NETWORK_ERRORS) as error:
            cause = describe(error, settings)
        except (DataError, OSError) as error:
            text = str(error).removeprefix(f'{part.path}: ')
            raise DataError(f'{shown(url)}: {text}; {_by_hand(path)}') from error
        if part.size >= mark + GROWTH_BYTES:
            failures, mark = 0, part.size
        if failures == len(settings.pauses):
            attempts = f'{failures + 1} attempts' if failures else 'one attempt'
            raise DataError(f'{shown(url)}: {cause}, after {attempts}; {_by_hand(path)}')
        if settings.stop.wait(settings.pauses[failures]):
            raise Interrupted
        failures += 1


def _by_hand(path: Path) -> str:
    return (
        f'try again, or put the file at {path} by other means, or name a mirror or a local copy '
        'with --url'
    )


def _attempt(url: str, part: PartialFile, check: Check, settings: FetchSettings) -> None:
    """Ask once for the missing bytes, and check the file if it is complete then."""
    offset, validator = part.size, part.validator(url)
    # Compressed on the way, a file has another length than announced, and no ranges.
    headers = {'Accept-Encoding': 'identity'}
    if offset:
        headers['Range'] = f'bytes={offset}-'
        if validator:
            headers['If-Range'] = validator
    with (
        requests.Session() as session,
        _ask(session, url, headers, settings) as response,
    ):
        begin, total = _begin(response, part, url, offset)
        if begin == 0:
            part.begin_anew(url, response.headers, total)
        if response.status_code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            _receive(response, part, begin, total, settings)
    if total is not None and part.size != total:
        raise _Retry(f'wrong length, {part.size} of {total} announced bytes came')
    try:
        check(part.path, begin > 0)
    except DataError as error:
        part.discard()
        if begin > 0:
            raise _Retry(f'{error}; begun anew') from error
        raise


def _ask(
    session: requests.Session, url: str, headers: Mapping[str, str], settings: FetchSettings
) -> requests.Response:
    """Return the answer to a request, with its head alone read."""
    timeout = (settings.connect_seconds, settings.read_seconds)
    try:
        return session.get(url, headers=dict(headers), stream=True, timeout=timeout)
    except requests.RequestException:
        raise
    except ValueError as error:  # requests lets these through where a redirect leads nowhere
        raise _Retry(f'the answer cannot be followed ({error})') from error


def _begin(
    response: requests.Response, part: PartialFile, url: str, offset: int
) -> tuple[int, int | None]:
    """Return from which byte on the answer brings the file, and the length of the whole if known.

    Raises:
        _Retry: The answer brings no part of this file. A partial file that does not fit it is gone.
    """
    status, headers = response.status_code, response.headers
    if status == http.client.OK:
        # in chunks the end is marked, and a length beside them does not count (RFC 9112, 6.3)
        chunked = 'Transfer-Encoding' in headers
        return 0, None if chunked else _number(headers.get('Content-Length'))
    if offset and status == http.client.PARTIAL_CONTENT:
        found = re.fullmatch(
            r'bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)', headers.get('Content-Range', '').strip()
        )
        if found and int(found[1]) == offset and part.fits(url, headers, _number(found[3])):
            return offset, _number(found[3])
        part.discard()
        raise _Retry('the file on the server is not the one begun')
    if offset and status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
        # either everything is here already, or more than there is
        total = _number(headers.get('Content-Range', '').strip().removeprefix('bytes */'))
        if total == offset and part.fits(url, headers, total):
            return offset, total
        part.discard()
        raise _Retry('the partial file does not fit the one on the server')
    raise _Retry(f'HTTP {status} {response.reason or ""}'.rstrip())


def _number(text: str | None) -> int | None:
    """Return a length from a header, None when it is missing or no number."""
    return int(text) if text and re.fullmatch(r'[0-9]{1,18}', text.strip()) else None


def _receive(
    response: requests.Response,
    part: PartialFile,
    begin: int,
    total: int | None,
    settings: FetchSettings,
) -> None:
    """Append the bytes of an answer to the partial file, each piece as it comes."""
    if total is not None:
        check_free_space(part.path.parent, total - begin, 'the download')
    response.raw.enforce_content_length = False  # the caller compares, with what was there before
    # read1 (urllib3 2) hands over what is there; read would lose it when the connection breaks
    read: Callable[..., bytes] = getattr(response.raw, 'read1', response.raw.read)
    with (
        part.open(begin) as file,
        byte_bar(part.final.name, total, begin) as bar,
    ):
        # never decoded: Content-Length counts the bytes as sent
        while chunk := read(CHUNK_BYTES, decode_content=False):
            if settings.stop.is_set():
                raise Interrupted
            _write(file, chunk, part.path)
            bar.update(len(chunk))
            if file.tell() > MAX_FILE_BYTES:
                raise DataError(f'more than {MAX_FILE_BYTES} bytes come')
        with disk_errors(part.path):
            os.fsync(file.fileno())


def byte_bar(title: str, total: int | None, done: int = 0) -> tqdm:
    """Return a progress bar that counts bytes; silent without a terminal."""
    return tqdm(
        desc=title,
        total=total,
        initial=done,
        unit='B',
        unit_scale=True,
        leave=False,
        disable=None,
    )


def _write(file: FileIO, chunk: bytes, path: Path) -> None:
    """Write all of a piece to an unbuffered file; a full disk is no reason to ask the server again.

    Raises:
        DataError: The system refuses. The partial file stays, to be continued.
    """
    view = memoryview(chunk)
    with disk_errors(path):
        while view:
            view = view[file.write(view) :]


def describe(error: BaseException, settings: FetchSettings) -> str:
    """Return the cause of a failed attempt in a few words, without the URL."""
    if isinstance(error, requests.ConnectTimeout):
        return f'no connection within {settings.connect_seconds:g} s'
    root = _root(error)
    text = ' '.join(f'{type(root).__name__}: {root}'.split())[:200]
    if 'timed out' in str(root) or isinstance(error, requests.Timeout):
        return f'no data for {settings.read_seconds:g} s'
    if isinstance(error, requests.exceptions.SSLError):
        return f'the TLS certificate or connection is not accepted ({text})'
    if isinstance(error, requests.exceptions.ProxyError):
        return f'no connection through the proxy ({text})'
    if isinstance(error, requests.ConnectionError):
        return f'no connection ({text})'
    return str(error) if isinstance(error, _Retry) else f'the connection broke ({text})'


def _root(error: BaseException) -> BaseException:
    """Return the innermost exception: requests and urllib3 wrap the telling one several times."""
    seen: list[BaseException] = []
    while not any(error is one for one in seen):
        seen.append(error)
        inner = [getattr(error, 'reason', None), *error.args, error.__cause__]
        error = next((item for item in inner if isinstance(item, BaseException)), error)
    return error
