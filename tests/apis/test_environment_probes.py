"""Packages are tried in child processes, whatever they do there."""

import sys
from pathlib import Path

import pytest

from mmyolo_lite.apis import environment_probes as probes


def plant(folder: Path, monkeypatch: pytest.MonkeyPatch, **codes: str) -> None:
    """Put packages with this code before the real ones."""
    for name, code in codes.items():
        (folder / f'{name}.py').write_text(code)
    monkeypatch.setattr(sys, 'path', [str(folder), *sys.path])


def test_what_works(tmp_path: Path) -> None:
    found = probes._try_group(('numpy', 'cv2'))
    assert found['numpy']['error'] == found['cv2']['error'] == ''
    assert found['numpy']['version'] == sys.modules['numpy'].__version__


def test_a_package_that_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, monkeypatch, cv2="raise ImportError('libGL.so.1:\\n cannot open')")
    found = probes._try_group(('cv2', 'numpy'))
    assert found['cv2'] == {'error': 'ImportError: libGL.so.1: cannot open'}
    assert found['numpy']['error'] == ''


def test_a_package_that_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, monkeypatch, cv2='import os; os._exit(5)', torch='raise SystemExit(3)')
    found = probes._try_group(('cv2', 'torch', 'numpy'))
    assert list(found) == ['cv2', 'torch', 'numpy']
    assert found['cv2'] == {'error': 'its import ends Python with exit code 5'}
    assert found['torch'] == {'error': 'its import ends Python with exit code 3'}
    assert found['numpy']['error'] == ''


def test_a_package_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, monkeypatch, cv2='import time; time.sleep(60)')
    monkeypatch.setattr(probes, 'TIMEOUT_SECONDS', 2)
    assert probes._try_group(('cv2',)) == {'cv2': {'error': 'no answer within 2 seconds'}}


def test_what_packages_print_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path, monkeypatch, albumentations="__version__ = '9'; print('{}', end='')")
    assert probes._try_group(('albumentations',)) == {
        'albumentations': {'error': '', 'version': '9'}
    }


def test_groups_name_every_probe_once() -> None:
    assert sorted(name for group in probes.GROUPS for name in group) == sorted(probes.PROBES)
