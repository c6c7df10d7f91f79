"""Facts about the environment, and how they are shown."""

import json
from importlib import metadata
from pathlib import Path

import pytest

from mmyolo_lite.apis import environment
from mmyolo_lite.compat.versions import TESTED
from tests.apis.test_environment_advice import good


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> environment.Facts:
    """The facts of this machine, with packages that all work."""
    probes = good()['probes']
    probes['torch'] |= {'version': '2.11.0+cu130', 'threads': 2}
    monkeypatch.setattr(environment, 'try_all', lambda: probes)
    monkeypatch.setenv('MMYOLO_LITE_DATA', 'somewhere')
    monkeypatch.setenv('SOME_PASSWORD', 'secret')
    return environment.collect()


def test_versions_are_those_installed(facts: environment.Facts) -> None:
    assert facts['versions']['numpy'] == metadata.version('numpy')
    assert facts['versions']['onedl-mmcv'] is None
    assert set(TESTED) <= set(facts['versions'])


def test_it_can_be_written_as_json(facts: environment.Facts) -> None:
    assert json.loads(json.dumps(facts)) == facts


def test_only_variables_that_matter_are_shown(facts: environment.Facts) -> None:
    assert facts['variables']['MMYOLO_LITE_DATA'] == 'somewhere'
    assert 'secret' not in json.dumps(facts)


def test_the_machine(facts: environment.Facts) -> None:
    assert facts['system']['cpu_threads'] >= 1
    assert facts['system']['memory_gib'] is None or facts['system']['memory_gib'] > 0.5


def test_a_container_limits_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'max').write_text('max\n')
    (tmp_path / 'limit').write_text(f'{2**29}\n')
    limits = (tmp_path / 'none', tmp_path / 'max', tmp_path / 'limit')
    monkeypatch.setattr(environment, 'MEMORY_LIMITS', limits)
    assert environment.system()['memory_gib'] == 0.5


def test_the_driver_is_read_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'version'
    monkeypatch.setattr(environment, 'DRIVER', path)
    assert environment.system()['nvidia_driver'] is None
    path.write_text('NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23\n')
    assert environment.system()['nvidia_driver'] == '580.95.05'


def test_the_report_of_a_good_environment(facts: environment.Facts) -> None:
    facts['findings'] = []
    text = '\n'.join(environment.report(facts))
    assert text.endswith('\n\nNothing to change.')
    assert 'PyTorch 2.11.0+cu130, built for CUDA 13.0; 2 threads' in text
    assert 'MMYOLO_LITE_DATA=somewhere' in text
    assert 'onedl' not in text and 'opencv-contrib' not in text
    (line,) = [line for line in text.splitlines() if line.startswith('numpy ')]
    assert line.split() == [
        'numpy',
        metadata.version('numpy'),
        *f'{"{} to below {}"}'.format(*TESTED['numpy']).split(),
    ]


def test_findings_are_shown_with_their_command(facts: environment.Facts) -> None:
    facts['findings'] = [dict(level='error', text='It is broken.', command='pip install it')]
    facts['probes']['torch'] = {'error': 'OSError'}
    lines = list(environment.report(facts))
    assert lines[-2:] == ['error: It is broken.', '    pip install it']
    assert 'GPU: none that PyTorch can use; everything runs on the CPU' in lines
