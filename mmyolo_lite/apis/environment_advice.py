"""What to change in an environment: rules over the facts that were found, each with the command
that mends it.

Legend of the facts: `versions` by distribution, `probes` as
:func:`mmyolo_lite.apis.environment_probes.try_all` gives them, `system` and `variables` as
:mod:`mmyolo_lite.apis.environment` collects them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version

from mmyolo_lite.apis.environment_probes import NO_ANSWER
from mmyolo_lite.compat import versions as tested

Facts = dict[str, Any]

ERROR = 'error'
WARNING = 'warning'

TORCH_PAIR = 'torch==2.11.0 torchvision==0.26.0'
"""The pair that the project is tested with most."""

CV2_NAMES = (
    'opencv-python',
    'opencv-python-headless',
    'opencv-contrib-python',
    'opencv-contrib-python-headless',
)
FORKS = {
    'mmengine': ('mmengine', 'onedl-mmengine'),
    'mmcv': ('mmcv', 'mmcv-lite', 'mmcv-full', 'onedl-mmcv'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'onnxruntime': ('onnxruntime', 'onnxruntime-gpu'),
}
"""Distributions that bring the same import name, so that one overwrites files of another."""

DEFAULTS = {
    'mmengine': 'mmengine==0.10.7',
    'mmcv': 'mmcv-lite==2.1.0',
    'mmdet': 'mmdet==3.3.0',
    'onnxruntime': 'onnxruntime',
    'torch': TORCH_PAIR,
    'numpy': 'numpy',
    'cv2': 'opencv-python',
    'pycocotools': 'pycocotools',
    'albumentations': "'albumentations>=2.0.3,<3'",
}
"""What to install for an import name."""

OPTIONAL = ('albumentations',)
MIN_SHARED_MEMORY_GIB = 0.5
MIN_MEMORY_GIB = 4.0
BINARY_MISMATCH = re.compile(r'_ARRAY_API|dtype size changed|compiled using NumPy 1')


@dataclass(frozen=True)
class Finding:
    """Something that will not work, or may not.

    Args:
        level: ``'error'`` (the project does not work so) or ``'warning'``.
        text: what was found, and why it matters.
        command: what mends it, '' where no single command does.
    """

    level: str
    text: str
    command: str = ''


Rule = Callable[[Facts], Iterator[Finding]]


def advise(facts: Facts) -> list[Finding]:
    """Return what to change, errors first."""
    found = [finding for rule in RULES for finding in rule(facts)]
    broken = _probe(facts, 'mmyolo_lite').get('error')
    if broken and not any(finding.level == ERROR for finding in found):
        level = WARNING if broken.startswith(NO_ANSWER) else ERROR
        found.append(Finding(level, f'mmyolo_lite cannot be imported: {broken}'))
    return sorted(found, key=lambda finding: finding.level != ERROR)


def _probe(facts: Facts, name: str) -> Facts:
    return facts['probes'].get(name, {})


def _version(text: str | None) -> Version | None:
    try:
        return Version(text) if text else None
    except InvalidVersion:
        return None


def _missing(facts: Facts) -> Iterator[Finding]:
    """What is not there, or cannot be imported for a reason that has no rule of its own."""
    for name, install in DEFAULTS.items():
        error = _probe(facts, name).get('error', '')
        if not error or name == 'onnxruntime':
            continue
        level = WARNING if name in OPTIONAL else ERROR
        if error.startswith(NO_ANSWER):
            yield Finding(
                WARNING,
                f'{name} gave {error}: the machine is overloaded, or the package hangs. Try again.',
            )
        elif re.search(rf"No module named '{name}'", error):
            reason = (
                'transforms of the type Albu need it' if level == WARNING else 'nothing works so'
            )
            yield Finding(level, f'{name} is not installed; {reason}.', f'pip install {install}')
        elif BINARY_MISMATCH.search(error):
            yield Finding(
                level,
                f'{name} was built for another NumPy than {facts["versions"].get("numpy")}: '
                f'{error}',
                f'pip install --upgrade --force-reinstall --no-deps {install}',
            )
        elif not _has_own_rule(facts, name, error):
            yield Finding(
                level,
                f'{name} cannot be imported: {error}',
                f'pip install --force-reinstall {install}',
            )


def _has_own_rule(facts: Facts, name: str, error: str) -> bool:
    return (
        (name == 'cv2' and 'libGL' in error)
        or (name == 'mmcv' and '_ext' in error)
        or (name == 'mmdet' and ('incompatible' in error or bool(_probe(facts, 'mmcv')['error'])))
        or (name != 'torch' and bool(_probe(facts, 'torch').get('error')) and 'torch' in error)
    )


def _torch(facts: Facts) -> Iterator[Finding]:
    version = _version(facts['versions'].get('torch'))
    low = tested.TESTED['torch'][0]
    if version and version < Version(low):
        yield Finding(
            ERROR,
            f'PyTorch {version} is older than {low}, whose checkpoint loading the project needs.',
            f'pip install {TORCH_PAIR}',
        )
    bridge = _probe(facts, 'torch_numpy').get('error')
    if bridge and not _probe(facts, 'torch')['error'] and not _probe(facts, 'numpy')['error']:
        yield Finding(
            ERROR,
            f'PyTorch {version} and NumPy {facts["versions"].get("numpy")} do not fit: {bridge}',
            f'pip install {TORCH_PAIR} numpy',
        )


def torchvision_for(torch_version: str) -> str | None:
    """Return the torchvision that belongs to a PyTorch, as ``'0.26.*'``: 2.4 goes with 0.19, and
    each minor version with the next.
    """
    version = _version(torch_version)
    if version is None or version.major != 2:
        return None
    return f'0.{version.minor + 15}.*'


def _torchvision(facts: Facts) -> Iterator[Finding]:
    have, torch = facts['versions'].get('torchvision'), facts['versions'].get('torch')
    wanted = torchvision_for(torch or '')
    if not torch or not wanted or Version(torch) < Version(tested.TESTED['torch'][0]):
        return  # an old PyTorch is replaced together with its torchvision
    command = f"pip install --no-deps 'torchvision=={wanted}'"
    error = _probe(facts, 'torchvision').get('error')
    version = _version(have)
    if not have:
        yield Finding(ERROR, 'torchvision is not installed; nothing works so.', command)
    elif version and not str(version).startswith(wanted[:-1]):
        yield Finding(
            ERROR, f'torchvision {have} does not belong to PyTorch {torch}; {wanted} does.', command
        )
    elif error and not _probe(facts, 'torch').get('error'):
        yield Finding(
            ERROR,
            f'torchvision does not work with this PyTorch (another build?): {error}',
            f'pip install --force-reinstall torch=={_public(torch)} torchvision=={_public(have)}',
        )


def _public(version: str) -> str:
    return version.partition('+')[0]


def _gpu(facts: Facts) -> Iterator[Finding]:
    torch, driver = _probe(facts, 'torch'), facts['system'].get('nvidia_driver')
    if not torch or torch['error']:
        return
    again = f'pip install --force-reinstall {TORCH_PAIR}'
    if driver and not torch['cuda_build'] and not torch['rocm_build']:
        yield Finding(
            WARNING,
            f'There is an NVIDIA driver ({driver}), but this PyTorch is a build for CPUs.',
            again,
        )
    elif driver and not torch['cuda']:
        why = ' '.join(torch['warnings'])[:300] or 'no reason is given'
        yield Finding(
            WARNING,
            f'There is an NVIDIA driver ({driver}), but PyTorch for CUDA {torch["cuda_build"]} '
            f'finds no GPU: {why}. A newer driver helps, or PyTorch for an older CUDA; '
            'CUDA_VISIBLE_DEVICES may hide the GPUs.',
            f'{again} --index-url https://download.pytorch.org/whl/cu126',
        )
    for gpu in torch['gpus']:
        names = torch.get('architectures', [])
        if names and not _serves(gpu['capability'], names):
            yield Finding(
                ERROR,
                f'This PyTorch has no code for {gpu["name"]} (compute capability '
                f'{gpu["capability"]}; built for {", ".join(names)}).',
                f'{again} --index-url https://download.pytorch.org/whl/cu126',
            )


def _serves(capability: str, architectures: list[str]) -> bool:
    """Say whether code for one of the architectures runs: binaries (``sm_``) on the same major
    version from their minor one on, intermediate code (``compute_``) on everything newer.
    """
    major, minor = map(int, capability.split('.'))
    for name in architectures:
        match = re.fullmatch(r'(sm|compute|gfx)_?(\d+)(\d)[af]?', name)
        if match is None or match[1] == 'gfx':
            return True  # not NVIDIA's, or a notation of the future
        built = int(match[2]), int(match[3])
        if match[1] == 'compute' and built <= (major, minor):
            return True
        if built[0] == major and built[1] <= minor:
            return True
    return False


def _numpy(facts: Facts) -> Iterator[Finding]:
    version = _version(facts['versions'].get('numpy'))
    low = tested.TESTED['numpy'][0]
    if version and version < Version(low):
        yield Finding(
            ERROR,
            f'NumPy {version} is older than {low}; packages built for NumPy 2 do not load with it.',
            f"pip install 'numpy>={low}'",
        )


def _opencv(facts: Facts) -> Iterator[Finding]:
    error = _probe(facts, 'cv2').get('error', '')
    have = {name: facts['versions'][name] for name in CV2_NAMES if facts['versions'].get(name)}
    named = ', '.join(f'{name} {version}' for name, version in have.items())
    newest = max(have.values(), key=lambda text: _version(text) or Version('0'), default=None)
    headless = f'opencv-python-headless=={newest}' if newest else 'opencv-python-headless'
    if 'libGL' in error or 'libgthread' in error:
        yield Finding(
            ERROR,
            f'OpenCV needs a system library that is not there ({error}). The headless OpenCV does '
            'without; windows (--show) do not work with it.',
            f'pip install --force-reinstall --no-deps {headless}',
        )
    if len(set(have.values())) > 1:
        yield Finding(
            WARNING,
            f'Several versions of OpenCV share the folder cv2/: {named}. The one that was '
            'installed last is used, with files of the others in between.',
            'pip install --force-reinstall --no-deps '
            + ' '.join(f'{name}=={newest}' for name in have if not name.endswith('headless'))
            + (' && pip install --force-reinstall --no-deps ' + headless),
        )


def _same_name(facts: Facts) -> Iterator[Finding]:
    for name, distributions in FORKS.items():
        have = [one for one in distributions if facts['versions'].get(one)]
        if len(have) > 1:
            keep = _kept(have, DEFAULTS[name], facts)
            yield Finding(
                WARNING if name == 'onnxruntime' else ERROR,
                f'{" and ".join(have)} are installed together and overwrite each other: both are '
                f'imported as {name}.',
                f'pip uninstall -y {" ".join(have)} && pip install {keep}',
            )


def _kept(have: list[str], default: str, facts: Facts) -> str:
    """Return what to install in place of several: the fork that others of the stack belong to."""
    forks = [one for one in have if one.startswith('onedl-')]
    others = sum(bool(facts['versions'].get(fork)) for _, fork in ONEDL)
    if forks and others > 1:
        return forks[0]
    return 'onnxruntime-gpu' if 'onnxruntime-gpu' in have else default


ONEDL = (
    ('mmengine', 'onedl-mmengine'),
    ('mmcv-lite', 'onedl-mmcv'),
    ('mmdet', 'onedl-mmdetection'),
)
"""The stack's distributions, and those of the maintained forks."""


