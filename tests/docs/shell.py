"""Runs documented commands in bash, where `python` is answered by warm processes."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from tests.tools import journey
from tests.tools.journey import Done, WarmTools

PYTHON = """\
#!{executable} -IS
import json, os, select, socket, sys
waiting = sys.argv[1:2] == ['-'] or select.select([sys.stdin], [], [], 0)[0]
text = sys.stdin.read() if waiting and not sys.stdin.isatty() else ''
request = dict(argv=sys.argv[1:], env=dict(os.environ), cwd=os.getcwd(), stdin=text)
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    connection.sendall(json.dumps(request).encode() + b'\\n')
    answer = json.loads(connection.makefile('rb').readline())
sys.stdout.write(answer['out'])
sys.stdout.flush()
sys.stderr.write(answer['err'])
sys.exit(answer['code'])
"""


class Shell:
    """Bash with a `python` that needs no time to import frameworks."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._tools = WarmTools()
        self._socket = socket.socket(socket.AF_UNIX)
        self._requests = 0
        self.parse = False
        """Whether command lines are parsed alone."""
        address = f'{self._folder.name}/socket'
        shim = Path(self._folder.name, 'bin/python')
        shim.parent.mkdir()
        shim.write_text(PYTHON.format(executable=sys.executable, address=address))
        shim.chmod(0o755)
        self._socket.bind(address)
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def run(self, folder: Path, script: str, **variables: str) -> Done:
        """Run a script in a folder; it ends at the first command that fails."""
        environment = journey.environment() | variables
        # first the shim, then what is installed beside the interpreter
        places = [f'{self._folder.name}/bin', str(Path(sys.executable).parent)]
        environment['PATH'] = ':'.join([*places, os.environ['PATH']])
        done = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def close(self) -> None:
        """End the processes."""
        self._socket.close()
        if '_server' in vars(self._tools):
            self._tools._server.kill()  # nothing runs any more, and a busy machine takes long
        self._tools.close()
        self._folder.cleanup()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            with connection, connection.makefile('rb') as lines:
                answer = self._answer(json.loads(lines.readline()))
                connection.sendall(json.dumps(answer).encode() + b'\n')

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self._requests += 1
        path = Path(self._folder.name, f'request{self._requests}.json')
        path.write_text(json.dumps({**request, 'parse': self.parse}), 'utf-8')
        done = self._tools.run(Path(request['cwd']), 'tests/docs/as_shell.py', path)
        for name in ('.stdout', '.stderr'):
            Path(request['cwd'], name).unlink()
        return {'code': done.code, 'out': done.out, 'err': done.err}
