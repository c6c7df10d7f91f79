"""Importing the package and starting its tools opens no connection and installs nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared_data import REPO
from tests.tools import journey

# no way out: every connection, name look-up and process ends the program
GUARD = """
import builtins, runpy, socket, subprocess, sys

def refuse(*arguments, **options):
    print('REACHED OUT', arguments[:2], file=sys.stderr)
    import os, traceback
    traceback.print_stack()
    os._exit(99)

socket.socket.connect = refuse
socket.socket.connect_ex = refuse
socket.create_connection = refuse
socket.getaddrinfo = refuse
popen = subprocess.Popen.__init__
def only_local(self, args, *rest, **options):
    if 'pip' in str(args) or 'mim' in str(args).split() or 'curl' in str(args):
        refuse(args)
    popen(self, args, *rest, **options)
subprocess.Popen.__init__ = only_local
sys.argv = sys.argv[1:]
"""
IMPORTS = """
import importlib, pkgutil, mmyolo_lite
for module in pkgutil.walk_packages(mmyolo_lite.__path__, 'mmyolo_lite.'):
    try:
        importlib.import_module(module.name)
    except ImportError as error:  # an optional package
        print(module.name, error)
print('all imported')
"""


def guarded(code: str, *arguments: str, cwd: Path = REPO) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-c', GUARD + code, *arguments],
        cwd=cwd,
        env=journey.environment(),
        capture_output=True,
        text=True,
        timeout=280,
    )


def test_the_guard_works() -> None:
    done = guarded("socket.create_connection(('127.0.0.1', 9))", '-')
    assert done.returncode == 99 and 'REACHED OUT' in done.stderr


def test_importing_every_module_opens_no_connection() -> None:
    done = guarded(IMPORTS, '-')
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'all imported' in done.stdout


@pytest.mark.parametrize('tool', ['tools/train.py', 'tools/test.py', 'demo/image_demo.py'])
def test_help_opens_no_connection(tool: str) -> None:
    done = guarded("runpy.run_path(sys.argv[0], run_name='__main__')", tool, '--help')
    assert done.returncode == 0 and 'usage' in done.stdout, done.stderr[-3000:]


@pytest.mark.slow
def test_a_training_opens_no_connection(tmp_path: Path) -> None:
    data = journey.make_data(tmp_path / 'data')
    config = journey.write_config(tmp_path / 'tiny.py', data, journey.DET, epochs=1)
    run = "runpy.run_path(sys.argv[0], run_name='__main__')"
    done = guarded(run, str(REPO / 'tools/train.py'), str(config), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
