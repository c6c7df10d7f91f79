"""Images come from files, patterns and servers, and failures say what is wrong."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmyolo_lite.apis import media
from mmyolo_lite.apis.media import Source, fetch_image, name_of_url, sources
from mmyolo_lite.datasets.transforms.loading import LoadImageFromFile, UnreadableImageError
from mmyolo_lite.errors import DataError

PICTURE = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        if self.path.startswith('/missing'):
            self.send_error(404)
            return
        if self.path == '/moved':
            self.send_response(302)
            self.send_header('Location', '/a.png')
            self.end_headers()
            return
        png = cv2.imencode('.png', PICTURE)[1].tobytes()
        content = {'/page.jpg': b'<html>', '/large.png': b'\0' * 3_000_000, '/cut.png': png}.get(
            self.path, png
        )
        self.send_response(200)
        self.send_header('Content-Length', str(len(content) + (self.path == '/cut.png')))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture(scope='module')
def server() -> Iterator[str]:
    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{running.server_port}'
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('no_proxy', '127.0.0.1')


def read(path: str) -> np.ndarray:
    (source,) = sources(path)
    return source.read(lambda name: LoadImageFromFile()(dict(img_path=name))['img'])


@pytest.mark.parametrize('path', ['/a.png', '/b?size=3', '/moved'])
def test_images_of_a_server(path, server):
    np.testing.assert_array_equal(read(server + path), PICTURE)


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        ('/missing.jpg', '/missing.jpg: the server answers 404'),
        ('/page.jpg', 'no image that can be decoded'),
        ('/cut.png', 'cannot be fetched'),
    ],
)
def test_what_servers_get_wrong(path, words, server):
    with pytest.raises(UnreadableImageError, match=words) as caught:
        read(server + path)
    assert caught.value.path == server + path and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'url', ['http://127.0.0.1:9/a.jpg', 'http://', 'http://[/a', f'http://{"a" * 300}.com/']
)
def test_servers_that_are_not_there(url):
    with pytest.raises(UnreadableImageError, match='cannot be fetched'):
        read(url)


def test_large_answers_stop_early(server, tmp_path):
    with pytest.raises(DataError, match=r'more than 1 MiB'):
        fetch_image(f'{server}/large.png', tmp_path / 'x', max_bytes=2**20)
    assert (tmp_path / 'x').stat().st_size <= 2**20


def test_slow_answers_stop(server, tmp_path, monkeypatch):
    monkeypatch.setattr(media, 'TOTAL_SECONDS', -1.0)
    with pytest.raises(DataError, match='not fetched in'):
        fetch_image(f'{server}/a.png', tmp_path / 'x')


@pytest.mark.parametrize(
    ('url', 'name'),
    [
        ('https://a.org/b/c.PNG', 'c.png'),
        ('https://a.org/b/%2e%2e%2fx.jpg', 'x.jpg'),
        ('https://a.org', 'image.jpg'),
        ('https://a.org/.hidden', 'hidden.jpg'),
        ('https://a.org/a%00b:c.php?x=/y.png', 'a_b_c.jpg'),
        (f'https://a.org/{"x" * 300}.webp', 'x' * 80 + '.webp'),
    ],
)
def test_names_of_urls(url, name):
    assert name_of_url(url) == name


def names(given) -> list[str]:
    return [source.name for source in sources(given)]


def test_names_of_files(tmp_path):
    for name in ('b.jpg', 'a/c.PNG', 'a/b.jpg', 'note.txt', '[x].jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    assert names(tmp_path) == ['[x].jpg', 'a/b.jpg', 'a/c.PNG', 'b.jpg']
    assert names(tmp_path / 'note.txt') == ['note.txt'], 'asked for by name'
    assert names(str(tmp_path / '[x].jpg')) == ['[x].jpg'], 'a file, not a pattern'
    assert names(f'{tmp_path}/**/*.*') == ['[x].jpg', 'a/b.jpg', 'a/c.PNG', 'b.jpg']
    assert names(f'{tmp_path}/a/b*') == ['b.jpg']
    assert names([PICTURE, tmp_path / 'b.jpg', PICTURE]) == ['000000.jpg', 'b.jpg', '000002.jpg']
    assert names([Source('', 'mine.png', PICTURE)]) == ['mine.png']


def test_patterns_seen_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('a.jpg', 'b.jpg'):
        Path(name).write_bytes(b'')
    assert names('*.jpg') == ['a.jpg', 'b.jpg']
    assert names('a.j*') == ['a.jpg']
