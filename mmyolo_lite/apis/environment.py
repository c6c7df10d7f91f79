"""What the project runs on: versions, hardware, and what to change where something does not fit.

Nothing of it needs the network, or a dependency that works: versions are read from the metadata of
the installed distributions, and packages are tried in child processes.
"""

import contextlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from mmyolo_lite import __version__
from mmyolo_lite.apis.environment_probes import try_all
from mmyolo_lite.errors import DependencyError

Facts = dict[str, Any]

SHARED_MEMORY = Path('/dev/shm')
DRIVER = Path('/proc/driver/nvidia/version')
MEMORY_LIMITS = (
    Path('/sys/fs/cgroup/memory.max'),
    Path('/sys/fs/cgroup/memory/memory.limit_in_bytes'),
)
VARIABLES = ('CUDA_VISIBLE_DEVICES', 'OMP_NUM_THREADS', 'PYTHONPATH', 'NCCL_DEBUG')
"""Reported where they are set, with all of ``MMYOLO_LITE_``."""

REQUIRED = (
    'torch',
    'torchvision',
    'numpy',
    'opencv-python',
    'opencv-python-headless',
    'opencv-contrib-python',
    'opencv-contrib-python-headless',
    'mmengine',
    'mmcv-lite',
    'mmcv',
    'mmcv-full',
    'mmdet',
    'onedl-mmengine',
    'onedl-mmcv',
    'onedl-mmdetection',
    'pycocotools',
    'pillow',
    'scipy',
    'shapely',
    'matplotlib',
    'setuptools',
)
OPTIONAL = (
    'albumentations',
    'tensorboard',
    'wandb',
    'faster-coco-eval',
    'onnx',
    'onnxruntime',
    'onnxruntime-gpu',
    'onnxslim',
    'openvino',
    'tensorrt',
    'safetensors',
    'grad-cam',
    'mmyolo',
)
ALTERNATIVES = re.compile('opencv-.*|onedl-.*|mmcv|mmcv-full|onnxruntime-gpu|mmyolo|tensorrt')
"""Not listed where they are missing."""


def collect() -> Facts:
    """Return what there is: ``system``, ``variables``, ``versions``, ``probes``, ``untested``,
    ``findings`` and whether the project ``works``; all of it can be written as JSON.

    Raises:
        DependencyError: versions cannot be compared.
    """
    try:
        from mmyolo_lite.apis.environment_advice import ERROR, advise
        from mmyolo_lite.compat.versions import TESTED, untested_versions
    except ModuleNotFoundError as error:
        raise DependencyError(
            f'{error.name} is not installed, without which versions cannot be compared: '
            f'pip install {error.name}'
        ) from error

    facts: Facts = {
        'mmyolo_lite': __version__,
        'system': system(),
        'variables': {
            name: value
            for name, value in sorted(os.environ.items())
            if name in VARIABLES or name.startswith('MMYOLO_LITE_')
        },
        'versions': installed_versions(),
        'tested': {name: list(ends) for name, ends in TESTED.items()},
        'untested': untested_versions(),
        'probes': try_all(),
    }
    findings = advise(facts)
    facts['findings'] = [vars(finding) for finding in findings]
    facts['works'] = all(finding.level != ERROR for finding in findings)
    return facts


def installed_versions() -> dict[str, str | None]:
    """Return the version of each distribution that matters, None where it is missing."""
    found: dict[str, str | None] = {}
    for name in (*REQUIRED, *OPTIONAL):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def system() -> Facts:
    """Return the interpreter and the machine; None for what the system does not tell."""
    return {
        'python': platform.python_version(),
        'executable': sys.executable,
        'os': platform.platform(),
        'cpu_threads': len(os.sched_getaffinity(0))
        if hasattr(os, 'sched_getaffinity')
        else os.cpu_count(),
        'memory_gib': _memory_gib(),
        'shared_memory_gib': _shared_memory_gib(),
        'nvidia_driver': _nvidia_driver(),
    }


def _memory_gib() -> float | None:
    """Return the memory, or what a container may use of it."""
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows
        found.append(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))
    for path in MEMORY_LIMITS:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # not there, or 'max'
            continue
    return round(min(found) / 2**30, 1) if found else None


def _shared_memory_gib() -> float | None:
    if not SHARED_MEMORY.is_dir():
        return None
    return round(shutil.disk_usage(SHARED_MEMORY).total / 2**30, 2)


def _nvidia_driver() -> str | None:
    """Return the version of NVIDIA's driver, None where there is none."""
    try:
        match = re.search(r'\b(\d+\.\d+(\.\d+)?)\b', DRIVER.read_text())
    except OSError:
        return None
    return match[1] if match else 'version unknown'


def report(facts: Facts) -> Iterator[str]:
    """Yield the lines that :func:`collect`'s answer is shown as."""
    where = facts['system']
    yield f'mmyolo_lite {facts["mmyolo_lite"]}, Python {where["python"]} ({where["executable"]})'
    yield f'{where["os"]}, {where["cpu_threads"]} CPU threads, {_gib(where["memory_gib"])} memory'
    yield from _gpu_lines(facts)
    for name, value in facts['variables'].items():
        yield f'{name}={value}'
    yield ''
    yield from _version_lines(facts)
    yield ''
    if not facts['findings']:
        yield 'Nothing to change.'
    for one in facts['findings']:
        yield f'{one["level"]}: {one["text"]}'
        if one['command']:
            yield f'    {one["command"]}'


def _gib(number: float | None) -> str:
    return 'unknown' if number is None else f'{number} GiB'


def _gpu_lines(facts: Facts) -> Iterator[str]:
    torch = facts['probes'].get('torch', {})
    driver = facts['system']['nvidia_driver']
    build = 'a build for CPUs'
    if torch.get('cuda_build'):
        build = f'built for CUDA {torch["cuda_build"]}'
    elif torch.get('rocm_build'):
        build = f'built for ROCm {torch["rocm_build"]}'
    if 'version' in torch:
        cudnn = f', cuDNN {torch["cudnn"]}' if torch.get('cudnn') else ''
        yield (
            f'PyTorch {torch["version"]}, {build}{cudnn}; {torch["threads"]} threads; '
            f'NVIDIA driver: {driver or "none"}'
        )
    for index, gpu in enumerate(torch.get('gpus', ())):
        yield (
            f'GPU {index}: {gpu["name"]}, {gpu["gib"]} GiB, compute capability {gpu["capability"]}'
        )
    if not torch.get('gpus'):
        yield 'GPU: none that PyTorch can use; everything runs on the CPU'


def _version_lines(facts: Facts) -> Iterator[str]:
    width = max(map(len, facts['versions'])) + 2
    yield f'{"package":{width}}{"installed":16}tested with'
    for name, version in facts['versions'].items():
        if version is None and ALTERNATIVES.fullmatch(name):
            continue
        ends = facts['tested'].get(name)
        tested = f'{ends[0]} to below {ends[1]}' if ends else ''
        optional = ' (optional)' if name in OPTIONAL and version is None else ''
        yield f'{name:{width}}{version or "-":16}{tested}{optional}'.rstrip()
