"""The site is built without a warning, its pages open in a browser without a network, and all links
and paths lead somewhere, on the site and as the pages are read in the repository.
"""

import functools
import http.server
import importlib.util
import os
import posixpath
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.shared_data import REPO
from tests.visualization.report import test_in_browser

browser = test_in_browser.browser

ROOT_PAGES = ('README.md', 'README_zh-CN.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'data/README.md')
SHOW_MISTAKES = ('config_errors.md', 'messages.md')
"""Pages that show names which do not exist."""
PATTERNS = ('mmyolo_lite/a/b.py', 'tests/a/test_b.py')
"""Paths that stand for others."""
MAX_PICTURE = 200_000
MAX_README_LINES = 150

FENCED = re.compile(r'^( *)(`{3,}|~{3,}).*?^\1\2 *$', re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r'^> .*$', re.MULTILINE)
LINK = re.compile(r'\]\(([^)\s]+)\)')
HEADING = re.compile(r'^#+ +(.+?) *#*$', re.MULTILINE)
FOLDERS = 'benchmarks|configs|demo|docs|examples|mmyolo_lite|requirements|tests|tools'
NAMED = re.compile(rf'(?<![\w./-])(?:{FOLDERS})/[\w./{{,}}-]*\.(?:py|sh|md|ipynb|yml|txt)\b')
CONFIG_NAME = re.compile(r'(?<![\w/.-])yolov5_\w+-v61\w*(?:-\w+)*\.py\b')


def pages() -> list[Path]:
    """Return what people read in the repository."""
    return [*(REPO / name for name in ROOT_PAGES), *sorted((REPO / 'docs').rglob('*.md'))]


def label(page: Path) -> str:
    return page.relative_to(REPO).as_posix()


def slug(heading: str) -> str:
    """Return the anchor that a repository's viewer gives a heading."""
    text = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading).lower()
    return re.sub(r'[^\w\- ]', '', text).replace(' ', '-')


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in HEADING.findall(FENCED.sub('', page.read_text()))}


def expanded(path: str) -> list[str]:
    """Return the paths that the braces of a path stand for."""
    match = re.search(r'\{([^{}]*)\}', path)
    if match is None:
        return [path]
    before, behind = path[: match.start()], path[match.end() :]
    return [one for part in match[1].split(',') for one in expanded(before + part + behind)]


def test_braces_are_expanded():
    assert expanded('tools/{a,b}/c.{py,sh}') == [
        'tools/a/c.py',
        'tools/a/c.sh',
        'tools/b/c.py',
        'tools/b/c.sh',
    ]


@pytest.mark.parametrize('page', pages(), ids=label)
def test_links_resolve_in_the_repository(page):
    wrong = []
    for link in LINK.findall(FENCED.sub('', page.read_text())):
        parts = urlsplit(link)
        if parts.scheme in ('http', 'https'):
            continue
        target = page.parent / unquote(parts.path) if parts.path else page
        if not target.is_file():
            wrong.append(f'{link}: no file')
        elif parts.fragment and unquote(parts.fragment) not in anchors(target):
            wrong.append(f'{link}: no such heading')
    assert wrong == []


@pytest.mark.parametrize('page', pages(), ids=label)
def test_paths_that_are_named_exist(page):
    if page.name in SHOW_MISTAKES:
        pytest.skip('shows names that do not exist')
    # quoted messages are about what does not exist
    text = QUOTED.sub('', page.read_text())
    named = {path for match in NAMED.findall(text) for path in expanded(match)}
    missing = [path for path in sorted(named - {*PATTERNS}) if not (REPO / path).exists()]
    configs = {path.name for path in (REPO / 'configs').rglob('*.py')}
    missing += sorted(set(CONFIG_NAME.findall(text)) - configs)
    assert missing == []


def test_the_readme_is_short():
    assert len((REPO / 'README.md').read_text().splitlines()) <= MAX_README_LINES


