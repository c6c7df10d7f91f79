"""The checks that need environments of their own: other versions of Python and of the dependencies,
and the built distributions. ``nox --list`` names them; docs/compatibility.md has the results.

    pip install nox uv build twine
    nox -s smoke                        # every cell of the matrix, one after the other
    nox -s 'smoke(3.11-torch2.6)'       # one cell
    nox -s 'suite(3.12-torch2.6)'       # the whole test suite in a cell

``--envdir DIR`` puts the environments (3 to 6 GB each) elsewhere, and ``-- --discard`` behind the
rest removes each one when its session is done.
"""

import re
import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
REQUIREMENTS = ROOT / 'requirements'
SAMPLE = 'mmyolo_lite::yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py'
PYTHONS = ('3.10', '3.11', '3.12', '3.13')

PAIRS = {
    '2.4': ('torch==2.4.*', 'torchvision==0.19.*'),
    '2.6': ('torch==2.6.*', 'torchvision==0.21.*'),
    '2.11': ('torch==2.11.*', 'torchvision==0.26.*'),
    'newest': ('torch', 'torchvision'),
}
"""What belongs to a PyTorch; the newest one is the index's (or what pip's constraints leave)."""

FORKS = ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection')

# Python, PyTorch, the other dependencies
CELLS = [
    ('3.10', '2.4', 'lowest'),
    ('3.11', '2.4', 'pinned'),
    ('3.12', '2.4', 'pinned'),
    ('3.10', '2.6', 'pinned'),
    ('3.11', '2.6', 'pinned'),
    ('3.12', '2.6', 'pinned'),
    ('3.13', '2.6', 'pinned'),
    ('3.10', '2.11', 'pinned'),
    ('3.11', '2.11', 'pinned'),
    ('3.12', '2.11', 'pinned'),
    ('3.13', '2.11', 'pinned'),
    ('3.10', 'newest', 'newest'),
    ('3.11', 'newest', 'newest'),
    ('3.12', 'newest', 'newest'),
    ('3.13', 'newest', 'newest'),
    ('3.11', '2.11', 'onedl'),
    ('3.11', '2.11', 'mmcv'),
]
"""There is no PyTorch 2.4 for Python 3.13."""


def _label(python: str, torch: str, others: str) -> str:
    usual = others in ('pinned', torch)
    return f'{python}-torch{torch}' if usual else f'{python}-torch{torch}-{others}'


cells = nox.parametrize('python, torch, others', CELLS, ids=[_label(*one) for one in CELLS])

SMOKE_TESTS = [
    *('tests/ops', 'tests/test_registry.py', 'tests/deploy/test_graph.py'),
    *(f'tests/models/test_{name}.py' for name in ('compile', 'detector', 'ema', 'predict', 'tta')),
    *('tests/models/test_golden_forward.py', 'tests/models/test_golden_loss.py'),
    *('tests/compat', '--ignore=tests/compat/test_mutated_checkpoints.py'),
]

# uv, where it is there, installs in a fraction of pip's time
nox.options.default_venv_backend = 'uv|virtualenv'
nox.options.sessions = ['dist']
nox.options.error_on_missing_interpreters = True
nox.options.download_python = 'never'


@nox.session
@cells
def smoke(session: nox.Session, torch: str, others: str) -> None:
    """Install, import, train, test, export and run a part of the tests: one cell of the matrix."""
    _install(session, torch, others)
    _journey(session, 'mmyolo-lite')
    session.run('python', '-m', 'pytest', '-q', '-m', 'not slow', *SMOKE_TESTS)
    _discard(session)


@nox.session
@cells
def suite(session: nox.Session, torch: str, others: str) -> None:
    """Run the whole test suite in a cell."""
    _install(session, torch, others)
    session.install('-r', 'requirements/tests.txt')
    session.run('python', '-m', 'pytest', '-q')
    _discard(session)


@nox.session(python=PYTHONS, venv_backend='virtualenv')  # as users install: with pip
@nox.parametrize('kind', ['wheel', 'sdist'], ids=['wheel', 'sdist'])
def dist(session: nox.Session, kind: str) -> None:
    """Build, check, install into a clean environment, and train the demo away from the checkout."""
    out = Path(session.create_tmp(), 'dist')
    shutil.rmtree(out, ignore_errors=True)
    # by the interpreter of nox: nothing but the distribution gets into the environment
    session.run(sys.executable, '-m', 'build', '--outdir', str(out), str(ROOT), external=True)
    files = map(str, out.iterdir())
    session.run(sys.executable, '-m', 'twine', 'check', '--strict', *files, external=True)
    (file,) = out.glob('*.whl' if kind == 'wheel' else '*.tar.gz')
    session.install('--only-binary', ':all:', '--no-binary', 'mmyolo_lite', f'{file}[mm,albu]')
    _mend_opencv(session)
    _journey(session, 'mmyolo-lite', epochs=2)
    _discard(session)


@nox.session(venv_backend='none')
@nox.parametrize('version', PYTHONS, ids=PYTHONS)
def wheels(session: nox.Session, version: str) -> None:
    """Resolve requirements.txt, which allows nothing that has to be compiled; installs nothing."""
    options = ['--quiet', '--only-binary', ':all:', '--python-version', version]
    platform = ['--python-platform', 'x86_64-manylinux_2_28']
    session.run('uv', 'pip', 'compile', *options, *platform, 'requirements.txt', silent=True)


@nox.session(python='3.12')
def docs(session: nox.Session) -> None:
    """Build the documentation; broken links fail."""
    session.install('-r', 'requirements/docs.txt')
    session.run('mkdocs', 'build', '--strict', '--site-dir', f'{session.create_tmp()}/site')


