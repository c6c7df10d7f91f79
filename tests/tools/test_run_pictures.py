"""What a training and a test leave in the work dir, and the tool that draws from it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from mmyolo_lite.engine.hooks.results_csv import read_rows
from tests.tools import journey
from tests.tools.test_errors import assert_one_line

HOOKS = "default_hooks['pictures'] = dict(enabled=True)\n"
KINDS = ('Box', 'Mask')
CURVES = {f'{kind}{curve}_curve.png' for kind in KINDS for curve in ('PR', 'F1', 'P', 'R')}
MATRICES = {
    f'{start}confusion_matrix{end}.png' for start in ('', 'mask_') for end in ('', '_normalized')
}
BATCH = {'batch0.jpg', 'batch0_labels.jpg', 'batch0_pred.jpg'}
TOOL = 'tools/analysis_tools/confusion_matrix.py'


@dataclass
class Pictured:
    """A training with pictures, and a test of it."""

    config: Path
    work_dir: Path
    test_dir: Path
    predictions: Path


@pytest.fixture(scope='module')
def pictured(tools, data, tmp_path_factory) -> Pictured:
    folder = tmp_path_factory.mktemp('pictured')
    config = journey.write_config(folder / 'tiny.py', data, extra=HOOKS)
    tools.run(folder, 'tools/train.py', config).check()
    work_dir = folder / 'work_dirs/tiny'
    done = tools.run(
        folder,
        'tools/test.py',
        config,
        work_dir / 'epoch_2.pth',
        '--out',
        'r.pkl',
        '--work-dir',
        'tested',
        '--cfg-options',
        'model.test_cfg.score_thr=0.001',
    ).check()
    assert 'could not be made' not in done.out + done.err
    (test_dir,) = (path for path in (folder / 'tested').iterdir() if path.is_dir())
    return Pictured(config, work_dir, test_dir, folder / 'r.pkl')


def assert_pictures(folder: Path, names: set[str]) -> None:
    left = {path.name for path in folder.iterdir()}
    assert names <= left, names - left
    for name in names:
        picture = cv2.imread(str(folder / name))
        assert picture is not None and picture.std() > 1, name
    assert not [name for name in left if name.startswith('.')]


def test_a_training_leaves_all_pictures(pictured):
    batches = {f'train_batch{number}.jpg' for number in range(3)}
    names = {f'val_{name}' for name in BATCH} | {'labels.jpg', 'results.png'} | batches
    assert_pictures(pictured.work_dir, names | CURVES | MATRICES)
    log = next(pictured.work_dir.glob('*/*.log')).read_text()
    assert 'could not be made' not in log


def test_the_results_are_of_the_best_validation(pictured):
    content = json.loads((pictured.work_dir / 'val_results.json').read_text())
    (best,) = pictured.work_dir.glob('best_*.pth')
    assert best.name == f'best_coco_bbox_mAP_epoch_{content["epoch"]}.pth'
    assert content['classes'] == ['balloon'] and content['kinds'] == ['bbox', 'segm']
    assert len(content['images']) == journey.NUM_VAL
    assert all(Path(image['path']).is_file() for image in content['images'])
    row = read_rows(pictured.work_dir / 'results.csv')[content['epoch'] - 1]
    for name, score in content['scores'].items():
        assert score == row[name] or (score is None and row[name] == -1)


def test_a_row_an_epoch(pictured):
    rows = read_rows(pictured.work_dir / 'results.csv')
    assert [(row['epoch'], row['iter']) for row in rows] == [(1, 2), (2, 4)]
    entries = journey.train_scalars(pictured.work_dir)
    for row in rows:
        logged = [entry['loss'] for entry in entries if entry['epoch'] == row['epoch']]
        parts = [row[f'train/loss_{name}'] for name in ('cls', 'obj', 'bbox', 'mask')]
        # each line of the log is the mean of all so far, over a window longer than the training
        assert row['train/loss'] == pytest.approx(sum(parts), rel=1e-4)
        if row['epoch'] == 1:
            assert row['train/loss'] == pytest.approx(logged[-1], rel=1e-4)
        assert row['coco/segm_mAP'] is not None and row['time'] > 0


def test_a_resumed_training_goes_on_with_both_files(pictured, tools, data, tmp_path):
    work_dir = tmp_path / 'work_dirs/longer'
    shutil.copytree(pictured.work_dir, work_dir)
    config = journey.write_config(tmp_path / 'longer.py', data, extra=HOOKS, epochs=3)
    checkpoint = work_dir / 'epoch_1.pth'
    before = read_rows(work_dir / 'results.csv')
    tools.run(tmp_path, 'tools/train.py', config, '--resume', checkpoint).check()
    rows = read_rows(work_dir / 'results.csv')
    assert [row['epoch'] for row in rows] == [1, 2, 3]
    assert rows[0] == before[0]
    content = json.loads((work_dir / 'val_results.json').read_text())
    scores = [row['coco/bbox_mAP'] for row in rows]
    assert content['scores']['coco/bbox_mAP'] == max(scores)


def test_a_test_leaves_pictures_beside_its_log(pictured):
    assert_pictures(pictured.test_dir, {f'test_{name}' for name in BATCH} | CURVES | MATRICES)
    content = json.loads((pictured.test_dir / 'test_results.json').read_text())
    assert len(content['images']) == journey.NUM_VAL


def test_detection_has_no_pictures_of_masks(tools, data, tmp_path):
    config = journey.write_config(tmp_path / 'boxes.py', data, journey.DET_LIST, HOOKS, epochs=1)
    tools.run(tmp_path, 'tools/train.py', config).check()
    work_dir = tmp_path / 'work_dirs/boxes'
    assert_pictures(work_dir, {'train_batch0.jpg', 'BoxPR_curve.png', 'confusion_matrix.png'})
    assert not list(work_dir.glob('[Mm]ask*'))


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_a_matrix_of_either_file_is_that_of_the_run(pictured, tools, tmp_path, kind):
    content = json.loads((pictured.test_dir / 'test_results.json').read_text())
    for predictions in (pictured.predictions, pictured.test_dir / 'test_results.json'):
        tools.run(tmp_path, TOOL, pictured.config, predictions, 'out', '--kind', kind).check()
        start = '' if kind == 'bbox' else 'mask_'
        written = json.loads((tmp_path / f'out/{start}confusion_matrix.json').read_text())
        assert written == content['confusion'][kind]
    assert_pictures(
        tmp_path / 'out', {f'{start}confusion_matrix{end}.png' for end in ('', '_normalized')}
    )


def test_thresholds_of_a_matrix(pictured, tools, tmp_path):
    arguments = (TOOL, pictured.config, pictured.predictions, 'out', '--color-theme', 'viridis')
    tools.run(tmp_path, *arguments, '--score-thr', '0', '--iou-thr', '0.9').check()
    low = json.loads((tmp_path / 'out/confusion_matrix.json').read_text())
    tools.run(tmp_path, *arguments, '--score-thr', '0.99').check()
    high = json.loads((tmp_path / 'out/confusion_matrix.json').read_text())
    assert sum(map(sum, low['matrix'])) > sum(map(sum, high['matrix']))
    assert (low['score_thr'], low['iou_thr'], high['score_thr']) == (0, 0.9, 0.99)


@pytest.mark.parametrize(
    'options, message',
    [
        (('missing.pkl', 'out'), 'missing.pkl: cannot be read'),
        (('text.pkl', 'out'), 'text.pkl cannot be used'),
        (('text.json', 'out'), 'text.json, line 1: not valid JSON'),
        (('list.pkl', 'out'), 'give the .pkl of tools/test.py'),
        (('results.json', 'out', '--score-thr', '0.01'), 'holds detections from 0.05 on'),
        (('results.json', 'out', '--iou-thr', '2'), '--iou-thr is 2.0'),
        (('results.json', 'out', '--color-theme', 'no'), "--color-theme is 'no'"),
        (('results.json', 'text.json'), 'text.json cannot take the output: it is a file'),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, tuple) else '',
)
def test_mistakes_end_in_one_line(pictured, tools, tmp_path, options, message):
    shutil.copy(pictured.test_dir / 'test_results.json', tmp_path / 'results.json')
    (tmp_path / 'text.pkl').write_text('hello')
    (tmp_path / 'list.pkl').write_bytes(b'\x80\x04]\x94K\x01a.')
    (tmp_path / 'text.json').write_text('hello')
    assert_one_line(tools.run(tmp_path, TOOL, pictured.config, *options), message)
