"""Every command line answers ``--help`` without importing a framework."""

import subprocess
import sys

from tests.shared_data import REPO
from tests.tools import journey

HELP = """
import contextlib, io, runpy, sys
for tool in sys.argv[1:]:
    sys.argv = [tool, '--help']
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        runpy.run_path(tool, run_name='__main__')
    assert 'usage:' in text.getvalue(), tool
    loaded = {'torch', 'mmengine', 'mmcv', 'mmdet', 'matplotlib'} & set(sys.modules)
    assert not loaded, (tool, loaded)
"""


def test_help_needs_no_framework():
    tools = sorted(str(path) for path in (REPO / 'tools').rglob('*.py'))
    assert len(tools) >= 18
    done = subprocess.run(
        [sys.executable, '-c', HELP, *tools],
        capture_output=True,
        text=True,
        timeout=60,
        env=journey.environment(),
    )
    assert done.returncode == 0, done.stderr
