"""Puts pictures together that the project's commands made.

make_pictures.sh calls it with their folder, the work dir of the run, and where the results go.
"""

import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

from mmyolo_lite.visualization.drawing import fit

PHOTO = 'sample_val_0012'
SHOWN = ('0001', '0007', '0010', '0012')
WHITE = 255
TITLE = 26  # pixels above a picture of browse_dataset.py
CURVES, MARGIN = 260, 20  # where they begin in the report
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')


def read(pattern: str, folder: Path) -> list[np.ndarray]:
    """Return the pictures that match a pattern, by name."""
    found = [cv2.imread(str(path)) for path in sorted(folder.glob(pattern))]
    assert found, f'no picture matches {folder / pattern}'
    return found


def row(pictures: list[np.ndarray], height: int) -> np.ndarray:
    """Return pictures of one height side by side, a white line between them."""
    scaled = []
    for picture in pictures:
        width = round(picture.shape[1] * height / picture.shape[0])
        scaled.append(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
        scaled.append(np.full((height, 6, 3), WHITE, np.uint8))
    return np.hstack(scaled[:-1])


def cut(picture: np.ndarray, aspect: float) -> np.ndarray:
    """Return the upper left part of a picture that is `aspect` times as wide as high."""
    height, width = picture.shape[:2]
    height = min(height, 420)
    return picture[: min(height, round(width / aspect)), : min(width, round(height * aspect))]


def screenshot(page: Path, to: Path) -> np.ndarray:
    """Return what a browser shows of a page."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=['--no-sandbox'])
        shown = browser.new_page(viewport={'width': 1280, 'height': 800})
        shown.goto(page.absolute().as_uri())
        shown.wait_for_timeout(2000)
        shown.screenshot(path=to)
        browser.close()
    return cv2.imread(str(to))


def main() -> None:
    """Write the pictures."""
    made, run, target = map(Path, sys.argv[1:])

    def save(name: str, picture: np.ndarray, quality: int = 82) -> None:
        cv2.imwrite(str(target / name), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])

    found = [read(f'sample_val_{number}.jpg', made / 'found')[0] for number in SHOWN]
    save('predictions.jpg', row(found, 230))
    mosaic = read('000004_*.jpg', made / 'look')[0]
    save('mosaic.jpg', mosaic)
    save('truth_and_prediction.jpg', read(f'test/*/show_results/{PHOTO}.jpg', made)[0])
    levels = [read(f'*_stride{stride}.jpg', made / 'maps')[0] for stride in (8, 16, 32)]
    save('feature_maps.jpg', row(levels, 420))
    cams = [*read('*_objectness_00_*.jpg', made / 'cam'), *read('*_mask_00_*.jpg', made / 'cam')]
    save('cam.jpg', row(cams, 420))
    report = screenshot(made / 'report.html', made / 'report.png')
    save('report.jpg', fit(report, 1000)[0])
    # without the title of the first, the curves of the last
    tour = [cut(one, 1.2) for one in (mosaic[TITLE:], levels[1], cams[1], report[CURVES:, MARGIN:])]
    save('tour.jpg', row(tour, 230))
    curves = fit(cv2.imread(str(run / 'results.png')), 1100)[0]
    cv2.imwrite(str(target / 'results.png'), curves, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == '__main__':
    main()
