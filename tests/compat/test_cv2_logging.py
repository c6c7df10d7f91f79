"""The level of OpenCV's log is set in any of its versions."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mmyolo_lite.compat import cv2_logging


def test_what_opencv_says_of_damage_is_silenced(capfd: pytest.CaptureFixture[str]) -> None:
    before = cv2_logging.set_log_level(cv2_logging.SILENT)
    assert cv2_logging.set_log_level(before) == cv2_logging.SILENT
    assert cv2_logging.set_log_level(before) == before
    cv2_logging.set_log_level(cv2_logging.SILENT)
    try:
        cv2.imread('no such file.jpg')
        cv2.imdecode(np.zeros(4, np.uint8), cv2.IMREAD_COLOR)
    finally:
        cv2_logging.set_log_level(before)
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('is_old', [True, False])
def test_both_places_of_the_functions(is_old: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = [3]
    functions = SimpleNamespace(getLogLevel=lambda: levels[-1], setLogLevel=levels.append)
    utils = SimpleNamespace() if is_old else SimpleNamespace(logging=functions)
    outer = vars(functions) if is_old else {}
    monkeypatch.setattr(cv2_logging, 'cv2', SimpleNamespace(utils=utils, **outer))
    assert cv2_logging.set_log_level(0) == 3
    assert levels == [3, 0]
