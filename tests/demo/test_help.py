"""Demos answer ``--help`` without importing a framework."""

import subprocess
import sys

from tests.shared_data import REPO
from tests.tools import journey
from tests.tools.test_help import HELP

DEMOS = ('image_demo.py', 'large_image_demo.py', 'video_demo.py')


def test_help_needs_no_framework():
    done = subprocess.run(
        [sys.executable, '-c', HELP, *(str(REPO / 'demo' / name) for name in DEMOS)],
        capture_output=True,
        text=True,
        timeout=60,
        env=journey.environment(),
    )
    assert done.returncode == 0, done.stderr
