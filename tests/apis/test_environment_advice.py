"""Rules over the facts of an environment: what is wrong, and the command that mends it."""

import copy
from typing import Any

import pytest

from mmyolo_lite.apis.environment_advice import (
    DEFAULTS,
    ERROR,
    FORKS,
    WARNING,
    Finding,
    advise,
    torchvision_for,
)

Facts = dict[str, Any]

PROBES = (
    'torch numpy torch_numpy torchvision cv2 pycocotools albumentations mmengine mmcv mmdet '
    'mmyolo_lite'
)


def good() -> Facts:
    """Return the facts of an environment in which all is well."""
    facts: Facts = {
        'system': {'nvidia_driver': None, 'memory_gib': 16.0, 'shared_memory_gib': 8.0},
        'variables': {},
        'untested': [],
        'versions': {
            'torch': '2.11.0',
            'torchvision': '0.26.0',
            'numpy': '2.4.6',
            'opencv-python': '5.0.0.93',
            'opencv-python-headless': '5.0.0.93',
            'mmengine': '0.10.7',
            'mmcv-lite': '2.1.0',
            'mmdet': '3.3.0',
            'setuptools': '80.10.2',
        },
        'probes': {name: {'error': ''} for name in PROBES.split()},
    }
    facts['probes']['torch'] |= {
        'cuda_build': '13.0',
        'rocm_build': None,
        'cuda': False,
        'warnings': [],
        'gpus': [],
    }
    return facts


def changed(path: str, value: Any) -> Facts:
    """Return good facts with one change, such as ``'versions/torch'``."""
    facts = good()
    place = facts
    *parents, last = path.split('/')
    for name in parents:
        place = place[name]
    place[last] = value
    return facts


def only(facts: Facts) -> Finding:
    (finding,) = advise(facts)
    return finding


def test_nothing_to_say_about_a_good_one() -> None:
    assert advise(good()) == []


LIBGL = 'ImportError: libGL.so.1: cannot open shared object file: No such file or directory'
REFUSED = (
    'AssertionError: MMCV==2.2.0 is used but incompatible. Please install mmcv>=2.0.0rc4, <2.2.0.'
)
MISMATCH = 'ImportError: mmcv/_ext.so: undefined symbol: _ZN2at4_ops5zeros4callEN3c108ArrayRef'
ABI = 'ValueError: numpy.dtype size changed, may indicate binary incompatibility'


@pytest.mark.parametrize(
    ('path', 'value', 'level', 'text', 'command'),
    [
        ('versions/torch', '2.3.1', ERROR, 'older than 2.4', 'pip install torch=='),
        ('versions/torchvision', '0.21.0', ERROR, '0.26.* does', "'torchvision==0.26.*'"),
        ('versions/torchvision', None, ERROR, 'is not installed', "'torchvision==0.26.*'"),
        (
            'probes/torchvision/error',
            'RuntimeError: operator torchvision::nms does not exist',
            ERROR,
            'another build',
            'torch==2.11.0 torchvision==0.26.0',
        ),
        ('versions/numpy', '1.25.2', ERROR, 'older than 1.26', "'numpy>=1.26'"),
        (
            'probes/torch_numpy/error',
            'RuntimeError: Numpy is not available',
            ERROR,
            'do not fit',
            'pip install torch==',
        ),
        ('probes/cv2/error', LIBGL, ERROR, 'libGL', '--no-deps opencv-python-headless==5.0.0.93'),
        (
            'versions/opencv-python-headless',
            '4.8.0.74',
            WARNING,
            'share the folder cv2/',
            'opencv-python==5.0.0.93 && pip install --force-reinstall --no-deps '
            'opencv-python-headless==5.0.0.93',
        ),
        ('versions/mmcv', '2.1.0', ERROR, 'overwrite each other', 'uninstall -y mmcv mmcv-lite'),
        ('versions/onedl-mmcv', '2.3.6', ERROR, 'overwrite', 'pip install mmcv-lite==2.1.0'),
        ('probes/mmdet/error', REFUSED, ERROR, 'MMCV==2.2.0', 'pip install mmcv-lite==2.1.0'),
        ('probes/mmcv/error', MISMATCH, ERROR, 'another PyTorch', 'mmcv-lite==2.1.0'),
        ('probes/pycocotools/error', ABI, ERROR, 'another NumPy', '--no-deps pycocotools'),
        ('versions/setuptools', '81.0.0', WARNING, 'pkg_resources', "'setuptools>=77,<81'"),
        ('untested', ['torch 3.0 (tested: ...)'], WARNING, 'not tested with torch 3.0', ''),
        ('system/shared_memory_gib', 0.06, WARNING, '--shm-size', ''),
        ('system/memory_gib', 2.0, WARNING, '2.0 GiB', ''),
        ('variables/MMYOLO_LITE_TRUST_CHECKPOINT', '1', WARNING, 'any code', 'unset'),
        ('probes/mmyolo_lite/error', 'OSError: odd', ERROR, 'cannot be imported: OSError: odd', ''),
    ],
)
def test_one_fault(path: str, value: Any, level: str, text: str, command: str) -> None:
    finding = only(changed(path, value))
    assert finding.level == level
    assert text in finding.text
    assert command in finding.command


