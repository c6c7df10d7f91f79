"""The command line that describes a data set."""

import json

import pytest

from tests.tools import journey

TOOL = 'tools/analysis_tools/dataset_analysis.py'


@pytest.fixture
def config(data, tmp_path):
    return journey.write_config(tmp_path / 'tiny.py', data)


def test_report_json_and_figures(tools, config, tmp_path):
    done = tools.run(tmp_path, TOOL, config).check()
    assert 'train.json: 8 images (1 without objects)' in done.out
    (report,) = json.loads((tmp_path / 'dataset_analysis/analysis.json').read_text())
    assert report['images'] == 8 and report['per_class'][0]['name'] == 'balloon'
    assert len(list((tmp_path / 'dataset_analysis').glob('train_bbox_*.jpg'))) == 5


def test_validation_one_class_one_figure(tools, config, tmp_path):
    arguments = ('--val-dataset', '--class-name', 'balloon', '--func', 'show_bbox_area')
    done = tools.run(tmp_path, TOOL, config, *arguments, '--area-rule', '20', '--out-dir', 'o')
    assert 'val.json: 5 images' in done.check().out
    assert sorted(path.name for path in (tmp_path / 'o').iterdir()) == [
        'analysis.json',
        'balloon_bbox_area.jpg',
    ]
    tools.run(tmp_path, TOOL, config, '--no-figures', '--out-dir', 'bare').check()
    assert [path.name for path in (tmp_path / 'bare').iterdir()] == ['analysis.json']


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--class-name', 'kite'], "'kite' is no class of"),
        (['--area-rule', '1', '2', '3', '4'], 'up to 3 sides'),
        (['--area-rule', '-1'], 'above 0'),
    ],
)
def test_errors(arguments, words, tools, config, tmp_path):
    done = tools.run(tmp_path, TOOL, config, *arguments)
    assert done.code == 1 and 'Traceback' not in done.err
    assert words in done.err and not (tmp_path / 'dataset_analysis').exists()
