"""An HTTP server on this machine that answers as a test's script says, badly if need be."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """What the server does with a path.

    Attributes:
        body: The file.
        statuses: Codes of the first requests; 200 or 206 afterwards.
        etag: The header.
        modified: The header Last-Modified.
        ranges: Understands Range.
        if_range: Understands If-Range.
        cuts: After how many bytes of the body the connection breaks, by request; None: never.
        claims: Content-Length, if not the truth; 0 leaves the header out.
        chunked: Sends chunks without a length.
        stall: Waited for after the bytes of a cut, in place of breaking.
        headers: More headers.
        moved: Where the file is instead.
    """

    body: bytes = b''
    statuses: list[int] = field(default_factory=list)
    etag: str | None = None
    modified: str | None = None
    ranges: bool = True
    if_range: bool = True
    cuts: list[int | None] = field(default_factory=list)
    claims: int | None = None
    chunked: bool = False
    stall: threading.Event | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    moved: str | None = None


class Server(ThreadingHTTPServer):
    """Serves ``answers`` by path and keeps the headers of every request in ``requests``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []

    def url(self, path: str) -> str:
        return f'http://127.0.0.1:{self.server_port}{path}'

    def serve(self, path: str, *arguments, **fields) -> str:
        """Script a path and return its URL."""
        self.answers[path] = Answer(*arguments, **fields)
        return self.url(path)

    def asked(self, header: str) -> list[str | None]:
        """Return a header of each request so far."""
        return [headers.get(header) for _, headers in self.requests]

    def handle_error(self, request, client_address) -> None:
        """Clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        answer = self.server.answers.get(self.path)
        if answer is None or answer.statuses:
            self.send_error(answer.statuses.pop(0) if answer else 404)
            return
        if answer.moved:
            self._send_empty(302, 'Location', answer.moved)
            return
        begin = self._begin(answer)
        if begin > 0 and begin >= len(answer.body):
            self._send_empty(416, 'Content-Range', f'bytes */{len(answer.body)}')
            return
        self._send_head(answer, begin)
        body = answer.body[begin:]
        cut = answer.cuts.pop(0) if answer.cuts else None
        if answer.chunked:
            size = len(body) + 1 if cut is not None else len(body)
            body = b'%x\r\n' % size + body[:cut] + (b'' if cut is not None else b'\r\n0\r\n\r\n')
            cut = None
        self.wfile.write(body[:cut])
        self.wfile.flush()
        if cut is not None and answer.stall:
            answer.stall.wait(30)
        self.close_connection = True

    def _send_empty(self, status: int, header: str, value: str) -> None:
        self.send_response(status)
        self.send_header(header, value)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def _begin(self, answer: Answer) -> int:
        asked = self.headers.get('Range')
        guard = self.headers.get('If-Range')
        if not asked or not answer.ranges:
            return 0
        if guard and answer.if_range and guard not in (answer.etag, answer.modified):
            return 0
        return int(asked.removeprefix('bytes=').removesuffix('-'))

    def _send_head(self, answer: Answer, begin: int) -> None:
        total = len(answer.body)
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header('Content-Range', f'bytes {begin}-{total - 1}/{total}')
        length = total - begin if answer.claims is None else answer.claims
        if answer.chunked:
            self.send_header('Transfer-Encoding', 'chunked')
        elif length:
            self.send_header('Content-Length', str(length))
        named = {'ETag': answer.etag, 'Last-Modified': answer.modified, **answer.headers}
        for name, value in named.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()


class ChunkingHandler(Handler):
    protocol_version = 'HTTP/1.1'  # which chunks need


@contextmanager
def running_server() -> Iterator[Server]:
    server = Server()
    server.RequestHandlerClass = ChunkingHandler
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