@pytest.mark.parametrize('name', sorted(set(DEFAULTS) - {'onnxruntime', 'albumentations'}))
def test_missing_packages(name: str) -> None:
    facts = changed(f'probes/{name}/error', f"ModuleNotFoundError: No module named '{name}'")
    finding = only(facts)
    assert finding.level == ERROR
    assert finding.text == f'{name} is not installed; nothing works so.'
    assert finding.command == f'pip install {DEFAULTS[name]}'


def test_albumentations_is_optional() -> None:
    error = "ModuleNotFoundError: No module named 'albumentations'"
    assert only(changed('probes/albumentations/error', error)).level == WARNING


def test_a_package_that_ends_python_is_installed_anew() -> None:
    finding = only(changed('probes/cv2/error', 'its import ends Python with exit code -11'))
    assert finding.level == ERROR
    assert finding.command == 'pip install --force-reinstall opencv-python'


def test_an_overloaded_machine_is_no_error() -> None:
    for name in ('mmcv', 'mmyolo_lite'):
        finding = only(changed(f'probes/{name}/error', 'no answer within 600 seconds'))
        assert finding.level == WARNING and not finding.command


def test_what_only_follows_from_a_broken_torch_is_not_listed() -> None:
    facts = good()
    error = 'OSError: libtorch_cpu.so: cannot open shared object file'
    for name in ('torch', 'torchvision', 'torch_numpy', 'mmengine', 'mmcv', 'mmdet', 'mmyolo_lite'):
        facts['probes'][name] = {'error': error}
    assert only(facts).text.startswith('torch cannot be imported')


@pytest.mark.parametrize('name', FORKS)
def test_two_distributions_of_one_import_name(name: str) -> None:
    facts = good()
    for distribution in FORKS[name][:2]:
        facts['versions'][distribution] = '9'
    findings = [one for one in advise(facts) if 'overwrite' in one.text]
    assert len(findings) == 1
    assert findings[0].command.startswith(f'pip uninstall -y {" ".join(FORKS[name][:2])}')


def onedl() -> Facts:
    facts = good()
    for name in ('mmengine', 'mmcv-lite', 'mmdet'):
        del facts['versions'][name]
    facts['versions'] |= {
        'onedl-mmengine': '0.10.12',
        'onedl-mmcv': '2.3.6',
        'onedl-mmdetection': '3.5.1',
    }
    return facts


def test_the_forks_alone_are_fine() -> None:
    assert advise(onedl()) == []


def test_an_original_that_came_over_the_forks_goes() -> None:
    facts = onedl()
    facts['versions']['mmengine'] = '0.10.7'
    assert only(facts).command.endswith('&& pip install onedl-mmengine')


def test_the_fork_of_mmcv_with_the_original_mmdet() -> None:
    facts = good()
    del facts['versions']['mmcv-lite']
    facts['versions']['onedl-mmcv'] = '2.3.6'
    facts['probes']['mmdet']['error'] = REFUSED.replace('2.2.0 is', '2.3.6 is')
    assert 'pip install onedl-mmdetection' in only(facts).command


def with_gpu(capability: str, architectures: list[str]) -> Facts:
    facts = good()
    facts['system']['nvidia_driver'] = '580.95.05'
    facts['probes']['torch'] |= {
        'cuda': True,
        'architectures': architectures,
        'gpus': [{'name': 'GPU', 'gib': 80.0, 'capability': capability}],
    }
    return facts


@pytest.mark.parametrize(
    ('capability', 'architectures', 'serves'),
    [
        ('9.0', ['sm_80', 'sm_90'], True),
        ('8.6', ['sm_80', 'sm_90'], True),  # binaries serve later minor versions
        ('6.1', ['sm_75', 'sm_80', 'sm_90', 'sm_100', 'sm_120'], False),
        ('12.0', ['sm_90', 'sm_120'], True),
        ('12.0', ['sm_80', 'sm_90'], False),
        ('12.0', ['sm_90', 'compute_90'], True),
        ('9.0', ['sm_90a'], True),
    ],
)
def test_gpus_that_pytorch_has_no_code_for(
    capability: str, architectures: list[str], serves: bool
) -> None:
    findings = advise(with_gpu(capability, architectures))
    assert [one.level for one in findings] == [] if serves else [ERROR]
    if not serves:
        assert f'compute capability {capability}' in findings[0].text


def test_a_driver_without_a_gpu_for_pytorch() -> None:
    facts = good()
    facts['system']['nvidia_driver'] = '470.1'
    facts['probes']['torch']['warnings'] = ['The NVIDIA driver on your system is too old']
    finding = only(facts)
    assert finding.level == WARNING and 'too old' in finding.text and 'cu126' in finding.command
    cpu = copy.deepcopy(facts)
    cpu['probes']['torch']['cuda_build'] = None
    assert 'a build for CPUs' in only(cpu).text


def test_errors_go_first() -> None:
    facts = changed('versions/setuptools', '82')
    facts['versions']['torchvision'] = '0.27.0'
    facts['system']['memory_gib'] = 1.0
    assert [one.level for one in advise(facts)] == [ERROR, WARNING, WARNING]


@pytest.mark.parametrize(
    ('torch', 'torchvision'),
    [('2.4.0', '0.19.*'), ('2.6.0+cu124', '0.21.*'), ('2.14.1', '0.29.*'), ('3.0', None)],
)
def test_pairs(torch: str, torchvision: str | None) -> None:
    assert torchvision_for(torch) == torchvision
