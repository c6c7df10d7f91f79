"""Time from the command to the first finished training iteration, by phase, and of ``--help``.

    python benchmarks/bench_startup.py [CONFIG] [--repeats 5] [--device cpu|cuda] [--out FILE.json]
    [--tools] [--cfg-options KEY=VALUE ...]

Each run is ``tools/train.py`` in a fresh process that stops after its first iteration. Every second
is counted once: an import by its package, wherever it happens, and each other phase without the
imports and phases inside it. The first run fills the disk cache and is not counted.
"""

import argparse
import functools
import importlib.util
import json
import os
import runpy
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from importlib.abc import MetaPathFinder
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
BALLOON = 'configs/yolov5/ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_balloon_instance.py'
# the parts of a training's start: phase -> functions whose time it is
PHASES = {
    'config': ['mmyolo_lite.engine.config:load_config'],
    'checks of the config': ['mmyolo_lite.engine.runner:check_config'],
    'environment and log': ['mmengine.runner.runner:Runner._log_env'],
    'hooks, visualizer, config file': ['mmengine.runner.runner:Runner.__init__'],
    'build the model': ['mmengine.runner.runner:Runner.build_model'],
    'initial weights': ['mmengine.runner.runner:Runner._init_model_weights'],
    'read the data sets': ['mmengine.runner.runner:Runner.build_dataloader'],
    'optimizer, loops, start': ['mmyolo_lite.engine.runner:train'],
    'start the workers': ['torch.utils.data.dataloader:_MultiProcessingDataLoaderIter.__init__'],
    'wait for the first batch': ['torch.utils.data.dataloader:_BaseDataLoaderIter.__next__'],
    'first iteration': [
        'mmengine.runner.loops:EpochBasedTrainLoop.run_iter',
        'mmengine.runner.loops:IterBasedTrainLoop.run_iter',
    ],
}
IMPORT = 'import '
OTHERS = IMPORT + 'other packages'
LEAST = 0.03  # seconds of an import that gets a row of its own
REST = 'interpreter, arguments, other'
TOTAL = 'total'


class Clock(MetaPathFinder):
    """Counts every second of the main thread once, by the innermost phase; is an import hook."""

    def __init__(self, start: float) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.stack, self.last = [REST], start
        self.thread = threading.get_ident()
        self.functions: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for phase, functions in PHASES.items():
            for function in functions:
                module, _, name = function.partition(':')
                self.functions[module].append((name, phase))

    def enter(self, phase: str | None) -> None:
        """Start a phase inside the current one, or end the current one (None)."""
        if threading.get_ident() != self.thread:
            return
        now = time.time()
        self.seconds[self.stack[-1]] += now - self.last
        self.last = now
        if phase is None:
            self.stack.pop()
        else:
            self.stack.append(phase)

    def timed(self, function, phase: str):
        """Wrap a function so that its time goes to `phase`."""

        @functools.wraps(function)
        def call(*args, **kwargs):
            self.enter(phase)
            try:
                return function(*args, **kwargs)
            finally:
                self.enter(None)

        return call

    def find_spec(self, fullname, path, target=None):
        """Have the module that is imported timed, then its functions wrapped."""
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(0, self)
        if spec is None or not hasattr(spec.loader, '__dict__') or isinstance(spec.loader, type):
            return spec
        package = fullname.partition('.')[0]
        execute = self.timed(spec.loader.exec_module, IMPORT + package)

        def execute_and_wrap(module) -> None:
            execute(module)
            for name, function_phase in self.functions.get(fullname, ()):
                *owners, name = name.split('.')
                owner = functools.reduce(getattr, owners, module)
                self.wrap(owner, name, function_phase)

        spec.loader.exec_module = execute_and_wrap
        return spec

    def wrap(self, owner, name: str, phase: str) -> None:
        """Put a timed function in place of the one called `name`; the first iteration ends the
        run.
        """
        raw = vars(owner)[name]
        kind = type(raw) if isinstance(raw, (staticmethod, classmethod)) else None
        timed = self.timed(raw.__func__ if kind else raw, phase)
        if name == 'run_iter':
            timed = self.last_call(timed)
        setattr(owner, name, kind(timed) if kind else timed)

    def last_call(self, function):
        """Wrap a function so that the process reports and ends when it returns."""

        def call(*args, **kwargs):
            function(*args, **kwargs)
            self.enter(None)
            Path(os.environ['BENCH_STARTUP_OUT']).write_text(json.dumps(self.seconds))
            sys.exit()

        return call


