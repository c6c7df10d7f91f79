"""The tutorial runs from top to bottom, and what is committed of it is what such a run leaves."""

import ast
import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.shared_data import REPO
from tests.tools import journey

NOTEBOOK = REPO / 'demo/15_minutes_instance_segmentation.ipynb'
MAX_BYTES = 2_000_000
PRINTING = {'print', 'run', 'show', 'display'}
ELSEWHERE = (f'{REPO.parent}/', '/tmp/', '/root', '/home/', '/Users/', 'site-packages', ':\\\\')

# two trainings and a dozen processes that import the frameworks
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope='module')
def committed() -> dict:
    return json.loads(NOTEBOOK.read_text(encoding='utf-8'))


def source(cell: dict) -> str:
    return ''.join(cell['source'])


def code_cells(notebook: dict) -> list[dict]:
    return [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']


def prints(code: str) -> bool:
    """Whether code calls something that leaves an output, outside of the functions it defines."""
    parts = [part for part in ast.parse(code).body if not isinstance(part, ast.FunctionDef)]
    calls = [node for part in parts for node in ast.walk(part) if isinstance(node, ast.Call)]
    return any(isinstance(call.func, ast.Name) and call.func.id in PRINTING for call in calls)


def outputs(notebook: dict) -> list[dict]:
    return [output for cell in code_cells(notebook) for output in cell['outputs']]


def printed(notebook: dict) -> str:
    """Return all that was printed or linked."""
    texts = [
        output.get('text') or output.get('data', {}).get('text/html') or ''
        for output in outputs(notebook)
    ]
    return '\n'.join(''.join(text) for text in texts)


def pictures(notebook: dict) -> list[np.ndarray]:
    encoded = [
        output['data']['image/jpeg']
        for output in outputs(notebook)
        if 'image/jpeg' in output.get('data', {})
    ]
    return [
        cv2.imdecode(np.frombuffer(base64.b64decode(''.join(jpeg)), np.uint8), cv2.IMREAD_COLOR)
        for jpeg in encoded
    ]


# ------------------------------------------------------------------- as committed


def test_every_cell_was_run_once_from_top_to_bottom(committed):
    cells = code_cells(committed)
    assert [cell['execution_count'] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert bool(cell['outputs']) == prints(source(cell)), source(cell)
        kinds = [output['output_type'] for output in cell['outputs']]
        assert 'error' not in kinds
        assert 'stderr' not in [output.get('name') for output in cell['outputs']], source(cell)


def test_it_is_small_and_names_no_place_of_the_machine_that_ran_it(committed):
    assert NOTEBOOK.stat().st_size < MAX_BYTES
    for place in ELSEWHERE:
        assert place not in printed(committed)
        for cell in committed['cells']:
            assert place not in source(cell), source(cell)


def test_the_committed_model_has_learned(committed):
    text = printed(committed)
    every = re.findall(r'IoU=0\.50 +\| area= +all \| maxDets=100 \] = (\S+)', text)
    assert len(every) == 2, 'one for boxes, one for masks'
    assert min(map(float, every)) > 0.8
    first, *_, last = map(float, re.findall(r'coco/segm_mAP: (\S+)', text))
    assert last > max(first, 0.4), 'AP of masks during training'
    found, missed = map(int, re.search(r'(\d+) right.*?(\d+) missed', text).groups())
    assert found > 5 * missed


def test_committed_pictures_show_something(committed):
    shown = pictures(committed)
    assert len(shown) >= 9
    for picture in shown:
        assert min(picture.shape[:2]) > 100 and picture.std() > 5


def command_lines(notebook: dict) -> list[tuple[str, list[str]]]:
    """Return script and options of each command line that is run or shown."""
    found = []
    for cell in notebook['cells']:
        # a command of several lines of code is one string
        text = re.sub(r"'\n\s+f?'", '', source(cell))
        for script, rest in re.findall(r'python ((?:tools|demo)/\S+\.py)([^\n`]*)', text):
            found.append((script, re.findall(r'(?<= )--[a-z-]+', rest)))
    return found


def test_commands_name_scripts_and_options_that_exist(committed, tools, tmp_path):
    lines = command_lines(committed)
    assert len({script for script, _ in lines}) >= 13
    for script, options in lines:
        assert (REPO / script).is_file(), script
        text = tools.run(tmp_path, script, '--help').check().out
        for option in options:
            assert re.search(rf'{option}\b', text), f'{script} knows no {option}'


def test_files_that_the_text_names_exist(committed):
    text = '\n'.join(map(source, committed['cells']))
    for link in re.findall(r'\]\((\.\./[^)]+)\)', text):
        assert (NOTEBOOK.parent / link).is_file(), link
    for script in re.findall(r'\b(?:tools|demo)/[\w/]+\.(?:py|sh)', text):
        assert (REPO / script).is_file(), script
    for config in re.findall(r'\b(yolov5_ins\w[\w-]*\.py)', text):
        assert (REPO / 'configs/yolov5/ins_seg' / config).is_file(), config


# ------------------------------------------------------------------- as run


@pytest.fixture(scope='module')
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('notebook')


@pytest.fixture(scope='module')
def executed(place: Path) -> dict:
    """The notebook, run in a few minutes with few photos from its own folder, as Jupyter does.

    That is in a process of its own: Jupyter's client leaves sockets for the garbage collector, and
    warnings fail this suite. The kernel is this very interpreter, whatever else is installed.
    """
    for package in ('nbclient', 'ipykernel'):
        pytest.importorskip(package, reason='pip install nbclient ipykernel')
    pytest.importorskip('pytorch_grad_cam', reason='pip install grad-cam')
    kernel = place / 'jupyter/kernels/this_python/kernel.json'
    kernel.parent.mkdir(parents=True)
    start = [sys.executable, '-m', 'ipykernel_launcher', '-f', '{connection_file}']
    kernel.write_text(json.dumps(dict(argv=start, display_name='this', language='python')))
    settings = {
        'MMYOLO_LITE_NOTEBOOK_SHORT': '1',
        'MMYOLO_LITE_NOTEBOOK_DIR': str(place),
        'MMYOLO_LITE_NOTEBOOK_DATA': '',
        'JUPYTER_PATH': str(place / 'jupyter'),
        'JUPYTER_RUNTIME_DIR': str(place / 'jupyter/runtime'),
        'IPYTHONDIR': str(place / 'jupyter/ipython'),
        # the debugger's remark on frozen modules
        'PYDEVD_DISABLE_FILE_VALIDATION': '1',
    }
    program = 'from nbclient.cli import main; main()'
    options = ['--kernel_name=this_python', f'--output={place / "executed.ipynb"}']
    done = subprocess.run(
        [sys.executable, '-c', program, str(NOTEBOOK), *options],
        env={**journey.environment(), **settings},
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return json.loads((place / 'executed.ipynb').read_text(encoding='utf-8'))


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(executed, committed):
    assert [cell['execution_count'] for cell in code_cells(executed)] == [
        cell['execution_count'] for cell in code_cells(committed)
    ]
    assert not [output for output in outputs(executed) if output['output_type'] == 'error']
    assert len(pictures(executed)) == len(pictures(committed))


@pytest.mark.slow
def test_each_step_leaves_its_files(executed, place):
    work = place / 'work_dirs/notebook'
    training = work / 'training'
    for file in ('last_checkpoint', 'results.csv', 'results.png', 'report.html'):
        assert (training / file).stat().st_size, file
    assert {file.name for file in training.glob('epoch_*.pth')} >= {'epoch_2.pth', 'epoch_3.pth'}
    assert len(list(training.glob('best_coco_bbox_mAP_epoch_*.pth'))) == 1
    assert 'resumed epoch: 2' in printed(executed)
    assert (work / 'anchors/balloons_anchors.py').is_file()
    for pattern, count in {
        'annotations/*.jpg': 4,
        'look/*.jpg': 4,
        'test/*/show_results/*.jpg': 4,
        'featmaps/*.jpg': 6,
        'test/confusion_matrix.png': 1,
    }.items():
        assert len(list(work.glob(pattern))) == count, pattern
    assert len(list(work.glob('cam/*.jpg'))) >= 4


@pytest.mark.slow
def test_it_writes_nowhere_else(executed, place):
    ours = {'jupyter', 'executed.ipynb'}
    assert {path.name for path in place.iterdir()} - ours == {'data', 'work_dirs'}
    assert [path.name for path in (place / 'work_dirs').iterdir()] == ['notebook']


def test_a_command_that_fails_stops_the_notebook(committed, monkeypatch):
    pytest.importorskip('IPython', reason='pip install ipykernel')
    monkeypatch.chdir(NOTEBOOK.parent)
    (helpers,) = (source(cell) for cell in code_cells(committed) if 'def run(' in source(cell))
    names: dict = {}
    exec(helpers, names)
    with pytest.raises(RuntimeError, match='exit code 1\n.*error: '):
        names['run']('python tools/dataset_converters/balloon2coco.py --data-root missing')
    with pytest.raises(AssertionError, match='no file matches'):
        names['files']('missing/*.jpg')
