"""Configs and scripts are found in a checkout and in an installed package."""

from pathlib import Path

import pytest

from mmyolo_lite import shipped
from tests.shared_data import REPO


def test_in_a_checkout() -> None:
    assert shipped.root() == REPO
    assert shipped.config_path('mmyolo_lite::_base_/default_runtime.py').is_file()
    assert shipped.config_path('configs/a.py') == Path('configs/a.py')


def test_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # site-packages may have a folder `configs` of somebody else
    (tmp_path / 'configs').mkdir()
    monkeypatch.setattr(shipped, '_PACKAGE', tmp_path / 'mmyolo_lite')
    mim = tmp_path / 'mmyolo_lite/.mim'
    assert shipped.root() == mim
    assert shipped.config_path('mmyolo_lite::yolov5/a.py') == mim / 'configs/yolov5/a.py'
