"""Command lines end with one line and an exit code."""

import os
import signal
import subprocess
import sys

import pytest

from mmyolo_lite.apis.cli import run_cli
from mmyolo_lite.errors import ConfigError, DataError, Interrupted, UserError
from tests.shared_data import REPO


def raiser(error: BaseException):
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize(
    'error', [UserError('no such thing'), DataError('no such thing'), ConfigError('no such thing')]
)
def test_user_errors_are_one_line_and_exit_code_1(error, capsys):
    with pytest.raises(SystemExit) as stop:
        run_cli(raiser(error))
    captured = capsys.readouterr()
    assert stop.value.code == 1
    assert captured.err == 'error: no such thing\n'
    assert captured.out == ''


def test_interrupt_is_one_line_and_exit_code_130(capsys):
    with pytest.raises(SystemExit) as stop:
        run_cli(raiser(KeyboardInterrupt()))
    assert stop.value.code == 130
    assert capsys.readouterr().err.count('\n') == 1


@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_was_stopped_says_what_is_saved(number, code, capsys):
    with pytest.raises(SystemExit) as stop:
        run_cli(raiser(Interrupted('saved here', number)))
    assert stop.value.code == code
    assert capsys.readouterr().err == 'saved here\n'


@pytest.mark.parametrize('error', [ValueError('defect'), ZeroDivisionError()])
def test_defects_keep_their_traceback(error):
    with pytest.raises(type(error)):
        run_cli(raiser(error))


def test_usage_errors_keep_exit_code_2():
    with pytest.raises(SystemExit) as stop:
        run_cli(raiser(SystemExit(2)))
    assert stop.value.code == 2


def test_success_returns():
    calls = []
    run_cli(lambda: calls.append(1))
    assert calls == [1]


def test_the_module_itself_imports_no_framework():
    """The package's own fences may load torch; this file adds nothing to that."""
    code = (
        'import sys, types; sys.modules["mmyolo_lite"] = package = '
        'types.ModuleType("mmyolo_lite"); '
        'package.__path__ = ["mmyolo_lite"]; import mmyolo_lite.apis.cli; '
        'print(sorted({"torch", "mmengine", "mmcv", "cv2", "numpy"} & set(sys.modules)))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPO,
    )
    assert done.stdout.strip() == '[]'


def test_letters_that_the_terminal_lacks_are_escaped():
    code = 'from mmyolo_lite.apis.cli import run_cli; run_cli(lambda: print("caf\\xe9 \\udce9"))'
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPO,
        env={**os.environ, 'PYTHONIOENCODING': 'ascii'},
    )
    assert done.stdout == 'caf\\xe9 \\udce9\n'
