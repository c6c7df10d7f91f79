"""Tests of how a process of several ends."""

import os
import subprocess
import sys

import pytest

from tests.distributed.ranks import rank_environments
from tests.shared_data import REPO

SCRIPT = """
import atexit, os, sys, threading, time
from mmyolo_lite.apis.cli import run_cli
from mmyolo_lite.engine.processes import join_processes
from mmyolo_lite.errors import UserError

class Aborts:  # as a thread of gloo does that is still at work while the interpreter goes
    def __del__(self, abort=os.abort):
        abort()

kept = Aborts()
atexit.register(print, 'at exit')

def finish():
    time.sleep(0.2)
    print('thread', flush=True)

def main():
    join_processes('pytorch')
    threading.Thread(target=finish).start()
    print('main')
    if sys.argv[1]:
        raise UserError(sys.argv[1])

run_cli(main)
"""


@pytest.mark.parametrize('message, code', [('', 0), ('wrong', 1)])
def test_connected_processes_end_without_taking_the_interpreter_down(message, code):
    environment = {'RANK': '0', 'LOCAL_RANK': '0', **rank_environments(2)[0], 'WORLD_SIZE': '1'}
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, message],
        capture_output=True,
        text=True,
        cwd=REPO,
        env={**os.environ, **environment, 'CUDA_VISIBLE_DEVICES': ''},
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.split('\n') == ['main', 'thread', 'at exit', '']
    assert ('error: wrong' in done.stderr) is (code == 1)
