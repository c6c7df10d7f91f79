"""A pytest plugin that writes down where each error of users is made, in child processes too.

    python -m pytest -p tests.docs.recorder --record-messages FILE tests/ops tests/tools ...
    python -m tests.docs.messages --unraised FILE

The second line says which messages of docs/messages.md no test has raised. Nothing is recorded
without the option. As a script it stands in front of a child's command line, like `python`.
"""

import functools
import os
import runpy
import subprocess
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

VARIABLE = 'MMYOLO_LITE_RECORD_MESSAGES'
REPO = Path(__file__).resolve().parents[2]
# options that a child may have before its script; one with others is left alone
SCRIPTS = ('-m', '-c')


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption('--record-messages', metavar='FILE', help='append where user errors are made')


def pytest_configure(config: pytest.Config) -> None:
    """Record where the option is given."""
    path = config.getoption('--record-messages')
    if path:
        os.environ[VARIABLE] = str(Path(path).resolve())
        record()


def record() -> None:
    """Record the errors of this process, and of the Python processes that it starts."""
    from mmyolo_lite.errors import UserError

    def made(self: UserError, *arguments: object) -> None:
        Exception.__init__(self, *arguments)
        frame = sys._getframe(1)
        while frame.f_code.co_name == '__init__' and frame.f_locals.get('self') is self:
            assert frame.f_back
            frame = frame.f_back
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(REPO / 'mmyolo_lite'):
            line = f'{file.relative_to(REPO).as_posix()}:{frame.f_lineno}\n'
            with open(os.environ[VARIABLE], 'a') as stream:  # one short write: whole lines
                stream.write(line)

    UserError.__init__ = made  # type: ignore[method-assign,assignment]
    start = subprocess.Popen.__init__

    @functools.wraps(start)
    def started(self: Any, args: Any, *rest: Any, **kwargs: Any) -> None:
        start(self, recorded(args), *rest, **kwargs)

    subprocess.Popen.__init__ = started  # type: ignore[method-assign]


def recorded(command: Any) -> Any:
    """Return a command that starts this interpreter with this script in front."""
    if not isinstance(command, list | tuple) or len(command) < 2 or command[0] != sys.executable:
        return command
    first = str(command[1])
    if first.startswith('-') and first not in SCRIPTS:
        return command
    return [sys.executable, __file__, *command[1:]]


def main() -> None:
    """Be the interpreter for the rest of the command line."""
    first, *rest = sys.argv[1:]
    sys.path[0] = os.getcwd() if first in SCRIPTS else str(Path(first).resolve().parent)
    if str(REPO) not in sys.path:
        sys.path.append(str(REPO))
    _record_when_imported()
    if first == '-m':
        sys.argv = rest
        runpy.run_module(rest[0], run_name='__main__', alter_sys=True)
    elif first == '-c':
        text = rest.pop(0)
        sys.argv = ['-c', *rest]
        exec(compile(text, '<string>', 'exec'), {'__name__': '__main__'})
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name='__main__')


def _record_when_imported() -> None:
    """Record from the import of the errors on, so that nothing is imported that was not."""

    class Finder:
        """Finds the module as ever, and adds to its loading."""

        @classmethod
        def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
            if name != 'mmyolo_lite.errors':
                return None
            spec = PathFinder.find_spec(name, path, target)
            assert spec and spec.loader
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                record()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
            return spec

    sys.meta_path.insert(0, Finder)  # type: ignore[arg-type]


if __name__ == '__main__':
    main()
