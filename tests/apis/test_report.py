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
    with pytest.raises(ConfigError, match='must not be negative'):
        write_report([tmp_path], ReportOptions(max_images=-1))