def _install(session: nox.Session, torch: str, others: str) -> None:
    """Install the dependencies of a cell, and the package as a wheel."""
    # as pip does: tests take the warnings of compiling for errors
    session.env['UV_COMPILE_BYTECODE'] = '1'
    tools = _requirements('tests.txt', r'pytest|hypothesis')
    runtime = _requirements('runtime.txt', r'(?!torch)')
    albumentations = _requirements('albu.txt')
    mm = _requirements('mminstall.txt')
    onnx = ['onnx', 'onnxruntime']
    if others == 'lowest':
        mmcv = [line for line in mm if line.startswith('mmcv')]
        _install_lowest(session, torch, [*runtime, *albumentations, *mmcv])
        session.install(*tools)
    elif others == 'newest':
        session.install(*PAIRS[torch], *runtime, *albumentations, *mm, *onnx, *tools)
    elif others == 'onedl':
        kept = [line for line in runtime if not line.startswith('mm')]
        # the fork of mmdet brings imaug, which refuses OpenCV from 4.13 on; 4.12 refuses NumPy 2.3
        pins = [line for line in _pins() if not line.startswith(('opencv', 'numpy'))]
        # the fork of mmcv is published as source, and compiles operations where it finds PyTorch
        session.install('setuptools>=77,<81', 'wheel')
        session.install('--no-build-isolation', *FORKS)
        # it warns where it does not find faster-coco-eval, and tests take warnings for errors
        session.install(*PAIRS[torch], *pins, *kept, *onnx, *tools, 'faster-coco-eval')
    else:
        session.install(*PAIRS[torch], *_pins(), *runtime, *onnx, *tools)
        if others == 'mmcv':  # source alone for every current PyTorch: compiles for half an hour
            mm = [line.replace('mmcv-lite', 'mmcv') for line in mm]
            session.install('ninja', 'wheel')
        session.install('--no-build-isolation', *mm)
    _mend_opencv(session)
    session.install('--no-deps', '.')


def _install_lowest(session: nox.Session, torch: str, requirements: list[str]) -> None:
    """Install the lowest versions that the requirements allow, which pip cannot find."""
    pair = [name.replace('.*', '.0') for name in PAIRS[torch]]
    # the two of OpenCV share a folder, so that the headless one must be as old
    headless = [
        line.replace('python', 'python-headless')
        for line in requirements
        if line.startswith('opencv-python')
    ]
    lowest = [*pair, *requirements, *headless]
    session.install('uv')
    python = f'{session.virtualenv.location}/bin/python'
    options = ['--resolution', 'lowest-direct', '--only-binary', ':all:', '--python', python]
    session.run('uv', 'pip', 'install', *options, *lowest, external=True)


def _requirements(name: str, pattern: str = '') -> list[str]:
    """Return the lines of a file of requirements/ that begin as wanted."""
    lines = (REQUIREMENTS / name).read_text().splitlines()
    return [line for line in lines if line and line[0] not in '#-' and re.match(pattern, line)]


def _pins() -> list[str]:
    """Return the pinned versions of requirements.txt, but for PyTorch's."""
    lines = (ROOT / 'requirements.txt').read_text().splitlines()
    return [line for line in lines if re.match(r'(?!torch)[a-z-]+==', line)]


def _mend_opencv(session: nox.Session) -> None:
    """Put the headless OpenCV on top where the other one misses libGL, as the README says."""
    if _imports(session, 'cv2'):
        return
    code = 'from importlib.metadata import version; print(version("opencv-python"))'
    version = str(session.run('python', '-c', code, silent=True)).strip()
    session.install('--force-reinstall', '--no-deps', f'opencv-python-headless=={version}')


def _imports(session: nox.Session, names: str) -> bool:
    """Say whether packages can be imported."""
    code = f'try: import {names}; print("all there")\nexcept ImportError as error: print(error)'
    return 'all there' in str(session.run('python', '-c', code, silent=True))


def _journey(session: nox.Session, command: str, epochs: int = 1) -> None:
    """Paint data, train, test, predict and export with the installed command, away from the
    checkout.
    """
    folder = Path(session.create_tmp(), 'journey')
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with session.chdir(folder):
        session.run(command, 'doctor')
        session.run(command, 'make-sample-dataset', '--train', '8', '--val', '4', '--size', '160')
        session.run(command, 'balloon2coco', '--data-root', 'data/sample_balloon')
        shorter = [
            '--cfg-options',
            f'train_cfg.max_epochs={epochs}',
            'train_cfg.val_interval=1',
            'train_dataloader.batch_size=4',
            'default_hooks.pictures.enabled=False',
        ]
        session.run(command, 'train', SAMPLE, '--work-dir', 'plain', *shorter)
        session.run(command, 'train', SAMPLE, '--work-dir', 'amp', '--amp', *shorter)
        checkpoint = f'plain/epoch_{epochs}.pth'
        session.run(command, 'test', SAMPLE, checkpoint, '--show-dir', 'shown')
        photos = 'data/sample_balloon/val'
        session.run(command, 'predict', photos, SAMPLE, checkpoint, '--out-dir', 'predicted')
        if _imports(session, 'onnx, onnxruntime'):
            session.run(command, 'export', SAMPLE, checkpoint, '--output', 'model.onnx')
            session.run(command, 'test', SAMPLE, 'model.onnx')


def _discard(session: nox.Session) -> None:
    if '--discard' in session.posargs:
        shutil.rmtree(session.virtualenv.location)
