"""tools/misc/collect_env.py says what is installed, broken packages or not."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.shared_data import REPO
from tests.tools import journey


def run(folder: Path, *options: str) -> subprocess.CompletedProcess:
    """Run it where packages in `folder` go before the installed ones."""
    environment = {**journey.environment(), 'PYTHONPATH': os.pathsep.join([str(folder), str(REPO)])}
    return subprocess.run(
        [sys.executable, str(REPO / 'tools/misc/collect_env.py'), *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_in_this_environment(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith('mmyolo_lite ')
    assert '\nerror: ' not in done.stdout


def test_with_packages_that_are_broken(tmp_path: Path) -> None:
    (tmp_path / 'torch.py').write_text('import os; os._exit(7)')
    (tmp_path / 'cv2.py').write_text("raise ImportError('libGL.so.1: cannot open shared object')")
    (tmp_path / 'mmengine').mkdir()
    (tmp_path / 'mmengine/__init__.py').write_text("raise RuntimeError('odd')")
    done = run(tmp_path, '--json')
    assert done.returncode == 1, done.stderr
    facts = json.loads(done.stdout)
    assert not facts['works']
    assert facts['probes']['torch'] == {'error': 'its import ends Python with exit code 7'}
    commands = ' '.join(finding['command'] for finding in facts['findings'])
    assert 'torch==' in commands and 'opencv-python-headless' in commands
    assert 'mmengine==' in commands


# Python imports a module of this name at every start, so that the children have it too
NO_NETWORK = """
import os, socket

def refuse(*arguments, **options):
    with open({path!r}, 'a') as file:
        file.write(f'{{arguments}}')
    os._exit(99)

socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = refuse
"""


def test_it_opens_no_connection(tmp_path: Path) -> None:
    reached = tmp_path / 'reached'
    (tmp_path / 'sitecustomize.py').write_text(NO_NETWORK.format(path=str(reached)))
    code = 'import socket; socket.create_connection(("127.0.0.1", 9))'
    environment = {**journey.environment(), 'PYTHONPATH': str(tmp_path)}
    assert subprocess.run([sys.executable, '-c', code], env=environment).returncode == 99
    reached.unlink()  # the guard works
    done = run(tmp_path)
    assert not reached.exists(), reached.read_text()
    assert done.returncode == 0, done.stdout + done.stderr
