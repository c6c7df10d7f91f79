"""Several processes of one training, forked from one that has imported the frameworks already.

That saves the seconds that each fresh interpreter takes. The processes are real ones, connected by
gloo; when one fails the others are given time to end by themselves, as a launcher does.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.shared_data import REPO
from tests.tools import journey
from tests.tools.journey import Done

PATIENCE_S = 20.0
TIMEOUT_S = 240.0


def free_port() -> int:
    """Return a port that nobody listens on, of those that no system gives to connections: between
    this call and the launch one of them might get it.
    """
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(('127.0.0.1', port))
            return port


def rank_environments(world: int) -> list[dict[str, str]]:
    """Return what a launcher would set for each of `world` processes; nothing for one alone."""
    if world == 1:
        return [{}]
    common = {
        'WORLD_SIZE': str(world),
        'MASTER_ADDR': '127.0.0.1',
        'MASTER_PORT': str(free_port()),
    }
    return [{**common, 'RANK': str(rank), 'LOCAL_RANK': str(rank)} for rank in range(world)]


class WarmRanks:
    """Runs scripts of the repository in several connected processes."""

    @cached_property
    def _server(self) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, '-m', 'tests.distributed.ranks'],
            cwd=REPO,
            env=journey.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, world: int, cwd: Path, *arguments: Any) -> list[Done]:
        """Run a script in `world` processes; the first argument is its path in the repository."""
        script, *rest = map(str, arguments)
        launcher = ['--launcher', 'pytorch'] if world > 1 else []
        requests = [
            {
                'argv': [str(REPO / script), *launcher, *rest],
                'cwd': str(cwd),
                'out': str(cwd / f'.stdout{rank}'),
                'err': str(cwd / f'.stderr{rank}'),
                'environment': environment,
            }
            for rank, environment in enumerate(rank_environments(world))
        ]
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps(requests) + '\n')
        self._server.stdin.flush()
        codes = json.loads(self._server.stdout.readline())
        return [
            Done(code, Path(one['out']).read_text(), Path(one['err']).read_text())
            for code, one in zip(codes, requests, strict=True)
        ]

    def check(self, world: int, cwd: Path, *arguments: Any) -> Done:
        """Run a script and require the success of all; return what the first process left."""
        return [done.check() for done in self.run(world, cwd, *arguments)][0]

    def close(self) -> None:
        """End the warm process."""
        if '_server' in vars(self):
            self._server.stdin.close()
            self._server.wait(timeout=30)
            self._server.stdout.close()


def serve(requests: list[dict]) -> list[int]:
    """Fork a child for each request and return their exit codes."""
    from tests.tools.warm_process import run_child

    children = {}
    for rank, request in enumerate(requests):
        child = os.fork()
        if child == 0:
            os.environ.update(request['environment'])
            run_child(request)
        children[child] = rank
    codes: dict[int, int] = {}
    deadline = time.monotonic() + TIMEOUT_S
    while len(codes) < len(requests):
        child, status = os.waitpid(-1, os.WNOHANG)
        if child in children:
            codes[children.pop(child)] = code = os.waitstatus_to_exitcode(status)
            if code:
                deadline = min(deadline, time.monotonic() + PATIENCE_S)
        elif time.monotonic() > deadline:
            for running in children:
                os.kill(running, signal.SIGKILL)
        else:
            time.sleep(0.05)
    return [codes[rank] for rank in range(len(requests))]


if __name__ == '__main__':
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)