def test_pictures_are_small_and_shown():
    text = '\n'.join(page.read_text() for page in pages() if 'images' not in page.parts)
    pictures = [one for one in (REPO / 'docs/images').iterdir() if one.suffix in ('.jpg', '.png')]
    assert pictures
    assert [one.name for one in pictures if one.stat().st_size > MAX_PICTURE] == []
    assert [one.name for one in pictures if f'images/{one.name}' not in text] == []


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built."""
    for name in ('mkdocs', 'material', 'mkdocstrings'):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f'{name} is not installed: pip install -r requirements/docs.txt')
    folder = tmp_path_factory.mktemp('built') / 'site'
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(folder)],
        cwd=REPO,
        env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert 'WARNING' not in done.stderr
    return folder


class Found(HTMLParser):
    """Links, sources and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {'', '__top'}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag leads to, and what leads to it."""
        for name, value in attrs:
            if name in ('href', 'src'):
                self.links.append(value or '')
            elif name in ('id', 'name'):
                self.anchors.add(value or '')


@pytest.mark.slow
def test_links_and_anchors_of_the_site_resolve(site):
    found = {page: Found(page.read_text()) for page in site.rglob('*.html')}
    # its links are for any folder that a missing page was asked for in
    found.pop(site / '404.html')
    assert len(found) > 40
    wrong = []
    for page, parsed in found.items():
        for link in parsed.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            place = posixpath.join(page.parent.as_posix(), unquote(parts.path))
            target = Path(posixpath.normpath(place)) if parts.path else page
            target = target / 'index.html' if target.is_dir() else target
            known = found[target].anchors if target in found else {unquote(parts.fragment)}
            if not target.is_file() or unquote(parts.fragment) not in known:
                wrong.append(f'{page.relative_to(site)}: {link}')
    assert wrong == []


@pytest.mark.slow
def test_no_mark_up_is_left_in_the_api_pages(site):
    for page in (site / 'api').glob('*.html'):
        text = page.read_text()
        assert not re.search(r':(func|class|mod|meth|data):', text), page.name
        assert '<blockquote>' not in text, f'{page.name}: a doctest that is no block of code'


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope='module')
def served(site: Path) -> Iterator[str]:
    """The address of the site."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_address[1]}/'
        server.shutdown()


@pytest.fixture
def page(browser: Any, served: str) -> Iterator[Any]:
    """An empty page; a message on the console, a request elsewhere or in vain fails the test."""
    context = browser.new_context(viewport={'width': 1300, 'height': 900})
    opened, problems = context.new_page(), []

    def note(*parts: Any) -> None:
        problems.append((urlsplit(opened.url).path, *parts))

    opened.on('console', lambda message: note(message.text))
    opened.on('pageerror', lambda error: note(str(error)))
    # leaving a page breaks off what is still under way
    opened.on(
        'requestfailed',
        lambda one: 'ERR_ABORTED' in one.failure or note('failed', one.url, one.failure),
    )
    opened.on('response', lambda one: one.ok or one.status == 304 or note(one.status, one.url))
    opened.on(
        'request',
        lambda one: one.url.startswith((served, 'data:', 'blob:')) or note('elsewhere', one.url),
    )
    yield opened
    context.close()
    assert problems == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_page_opens_and_its_pictures_load(page, served, site):
    shown = 0
    for file in sorted(site.rglob('*.html')):
        if file.name == '404.html':
            continue
        page.goto(served + file.relative_to(site).as_posix())
        assert page.locator('article h1').count() == 1, file
        page.wait_for_function('[...document.images].every(image => image.complete)')
        widths = page.evaluate('[...document.images].map(image => image.naturalWidth)')
        assert all(widths), file
        shown += len(widths)
    assert shown >= 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ('words', 'path'),
    [
        ('letterbox', 'glossary.html'),
        ('掩码', 'zh/tutorial.html'),
        ('warmup_mim_iter', 'configs.html'),
    ],
)
def test_search_finds_a_page(page, served, words, path):
    page.goto(served)
    page.locator('.md-search__input').click()
    page.keyboard.type(words)
    results = page.locator(f'a.md-search-result__link[href*="{path}"]')
    results.first.wait_for()
    results.first.click()
    page.wait_for_url(re.compile(re.escape(path)))
    assert words in page.locator('article').inner_text().lower()


@pytest.mark.slow
def test_a_reader_chooses_the_scheme(page, served):
    page.goto(served)
    scheme = 'document.body.getAttribute("data-md-color-scheme")'
    seen = set()
    for _ in range(3):
        page.locator('label[for^=__palette]:visible').first.click()
        seen.add(page.evaluate(scheme))
    assert seen == {'default', 'slate'}
