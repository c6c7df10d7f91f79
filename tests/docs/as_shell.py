"""What `python` of a documented command becomes: run in a process that has imported the frameworks.

Takes the path of a JSON request (``argv`` behind ``python``, ``env``, ``stdin``, ``parse``) and
goes on as the interpreter would. With ``parse`` it ends where the command line has been understood.
"""

import argparse
import io
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any


def end_behind_parsing() -> None:
    """Let every argument parser end the process with 0 once it has accepted the command line."""
    parse = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> None:
        parse(self, *args, **kwargs)
        sys.exit(0)

    argparse.ArgumentParser.parse_args = parse_args  # type: ignore[assignment]


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text('utf-8'))
    os.environ.clear()
    os.environ.update(request['env'])
    sys.path[1:1] = filter(None, os.environ.get('PYTHONPATH', '').split(':'))
    sys.stdin = io.StringIO(request['stdin'])
    if request['parse']:
        end_behind_parsing()
    first, *rest = request['argv']
    if first == '-m':
        sys.argv = rest
        runpy.run_module(rest[0], run_name='__main__', alter_sys=True)
    elif first in ('-c', '-'):
        text = rest.pop(0) if first == '-c' else request['stdin']
        sys.argv = [first, *rest]
        exec(compile(text, '<documented>', 'exec'), {'__name__': '__main__'})
    else:
        sys.argv = request['argv']
        sys.path[0] = str(Path(first).resolve().parent)
        runpy.run_path(first, run_name='__main__')


if __name__ == '__main__':
    main()
