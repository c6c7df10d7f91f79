"""Tests of what a report reads, and what it says when it cannot."""

import json
import re

import pytest

from mmyolo_lite.apis.report import ReportOptions, read_run, write_report
from mmyolo_lite.errors import ConfigError, DataError
from tests.visualization.report.work_dirs import make_work_dir


def data_of(path) -> dict:
    text = path.read_text()
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


@pytest.fixture
def work_dir(tmp_path):
    return make_work_dir(tmp_path / 'run')


def test_a_run_is_read_from_its_work_dir(work_dir):
    run = read_run(work_dir)
    assert run.name == 'run' and len(run.rows) == 3 and run.seconds == 90 * 60
    assert run.environment.splitlines() == ['sys.platform: linux', 'PyTorch: 2.11.0']
    assert run.config.endswith('max_epochs = 3\n')


def test_the_page_holds_everything_in_one_file(work_dir):
    path, warnings = write_report([work_dir], ReportOptions())
    assert path == work_dir / 'report.html' and warnings == []
    text = path.read_text()
    assert not re.search(r'(?:src|href)="(?!#|data:)', text), 'nothing is fetched'
    data = data_of(path)
    (run,) = data['runs']
    assert (run['epochs'], run['best_epoch'], run['time']) == (3, 2, '1 h 30 min')
    assert run['best'] == {'coco/bbox_mAP': 0.4, 'coco/segm_mAP': 0.3}
    assert run['rows']['coco/segm_mAP'] == [None, 0.3, None], '-1 stands for nothing to score'
    first = data['gallery']['items'][0]
    assert (first['name'], first['w'], first['h']) == ('photo_0003.jpg', 320, 240)
    assert first['gt'][0]['b'] == [16.0, 32.0, 64.0, 80.0], 'in pixels of the thumbnail'
    assert first['gt'][0]['p'] == [[16.0, 32.0, 64.0, 32.0, 64.0, 80.0, 16.0, 80.0]]
    assert [found['m'] for found in first['pred'][0]] == [-1, -1, -1]


def test_the_worst_images_alone(work_dir):
    path, _ = write_report([work_dir], ReportOptions(max_images=1, title='a < b'))
    assert [one['name'] for one in data_of(path)['gallery']['items']] == ['photo_0003.jpg']
    assert '<title>a &lt; b</title>' in path.read_text()


def test_runs_of_one_name_are_told_apart(work_dir, tmp_path):
    other = make_work_dir(tmp_path / 'other/run')
    data = data_of(write_report([work_dir, other], ReportOptions())[0])
    assert data['runs'][1]['name'] == 'other/run'
    assert data['gallery']['runs'] == [run['name'] for run in data['runs']]


def test_missing_photos_are_counted_and_the_rest_is_shown(work_dir):
    (work_dir / 'photos/photo_0001.jpg').unlink()
    (work_dir / 'photos/photo_0002.jpg').write_text('no image')
    path, (warning,) = write_report([work_dir], ReportOptions())
    assert warning.startswith('2 of 6 photos cannot be read')
    assert len(data_of(path)['gallery']['items']) == 6


def test_a_run_without_results_has_its_curves(work_dir):
    (work_dir / 'val_results.json').unlink()
    data = data_of(write_report([work_dir], ReportOptions())[0])
    assert data['runs'][0]['results'] is None and data['gallery']['items'] == []
    assert data['runs'][0]['rows']['train/loss'] == [3.5, 2.5, 2.0]


@pytest.mark.parametrize('content', ['', '[]', '{"version": 1}', '{"images": []}', '{'])
def test_damaged_results_are_refused(work_dir, content):
    (work_dir / 'val_results.json').write_text(content)
    with pytest.raises(DataError, match='val_results'):
        write_report([work_dir], ReportOptions())
    assert not (work_dir / 'report.html').exists()


def test_other_folders_and_options_are_refused(tmp_path):
    with pytest.raises(DataError, match='is no folder'):
        write_report([tmp_path / 'nowhere'], ReportOptions())
    with pytest.raises(DataError, match='has neither results.csv nor'):
        write_report([tmp_path], ReportOptions())
    for number in (-1, 0):
        with pytest.raises(ConfigError, match='must be at least 1'):
            write_report([tmp_path], ReportOptions(max_images=number))


