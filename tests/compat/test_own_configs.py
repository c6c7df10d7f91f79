"""Configs inherit from the package's own ones by name."""

import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmyolo_lite.compat import own_configs
from tests.shared_data import REPO

NAME = 'yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py'


@pytest.mark.parametrize('package', ['mmyolo_lite', 'mmyolo'])
def test_base_by_name_is_the_base_by_path(tmp_path: Path, package: str) -> None:
    by_name, by_path = tmp_path / 'name.py', tmp_path / 'path.py'
    by_name.write_text(f"_base_ = '{package}::{NAME}'\n")
    by_path.write_text(f'_base_ = {str(REPO / "configs" / NAME)!r}\n')
    assert Config.fromfile(by_name).to_dict() == Config.fromfile(by_path).to_dict()


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmyolo_lite::yolov5/none.py'\n")
    with pytest.raises(FileNotFoundError, match=r'no config yolov5/none\.py'):
        Config.fromfile(config)


@pytest.mark.parametrize('name', ['mmdet::_base_/default_runtime.py', '../a.py', 'own::a/b.py'])
def test_other_names_are_left_to_mmengine(name: str) -> None:
    assert own_configs.own_config(name) == ''


def test_other_packages_keep_working(tmp_path: Path) -> None:
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmdet::_base_/default_runtime.py'\n")
    assert Config.fromfile(config).default_scope == 'mmdet'


def test_the_fence_is_needed(tmp_path: Path) -> None:
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = 'mmyolo_lite::{NAME}'\n")
    code = f'from mmengine.config import Config; Config.fromfile({str(config)!r})'
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={'PYTHONPATH': str(REPO)},
        check=False,
    )
    assert done.returncode != 0, 'mmengine works by itself: the fence can go'
    assert 'does not support to load mmyolo_lite' in done.stderr