def _mmdet(facts: Facts) -> Iterator[Finding]:
    versions = facts['versions']
    error = _probe(facts, 'mmdet').get('error', '')
    compiled = _probe(facts, 'mmcv').get('error', '')
    if 'MMCV==' in error:
        fork = versions.get('onedl-mmcv') and versions.get('mmdet')
        yield Finding(
            ERROR,
            f'mmdet refuses this mmcv: {error.partition(": ")[2]}',
            'pip uninstall -y mmdet && pip install onedl-mmdetection'
            if fork
            else 'pip uninstall -y mmcv mmcv-lite && pip install mmcv-lite==2.1.0',
        )
    elif 'MMEngine==' in error:
        yield Finding(
            ERROR,
            f'mmdet refuses this mmengine: {error.partition(": ")[2]}',
            'pip install mmengine==0.10.7',
        )
    if '_ext' in compiled:
        yield Finding(
            ERROR,
            f'The compiled part of mmcv was built for another PyTorch: {compiled}. The project '
            'does not need it.',
            'pip uninstall -y mmcv && pip install mmcv-lite==2.1.0',
        )


def _setuptools(facts: Facts) -> Iterator[Finding]:
    version = _version(facts['versions'].get('setuptools'))
    if version and version >= Version('81'):
        yield Finding(
            WARNING,
            f'setuptools {version} warns of pkg_resources or comes without it; mmengine and `mim` '
            'import it.',
            "pip install 'setuptools>=77,<81'",
        )


