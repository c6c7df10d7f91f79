"""Fences go up with the import of mmengine, whoever imports it, and not before."""

import subprocess
import sys

import pytest

from tests.compat.test_mmcv_ext import FULL_MMCV
from tests.tools import journey

CHECK = f"""
import mmcv.ops
is_stand_in = 'compat' in type(sys.modules['mmcv._ext']).__module__
assert is_stand_in is not {FULL_MMCV}, 'the stand-in where there is no full mmcv'
from mmengine.runner import CheckpointLoader
loader = CheckpointLoader._get_checkpoint_loader('a.pth')
assert loader.__module__ == 'mmyolo_lite.compat.checkpoints'
assert sum(name == 'mmengine' for name in sys.modules) == 1
"""


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-c', 'import sys\n' + code],
        capture_output=True,
        text=True,
        timeout=100,
        env=journey.environment(),
    )


@pytest.mark.parametrize(
    'order',
    [
        'import mmyolo_lite\nassert "torch" not in sys.modules\nimport mmdet\n',
        'import mmengine\nimport mmyolo_lite\n',
        'import mmyolo_lite\nimport mmcv\n',
        'import mmyolo_lite, importlib\nimportlib.reload(mmyolo_lite)\n',
    ],
)
def test_fences_are_there_whatever_the_order(order: str) -> None:
    done = run(order + CHECK)
    assert done.returncode == 0, done.stderr


def test_without_mmcv_the_first_use_says_what_to_install() -> None:
    hide = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == 'mmcv' else find(name, *rest)
import mmyolo_lite
for _ in range(2):
    try:
        import mmengine
    except ImportError as error:
        assert 'pip install' in str(error), error
    else:
        raise SystemExit('imported')
"""
    done = run(hide)
    assert done.returncode == 0, done.stderr
