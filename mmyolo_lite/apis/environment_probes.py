"""Trying out dependencies, each where its failure does no harm: in a child process.

A broken package raises, ends its process or never answers. So this file is run as a script: it
tries one package after the other, and prints a line of JSON for each. It imports nothing of the
project by itself, so that it sees the environment without the fences of ``compat``.
"""

import importlib.util
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Facts = dict[str, Any]

MARK = 'mmyolo_lite-probe: '
TIMEOUT_SECONDS = 600  # for a group; an overloaded machine takes minutes for what takes ten seconds
NO_ANSWER = 'no answer within'


def _probe_torch() -> Facts:
    import torch

    facts: Facts = {
        'version': torch.__version__,
        'cuda_build': torch.version.cuda,
        'rocm_build': torch.version.hip,
        'threads': torch.get_num_threads(),
        'gpus': [],
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        facts['cuda'] = torch.cuda.is_available()
    facts['warnings'] = [' '.join(str(one.message).split()) for one in caught]
    if facts['cuda']:
        facts['cudnn'] = torch.backends.cudnn.version()
        facts['architectures'] = torch.cuda.get_arch_list()
        for index in range(torch.cuda.device_count()):
            gpu = torch.cuda.get_device_properties(index)
            facts['gpus'].append(
                {
                    'name': gpu.name,
                    'gib': round(gpu.total_memory / 2**30, 1),
                    'capability': f'{gpu.major}.{gpu.minor}',
                }
            )
    return facts


def _probe_numpy() -> Facts:
    import numpy

    return {'version': numpy.__version__}


def _probe_torch_numpy() -> Facts:
    import numpy
    import torch

    assert torch.from_numpy(numpy.ones(1)).numpy()[0] == 1
    return {}


def _probe_torchvision() -> Facts:
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    assert len(torchvision.ops.nms(boxes, torch.ones(1), 0.5)) == 1
    return {'version': torchvision.__version__}


def _probe_cv2() -> Facts:
    import cv2
    import numpy

    written, data = cv2.imencode('.jpg', numpy.zeros((8, 8, 3), numpy.uint8))
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert written and decoded is not None and decoded.shape == (8, 8, 3)
    return {'version': cv2.__version__}


def _probe_pycocotools() -> Facts:
    import numpy
    from pycocotools import mask

    runs = mask.encode(numpy.asfortranarray(numpy.ones((2, 2), numpy.uint8)))
    assert mask.area(runs) == 4
    return {}


def _probe_albumentations() -> Facts:
    import albumentations

    return {'version': albumentations.__version__}


def _probe_mmengine() -> Facts:
    import mmengine

    return {'version': mmengine.__version__}


def _probe_mmcv() -> Facts:
    import mmcv

    compiled = importlib.util.find_spec('mmcv._ext') is not None
    if compiled:
        importlib.import_module('mmcv._ext')
    return {'version': mmcv.__version__, 'compiled': compiled}


def _probe_mmdet() -> Facts:
    import mmdet

    return {'version': mmdet.__version__}


def _probe_mmyolo_lite() -> Facts:
    import mmyolo_lite
    import mmyolo_lite.datasets.registered
    import mmyolo_lite.engine.runner
    import mmyolo_lite.models

    return {
        'version': mmyolo_lite.__version__,
        'folder': str(Path(mmyolo_lite.__file__).parent),
    }


PROBES: dict[str, Callable[[], Facts]] = {
    name.removeprefix('_probe_'): function
    for name, function in list(globals().items())
    if name.startswith('_probe_')
}

GROUPS = (
    ('torch', 'numpy', 'torch_numpy', 'torchvision'),
    ('cv2', 'pycocotools', 'albumentations'),
    ('mmengine', 'mmcv', 'mmdet', 'mmyolo_lite'),
)
"""What is tried in one process, one after the other."""


def try_all() -> dict[str, Facts]:
    """Try every package in child processes.

    Returns:
        By name: ``error`` (one line, '' where it works), and what the probe found.
    """
    with ThreadPoolExecutor() as pool:
        return {
            name: facts for group in pool.map(_try_group, GROUPS) for name, facts in group.items()
        }


def _try_group(names: tuple[str, ...]) -> dict[str, Facts]:
    """Try packages in one child, and in another one those behind a package that ends it."""
    found: dict[str, Facts] = {}
    while len(found) < len(names):
        rest = names[len(found) :]
        answers, ended = _run_child(rest)
        found.update(answers)
        if len(answers) < len(rest):
            found[rest[len(answers)]] = {'error': ended}
    return found


def _run_child(names: tuple[str, ...]) -> tuple[dict[str, Facts], str]:
    """Return the answers that a child gave, and how it ended."""
    # its search path is this process's, wherever that was started
    code = (
        f'import runpy, sys; sys.path[:] = {sys.path!r}; sys.argv = {["", *names]!r}; '
        f'runpy.run_path({__file__!r}, run_name="__main__")'
    )
    try:
        done = subprocess.run(
            [sys.executable, '-c', code],
            capture_output=True,
            text=True,
            errors='replace',
            timeout=TIMEOUT_SECONDS,
            # albumentations would ask the network for its newest version
            env={**os.environ, 'NO_ALBUMENTATIONS_UPDATE': '1'},
        )
        out, ended = done.stdout, f'its import ends Python with exit code {done.returncode}'
    except subprocess.TimeoutExpired as error:
        held = error.stdout or ''
        out = held.decode(errors='replace') if isinstance(held, bytes) else held
        ended = f'{NO_ANSWER} {TIMEOUT_SECONDS} seconds'
    except OSError as error:
        return {}, f'no child process can be started: {error}'
    answers = {}
    for line in out.splitlines():
        if line.startswith(MARK):
            name, facts = json.loads(line.removeprefix(MARK))
            answers[name] = facts
    return answers, ended


def main() -> None:
    """Try what the command line names, in the child."""
    for name in sys.argv[1:]:
        try:
            facts = {'error': '', **PROBES[name]()}
        except Exception as error:  # a broken package may raise anything
            text = ' '.join(str(error).split())[:300]
            facts = {'error': f'{type(error).__name__}: {text}' if text else type(error).__name__}
        print(f'\n{MARK}{json.dumps([name, facts])}', flush=True)


if __name__ == '__main__':
    main()