def change(work_dir, edit) -> None:
    path = work_dir / 'val_results.json'
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    'edit, place',
    [
        (lambda c: c['images'][1].update(width=0, height=0), r'images\[1\].height is 0'),
        (lambda c: c['images'][1].update(width='a'), r'images\[1\].width'),
        (lambda c: c['images'][0].update(path=5), r'images\[0\].path'),
        (lambda c: c['images'][0].update(gt=None), r'images\[0\].gt'),
        (lambda c: c['images'][0].update(pred=[{'label': 0}]), r'pred\[0\].bbox is missing'),
        (lambda c: c['images'][0]['pred'][0].update(match={'segm': 9}), 'match is 9'),
        (lambda c: c['images'][0]['gt'][0].update(label=2), 'label is 2; it must be below 2'),
        (lambda c: c['images'][0].update(errors=5), r'images\[0\].errors is 5'),
        (lambda c: c['images'][0]['errors']['segm'].update(fp=None), r'images\[0\].errors'),
        (lambda c: c['per_class']['segm'][0].update(ap=float('nan')), r'per_class.segm\[0\].ap'),
        (lambda c: c.update(curves={}), 'curves.bbox is missing'),
        (lambda c: c['confusion']['bbox'].update(matrix=[[1]]), 'no matrix of 3 by 3'),
        (lambda c: c.update(kinds=[[]]), 'kinds'),
    ],
)
def test_damage_is_refused_with_its_place(work_dir, edit, place):
    change(work_dir, edit)
    with pytest.raises(DataError, match=f'val_results.json: .*{place}'):
        write_report([work_dir], ReportOptions())
    assert not (work_dir / 'report.html').exists()


def test_damaged_outlines_are_left_out(work_dir):
    rings = (5, [[1e39] * 6], [[float('nan')] * 6], [[10**400] * 6], {'size': [9**9, 9**9]})

    def spoil(content):
        content['images'][3]['gt'] *= 2
        for one, ring in zip(content['images'][3]['gt'], rings, strict=False):
            one['segmentation'] = ring

    change(work_dir, spoil)
    data = data_of(write_report([work_dir], ReportOptions())[0])
    assert [one['p'] for one in data['gallery']['items'][0]['gt'][:5]] == [[]] * 5


def test_time_is_that_of_trainings(work_dir):
    for number, text in (
        (1, 'Epoch(test) [1/1]\n2026/11/02 20:00:00 - the end'),
        (2, 'Epoch(train) [1][1/1]\n2026/99/99 20:00:00 - no such day'),
    ):
        log = work_dir / f'20261102_10000{number}/a.log'
        log.parent.mkdir()
        log.write_text(
            f'2026/11/02 10:00:00 - System environment:\n    x: {number}\n{"-" * 20}\n{text}'
        )
    run = read_run(work_dir)
    assert run.seconds == 90 * 60 and run.environment == 'x: 2'


def test_the_summary_is_of_the_epoch_of_the_results(work_dir):
    change(work_dir, lambda content: content.update(epoch=3, iter=30, scores={}))
    (run,) = data_of(write_report([work_dir], ReportOptions())[0])['runs']
    assert run['best_epoch'] == 3
    assert run['best'] == {'coco/bbox_mAP': 0.35, 'coco/segm_mAP': None}


def test_folders_are_named_apart_and_once(tmp_path):
    dirs = [make_work_dir(tmp_path / name / 'x/run', 1) for name in 'ab']
    again = tmp_path / 'a/x/../x/run'
    data = data_of(write_report([*dirs, again], ReportOptions())[0])
    assert [run['name'] for run in data['runs']] == ['a/x/run', 'b/x/run']


def test_runs_of_other_classes_and_photos_are_compared_by_name(work_dir, tmp_path):
    other = make_work_dir(tmp_path / 'other', 5)

    def edit(content):
        content['classes'] = ['kite', 'balloon']
        content['images'][4]['path'] = 'elsewhere.jpg'

    change(other, edit)
    path, (warning,) = write_report([work_dir, other], ReportOptions())
    assert warning.startswith('1 of 5 photos of other are not among those of run')
    shown = data_of(path)['gallery']
    assert shown['classes'][0] == 'balloon' and shown['classes'][2] == 'kite'
    items = {one['name']: one for one in shown['items']}
    assert items['photo_0004.jpg']['pred'][1] is None and items['photo_0004.jpg']['pred'][0]
    own, others = items['photo_0000.jpg']['pred']
    assert [one['l'] for one in own] == [0, 1, 0] and [one['m'] for one in own] == [0, 1, 2]
    assert [one['l'] for one in others] == [2, 0, 2]
    assert [one['m'] for one in others] == [-1, -1, -1], 'other truth: matched anew'
