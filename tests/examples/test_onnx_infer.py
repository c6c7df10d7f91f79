"""The example that needs three packages does what the package does, with the same lines."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmyolo_lite.deploy import Runtime
from tests.deploy.conftest import detector, exported, toy, toy_data
from tests.shared_data import REPO

__all__ = ['detector', 'exported', 'toy', 'toy_data']
EXAMPLE = REPO / 'examples/onnx_infer.py'
HELD = ('mmyolo_lite/ops/box_masks.py', 'mmyolo_lite/deploy/steps.py')
ALONE = """
import importlib.abc, runpy, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('torch', 'torchvision', 'mmyolo_lite', 'mmengine', 'mmcv',
                                  'mmdet', 'pycocotools', 'PIL', 'scipy', 'onnx'):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
sys.path[0] = ''
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def below_imports(path: Path) -> str:
    """What follows the last import of a module."""
    lines = path.read_text().split('\n')
    last = max(n for n, line in enumerate(lines) if line.startswith(('import ', 'from ')))
    return '\n'.join(lines[last + 1 :]).strip('\n')


@pytest.mark.parametrize('name', HELD)
def test_it_holds_the_lines_of_the_package(name):
    text = EXAMPLE.read_text()
    assert f'# ---- as in {name}, letter by letter\n\n{below_imports(REPO / name)}\n' in text, (
        f'copy all below the imports of {name} to examples/onnx_infer.py'
    )


def run(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, '-c', ALONE, str(EXAMPLE), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=REPO.parent,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize('given', [dict(), dict(nms='none', dynamic='all'), dict(batch=3)])
def test_it_finds_what_the_runtime_finds(toy, exported, tmp_path, given):
    path = exported(**given)
    run(
        path,
        toy.images,
        '--out',
        tmp_path / 'out',
        '--json',
        tmp_path / 'found.json',
        '--score-thr',
        0.33,
    )
    results = json.loads((tmp_path / 'found.json').read_text())
    runtime = Runtime(path, 'cpu', score_thr=0.33)
    assert len(results) == 5
    for wanted in runtime.predict(toy.images):
        found = results[wanted.name]
        np.testing.assert_array_equal([one['box'] for one in found], wanted.boxes)
        np.testing.assert_array_equal(np.float32([one['score'] for one in found]), wanted.scores)
        for one, rle in zip(found, wanted.masks.runs, strict=True):
            size = one['mask']['size']
            assert coco_mask.frPyObjects(one['mask'], *size)['counts'] == rle['counts']
        picture = cv2.imread(str(tmp_path / 'out' / wanted.name))
        assert picture.shape[:2] == wanted.shape


def test_boxes_alone_and_a_video(detector, exported, tmp_path):
    size = (96, 64)
    video = cv2.VideoWriter(str(tmp_path / 'v.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5, size)
    for number in range(3):
        video.write(np.full((64, 96, 3), 60 * number, np.uint8))
    video.release()
    path = exported(boxes_alone=True)
    done = run(path, tmp_path / 'v.avi', '--out', tmp_path / 'out', '--json', tmp_path / 'f.json')
    assert done.stdout.count('objects') == 3
    assert len(json.loads((tmp_path / 'f.json').read_text())) == 3
    written = cv2.VideoCapture(str(tmp_path / 'out/v.mp4'))
    assert written.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    written.release()


def test_it_shows_the_metadata(exported):
    meta = json.loads(run(exported(), '--info').stdout)
    assert meta == Runtime(exported(), 'cpu').meta


def test_errors_take_one_line(exported, tmp_path):
    (tmp_path / 'cut.onnx').write_bytes(exported().read_bytes()[:1000])
    (tmp_path / 'text.jpg').write_text('no image')
    cases = [
        ((tmp_path / 'none.onnx', 'x.jpg'), 1),
        ((tmp_path / 'cut.onnx', 'x.jpg'), 1),
        ((exported(), tmp_path / 'none'), 1),
    ]
    for arguments, code in cases:
        done = run(*arguments, code=code)
        assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
    done = run(exported(), tmp_path / 'text.jpg', '--out', tmp_path / 'out')
    assert 'left out' in done.stderr
