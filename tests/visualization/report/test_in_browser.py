"""The report in a real browser, without a network."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmyolo_lite.apis.report import ReportOptions, write_report
from tests.visualization.report.work_dirs import NASTY, make_work_dir

MAX_LOAD_S = 3.0
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    sync_api = pytest.importorskip('playwright.sync_api', reason='pip install playwright')
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_api.sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        if path is None and not own.is_file():
            pytest.skip('there is no Chromium: install one, or run "playwright install chromium"')
        started = playwright.chromium.launch(executable_path=path, args=['--no-sandbox'])
        yield started
        started.close()


@pytest.fixture(scope='module')
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report about two runs."""
    root = tmp_path_factory.mktemp('report')
    dirs = [make_work_dir(root / name) for name in ('first', 'second')]
    return write_report(dirs, ReportOptions())[0]


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The report, opened; a message on the console or a request fails the test."""
    yield from opened(browser, report)


def opened(browser: Any, path: Path, scheme: str = 'light') -> Iterator[Any]:
    context = browser.new_context(color_scheme=scheme, viewport={'width': 1300, 'height': 900})
    new, problems = context.new_page(), []
    new.on('console', lambda message: problems.append(message.text))
    new.on('pageerror', lambda error: problems.append(str(error)))
    new.on(
        'request', lambda one: one.url.startswith(('file:', 'data:')) or problems.append(one.url)
    )
    new.goto(path.as_uri())
    yield new
    context.close()
    assert problems == []


def names(page: Any) -> list[str]:
    return page.locator('.cell .name').all_inner_texts()


def pixels(page: Any) -> str:
    """Return the first picture of the gallery, as text."""
    canvas = page.locator('.cell canvas').first
    canvas.scroll_into_view_if_needed()
    return canvas.evaluate('canvas => canvas.toDataURL()')


def test_names_from_files_stay_text(page):
    assert page.title() == 'first, second'
    assert NASTY in page.locator('#scores-body table').first.inner_text()


def test_curves_answer_to_hovering(page):
    plot = page.locator('.chart', has_text='segm_mAP').locator('.u-over').first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box['x'] + box['width'] / 2, box['y'] + box['height'] / 2)
    legend = page.locator('.chart', has_text='segm_mAP').locator('.u-legend').first.inner_text()
    assert '0.3000' in legend and '2' in legend, 'the value at the second epoch'


def test_the_gallery_sorts(page):
    page.locator('.cell').first.scroll_into_view_if_needed()
    assert names(page)[0] == 'photo_0003.jpg', 'the most errors first'
    page.locator('select[data-key=sort]').select_option('name')
    assert names(page) == sorted(names(page)) and len(names(page)) == 6
    page.locator('#gallery-bar input[type=search]').fill('0004')
    assert names(page) == ['photo_0004.jpg']


def test_layers_are_toggled(page):
    page.locator('.cell').first.scroll_into_view_if_needed()
    page.wait_for_selector('.cell canvas')
    states = {pixels(page)}
    for layer in ('truth', 'found', 'fill'):
        page.locator(f'#gallery-bar button[data-key={layer}]').click()
        page.wait_for_timeout(150)
        states.add(pixels(page))
    # without truth; without both; outlines of nothing look like nothing
    assert len(states) == 3
    page.locator('#gallery-bar button[data-key=truth]').click()
    page.wait_for_timeout(150)
    assert pixels(page) not in states, 'boxes alone'


def test_an_image_is_enlarged_and_closed_by_keys(page):
    page.locator('.cell').first.click()
    page.wait_for_selector('#large canvas')
    first = page.locator('#large p').inner_text()
    page.keyboard.press('ArrowRight')
    page.wait_for_function(
        'text => document.querySelector("#large p").innerText !== text', arg=first
    )
    page.keyboard.press('Escape')
    assert not page.locator('#large').is_visible()


def test_tables_sort_by_a_click(page):
    table = page.locator('#scores-body table').first
    head = table.locator('th', has_text='AP').first
    head.click()
    assert head.get_attribute('aria-sort') == 'descending'
    first = table.locator('tbody tr').first.inner_text()
    head.click()
    assert table.locator('tbody tr').first.inner_text() != first


def test_dark_is_dark(browser, report):
    for page in opened(browser, report, 'dark'):
        assert page.evaluate('getComputedStyle(document.body).backgroundColor') == 'rgb(20, 23, 27)'
        page.locator('#theme').click()
        assert page.evaluate('getComputedStyle(document.body).backgroundColor') == (
            'rgb(255, 255, 255)'
        )


@pytest.mark.slow
def test_a_thousand_images_load_quickly(browser, tmp_path):
    report = write_report([make_work_dir(tmp_path / 'large', 1000)], ReportOptions())[0]
    start = time.perf_counter()
    for page in opened(browser, report):
        page.locator('.cell').last.wait_for(state='attached')
        assert time.perf_counter() - start < MAX_LOAD_S
        assert page.locator('.cell').count() == 1000
        assert page.locator('.cell canvas').count() < 100, 'only what is in sight is drawn'
        page.locator('.cell').last.scroll_into_view_if_needed()
        page.locator('.cell').last.locator('canvas').wait_for()