def child(arguments: list[str]) -> None:
    """Be ``tools/train.py`` with a clock."""
    sys.meta_path.insert(0, Clock(float(os.environ['BENCH_STARTUP_START'])))
    tool = str(REPO / 'tools/train.py')
    sys.argv = [tool, *arguments]
    runpy.run_path(tool, run_name='__main__')


def run_once(arguments: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Start a training, wait for its first iteration, and return seconds by phase."""
    folder = Path(tempfile.mkdtemp(prefix='startup'))
    result = folder / 'seconds.json'
    environment = {**environment, 'BENCH_STARTUP_OUT': str(result)}
    environment['BENCH_STARTUP_START'] = str(time.time())
    command = [sys.executable, __file__, '--child', *arguments, '--work-dir', str(folder / 'run')]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if not result.is_file():
            raise SystemExit(f'error: no first iteration:\n{done.stderr[-3000:]}')
        seconds = json.loads(result.read_text())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {**seconds, TOTAL: sum(seconds.values())}


def command_seconds(command: list[str], repeats: int, environment: dict[str, str]) -> list[float]:
    """Return the wall time of a command, `repeats` times."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        times.append(time.perf_counter() - start)
    return times


def summary(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return median and half of the spread for every phase, in the order of a start."""
    imports = {name for run in runs for name in run if name.startswith(IMPORT)}
    median = {name: statistics.median(run.get(name, 0.0) for run in runs) for name in imports}
    large = sorted((n for n in imports if median[n] >= LEAST), key=lambda n: -median[n])
    for run in runs:
        run[OTHERS] = sum(run.get(name, 0.0) for name in imports.difference(large))
    order = (REST, *large, OTHERS, *PHASES, TOTAL)
    return {name: spread([run.get(name, 0.0) for run in runs]) for name in order}


def spread(values: list[float]) -> dict[str, float]:
    """Return a row of the table."""
    return {
        'seconds': round(statistics.median(values), 3),
        'half spread': round((max(values) - min(values)) / 2, 3),
    }


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='?', default=BALLOON)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--device', choices=['cpu', 'cuda'], help='default: cuda if there is one')
    parser.add_argument('--tools', action='store_true', help='time --help of every tool too')
    parser.add_argument('--cfg-options', nargs='+', default=[])
    parser.add_argument('--out', type=Path)
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    args = parse_args()
    environment = {**os.environ, 'PYTHONPATH': str(REPO)}
    if args.device == 'cpu':
        environment['CUDA_VISIBLE_DEVICES'] = ''
    options = ['--cfg-options', *args.cfg_options] if args.cfg_options else []
    runs = [run_once([args.config, *options], environment) for _ in range(args.repeats + 1)]
    rows = summary(runs[1:])
    short = {'import mmyolo_lite': [sys.executable, '-c', 'import mmyolo_lite']}
    tools = sorted((REPO / 'tools').rglob('*.py')) if args.tools else [REPO / 'tools/train.py']
    short |= {
        f'{tool.relative_to(REPO)} --help': [sys.executable, str(tool), '--help'] for tool in tools
    }
    for name, command in short.items():
        rows[name] = spread(command_seconds(command, args.repeats, environment))
    print('| phase | s | ± |\n|---|---|---|')
    for name, row in rows.items():
        print(f'| {name} | {row["seconds"]:.2f} | {row["half spread"]:.2f} |')
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + '\n')


if __name__ == '__main__':
    if sys.argv[1:2] == ['--child']:
        child(sys.argv[2:])
    else:
        main()
