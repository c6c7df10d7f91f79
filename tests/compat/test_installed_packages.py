"""Configs that inherit from other packages load without `pkg_resources`."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.shared_data import REPO

# the fork onedl-mmengine asks importlib by itself
HAS_FORK = bool(list(metadata.distributions(name='onedl-mmengine')))
# setuptools is hidden, as in an environment of Python 3.12 without it
HIDE = """
import importlib.util, sys
find = importlib.util.find_spec
def find_others(name, *rest):
    return None if name == 'pkg_resources' else find(name, *rest)
importlib.util.find_spec = find_others
sys.modules['pkg_resources'] = None
"""
LOAD = """
from mmengine.config import Config
print(Config.fromfile({path!r}).default_scope)
"""


@pytest.mark.parametrize('fenced', [True, False])
def test_base_of_another_package(tmp_path: Path, fenced: bool) -> None:
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmdet::_base_/default_runtime.py'\n")
    code = HIDE + 'import mmyolo_lite\n' * fenced + LOAD.format(path=str(config))
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={'PYTHONPATH': str(REPO)},
        check=False,
    )
    if fenced:
        assert done.stdout.strip() == 'mmdet', done.stderr
    elif not HAS_FORK:
        assert done.returncode != 0, 'mmengine works by itself: the fence can go'
        assert 'pkg_resources' in done.stderr
