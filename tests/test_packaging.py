"""The built distributions hold what an installation needs, and the requirements say so in one
place.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mmyolo_lite import __version__
from mmyolo_lite.compat.versions import TESTED
from tests.shared_data import REPO
from tests.tools import journey

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip('tomli')

SETTINGS = tomllib.loads((REPO / 'pyproject.toml').read_text())
SOURCES = (
    *('mmyolo_lite', 'configs', 'tools', 'demo', 'requirements'),
    *('setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE', 'model-index.yml'),
)
CONFIG = 'mmyolo_lite::yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py'


@pytest.fixture(scope='module')
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a built sdist and wheel; the checkout is not touched."""
    folder = tmp_path_factory.mktemp('packaging')
    source = folder / 'source'
    source.mkdir()
    ignored = shutil.ignore_patterns('__pycache__', '.mim')
    for name in SOURCES:
        if (REPO / name).is_dir():
            shutil.copytree(REPO / name, source / name, ignore=ignored)
        else:
            shutil.copy2(REPO / name, source / name)
    # what an earlier build left behind must not get into the wheel
    stale = source / 'build/lib/mmyolo_lite'
    (stale / '.mim/tools').mkdir(parents=True)
    (stale / 'old.py').touch()
    (stale / '.mim/tools/old.py').touch()
    done = subprocess.run(
        [sys.executable, 'setup.py', '-q', 'sdist', 'bdist_wheel', '--dist-dir', str(folder)],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    shutil.copytree(source / 'dist', folder, dirs_exist_ok=True)
    return folder


def files_below(folder: str) -> set[str]:
    """Return the files of the checkout that belong into a distribution."""
    return {
        path.relative_to(REPO).as_posix()
        for path in (REPO / folder).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts and not path.name.startswith('.')
    }


@pytest.fixture(scope='module')
def wheel(built: Path) -> Path:
    (path,) = built.glob('*.whl')
    return path


def test_the_wheel_has_configs_scripts_and_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = files_below('configs') | files_below('tools') | files_below('demo')
    wanted = {f'mmyolo_lite/.mim/{name}' for name in shipped if not name.endswith('.ipynb')}
    assert wanted | {'mmyolo_lite/.mim/model-index.yml'} == {
        name for name in names if name.startswith('mmyolo_lite/.mim/')
    }
    package = {name for name in files_below('mmyolo_lite') if name.endswith('.py')}
    assert package == {
        name for name in names if name.endswith('.py') and not name.startswith('mmyolo_lite/.mim')
    }
    assert 'mmyolo_lite/py.typed' in names
    assert any(name.startswith('mmyolo_lite/visualization/report/assets/') for name in names)


def test_the_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / 'site', tmp_path / 'elsewhere'
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, '-m', 'mmyolo_lite', 'print-config', CONFIG],
        cwd=elsewhere,
        env={**journey.environment(), 'PYTHONPATH': str(site)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "data_root = 'data/sample_balloon/'" in done.stdout
    assert list(elsewhere.iterdir()) == []


def test_the_metadata(wheel: Path) -> None:
    content = zipfile.ZipFile(wheel)
    folder = f'mmyolo_lite-{__version__}.dist-info'
    entry_points = content.read(f'{folder}/entry_points.txt').decode()
    assert 'mmyolo-lite = mmyolo_lite.__main__:main' in entry_points
    text = content.read(f'{folder}/METADATA').decode()
    assert f'\nVersion: {__version__}\n' in text
    assert '\nLicense-Expression: Apache-2.0\n' in text
    for extra in ('mm', 'albu', 'optional', 'tests'):
        assert f'\nProvides-Extra: {extra}\n' in text


def test_the_sdist_can_be_built_again(built: Path) -> None:
    (path,) = built.glob('*.tar.gz')
    root = f'mmyolo_lite-{__version__}'
    with tarfile.open(path) as content:
        names = {name.removeprefix(f'{root}/') for name in content.getnames()}
    wanted = {*files_below('configs'), *files_below('tools'), *files_below('requirements')}
    assert wanted | files_below('demo') | {'setup.py', 'model-index.yml', 'LICENSE'} <= names
    assert not [name for name in names if name.endswith(('.pyc', '.pth', '.pt', '.onnx'))]


REQUIREMENT_FILES = sorted((REPO / 'requirements').glob('*.txt')) + [REPO / 'requirements.txt']


def requirements(path: Path) -> list[Requirement]:
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [Requirement(line) for line in lines if line and line[0] not in '#-']


@pytest.mark.parametrize('path', REQUIREMENT_FILES, ids=lambda path: path.name)
def test_every_requirement_has_a_reason(path: Path) -> None:
    """Comments stand above what they speak of; a line of another package may follow it."""
    lines = path.read_text().splitlines()
    assert lines[0].startswith('#')
    assert requirements(path) or path.name == 'docs.txt'


def test_the_pins_lie_within_the_bounds() -> None:
    bounds = {
        one.name: one.specifier
        for name in ('runtime.txt', 'albu.txt')
        for one in requirements(REPO / 'requirements' / name)
    }
    pins = requirements(REPO / 'requirements.txt') + requirements(
        REPO / 'requirements/mminstall.txt'
    )
    for one in pins:
        match = re.fullmatch(r'==([\d.]+?)(\.\*)?', str(one.specifier))
        if match and one.name in bounds:
            version = f'{match[1]}.0' if match[2] else match[1]
            assert bounds[one.name].contains(version), f'{one} is not allowed by runtime.txt'


def test_lowest_versions_are_those_that_are_warned_below() -> None:
    for one in requirements(REPO / 'requirements/runtime.txt'):
        if one.name in TESTED:
            low = next(spec.version for spec in one.specifier if spec.operator == '>=')
            assert low == TESTED[one.name][0], one.name


def test_pythons_are_named_alike_everywhere() -> None:
    project = SETTINGS['project']
    pythons = [line.rpartition(' ')[2] for line in project['classifiers'] if 'Python :: 3.' in line]
    assert project['requires-python'] == f'>={pythons[0]}'
    listed = f'PYTHONS = ({", ".join(repr(one) for one in pythons)})'
    assert listed in (REPO / 'noxfile.py').read_text()
    assert str(pythons) in (REPO / '.github/workflows/ci.yml').read_text()


def test_the_version_has_its_place_in_the_changelog() -> None:
    text = (REPO / 'CHANGELOG.md').read_text()
    is_released = re.fullmatch(r'\d+\.\d+\.\d+', __version__)
    assert (f'\n## [{__version__}]' if is_released else '\n## [Unreleased]\n') in text


def test_this_installation_is_the_checkout() -> None:
    assert metadata.version('mmyolo_lite') == __version__
