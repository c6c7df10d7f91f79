"""A process that imports the frameworks once and forks for each command line it is asked to run.

Reads one JSON request a line (``argv``, ``cwd``, ``out``, ``err``) and answers each with the exit
code.
"""

import json
import os
import runpy
import sys
import traceback

import mmengine.config.config

import mmyolo_lite.datasets.registered
import mmyolo_lite.engine.runner
import mmyolo_lite.models  # noqa: F401

# Laying out the dumped config takes a second or two a run, and tests in fresh interpreters see it.
mmengine.config.config.FormatCode = lambda text, **_: (text, True)


def run_child(request: dict) -> None:
    """Become the command line; never returns."""
    os.chdir(request['cwd'])
    for stream, name in ((1, 'out'), (2, 'err')):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
    sys.argv = request['argv']
    code = 0
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run_child(json.loads(line))
        status = os.waitpid(child, 0)[1]
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == '__main__':
    main()