def _untested(facts: Facts) -> Iterator[Finding]:
    for text in facts['untested']:
        yield Finding(WARNING, f'The project is not tested with {text}; it may work all the same.')


def _machine(facts: Facts) -> Iterator[Finding]:
    system = facts['system']
    shared, memory = system.get('shared_memory_gib'), system.get('memory_gib')
    if shared is not None and shared < MIN_SHARED_MEMORY_GIB:
        yield Finding(
            WARNING,
            f'/dev/shm has {shared} GiB; data-loading workers hand their batches over there and '
            'die when it is full. Start the container with --shm-size=2g, or train with '
            '--cfg-options train_dataloader.num_workers=0 '
            'train_dataloader.persistent_workers=False.',
        )
    if memory is not None and memory < MIN_MEMORY_GIB:
        yield Finding(
            WARNING,
            f'{memory} GiB of memory are little: take a config at 320 pixels, and '
            'train_dataloader.num_workers=0.',
        )


def _variables(facts: Facts) -> Iterator[Finding]:
    if facts['variables'].get('MMYOLO_LITE_TRUST_CHECKPOINT') == '1':
        yield Finding(
            WARNING,
            'MMYOLO_LITE_TRUST_CHECKPOINT=1: checkpoints may run any code when they are loaded.',
            'unset MMYOLO_LITE_TRUST_CHECKPOINT',
        )


RULES: tuple[Rule, ...] = (
    _missing,
    _torch,
    _torchvision,
    _gpu,
    _numpy,
    _opencv,
    _same_name,
    _mmdet,
    _setuptools,
    _untested,
    _machine,
    _variables,
)
"""Every rule; their order is that of the findings of one level."""
