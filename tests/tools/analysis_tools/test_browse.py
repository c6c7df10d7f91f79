"""The command lines that draw data."""

import cv2
import pytest

from tests.tools import journey

TOOL = 'tools/analysis_tools/browse_dataset.py'
JSON_TOOL = 'tools/analysis_tools/browse_coco_json.py'


@pytest.fixture(scope='module')
def configs(data, tmp_path_factory):
    """Configs of both mask forms and of detection."""
    folder = tmp_path_factory.mktemp('configs')
    bases = dict(overlap=journey.INS, single=journey.NON_OVERLAP, boxes=journey.DET)
    return {
        name: journey.write_config(folder / f'{name}.py', data, base)
        for name, base in bases.items()
    }


def pictures(folder):
    return {path.name: cv2.imread(str(path)) for path in sorted(folder.iterdir())}


@pytest.mark.parametrize('mode', ['transformed', 'original', 'pipeline'])
@pytest.mark.parametrize('name', ['overlap', 'single', 'boxes'])
def test_every_mode_of_every_form(name, mode, tools, configs, tmp_path):
    done = tools.run(tmp_path, TOOL, configs[name], '-m', mode, '-n', '2', '--out-dir', 'out')
    assert '2 pictures in out' in done.check().out
    found = pictures(tmp_path / 'out')
    assert list(found) == ['000000_sample_train_0000.jpg', '000001_sample_train_0001.jpg']
    widths = {picture.shape[1] for picture in found.values()}
    if mode == 'transformed':
        assert min(widths) >= 128
    if mode == 'pipeline':
        assert min(widths) > 300, 'steps side by side'


@pytest.mark.parametrize('phase', ['val', 'test'])
def test_validation_draws_letterboxed_objects(phase, tools, configs, tmp_path):
    command = (TOOL, configs['overlap'], '-p', phase, '--indices', '3', '0', '--out-dir', 'out')
    tools.run(tmp_path, *command).check()
    found = pictures(tmp_path / 'out')
    assert [name[:6] for name in found] == ['000000', '000003']
    # red outlines on the image
    assert any(((p[..., 2] > 180) & (p[..., 0] < 90)).sum() > 20 for p in found.values())


def test_indices_count_through_all_joined_sets(tools, data, tmp_path):
    joined = """
both = [dict(data, type='YOLOv5CocoDataset', ann_file=f'{name}.json', pipeline=train_pipeline,
             data_prefix=dict(img=f'{name}/')) for name in ('train', 'val')]
train_dataloader = dict(
    **loader, batch_size=4, dataset=dict(_delete_=True, type='ConcatDataset', datasets=both))
"""
    config = journey.write_config(tmp_path / 'joined.py', data, journey.DET, joined)
    command = (TOOL, config, '-m', 'original', '--indices', '1', '9', '--out-dir', 'out')
    tools.run(tmp_path, *command).check()
    assert list(pictures(tmp_path / 'out')) == [
        '000001_sample_train_0001.jpg',
        '000009_sample_val_0001.jpg',
    ]
    done = tools.run(tmp_path, TOOL, config, '--indices', '13')
    assert done.code == 1 and 'the data set has 13, numbered from 0' in done.err


def test_the_seed_decides_and_keys_are_told(tools, configs, tmp_path):
    for out, seed in (('a', '1'), ('b', '1'), ('c', '2')):
        command = (TOOL, configs['overlap'], '-n', '2', '--out-dir', out, '--seed', seed)
        done = tools.run(tmp_path, *command, '--show-keys').check()
    a, b, c = (pictures(tmp_path / name) for name in 'abc')
    assert all((a[name] == b[name]).all() for name in a)
    assert any(a[name].shape != c[name].shape or (a[name] != c[name]).any() for name in a)
    assert 'Mosaic:' in done.out and 'img: ndarray (256, 256, 3) uint8' in done.out


def test_without_a_display_pictures_go_to_the_default_folder(tools, configs, tmp_path):
    done = tools.run(tmp_path, TOOL, configs['boxes'], '-n', '1', '--not-show').check()
    assert '1 pictures in output' in done.out and len(list((tmp_path / 'output').iterdir())) == 1


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--indices', '99'], 'no image with the index 99; the data set has 8'),
        (['-n', '0'], 'Nothing'),
        (['-n', '-1'], 'Nothing'),
    ],
)
def test_nothing_to_draw(arguments, words, tools, configs, tmp_path):
    done = tools.run(tmp_path, TOOL, configs['boxes'], *arguments, '--not-show')
    assert done.code == 1 and words in done.err and 'Traceback' not in done.err


def test_the_simple_form(tools, configs, tmp_path):
    tool = 'tools/analysis_tools/browse_dataset_simple.py'
    tools.run(tmp_path, tool, configs['boxes'], '--output-dir', 'o', '--not-show').check()
    assert len(list((tmp_path / 'o').iterdir())) == journey.NUM_TRAIN


# ---- a json alone


def test_json(tools, data, tmp_path):
    command = (JSON_TOOL, '--data-root', data, '--img-dir', 'val', '--ann-file', 'val.json')
    for extra in ([], ['--disp-all', '--shuffle', '--category-names', 'balloon', '-n', '2']):
        out = tmp_path / f'out{len(extra)}'
        tools.run(tmp_path, *command, *extra, '--out-dir', out, '--not-show').check()
    assert [len(pictures(tmp_path / name)) for name in ('out0', 'out6')] == [5, 2]


def test_json_with_an_unknown_class(tools, data, tmp_path):
    command = (JSON_TOOL, '--data-root', data, '--img-dir', 'val', '--ann-file', 'val.json')
    done = tools.run(tmp_path, *command, '--category-names', 'ballon')
    assert done.code == 1 and "did you mean 'balloon'?" in done.err


def test_json_with_a_negative_number(tools, data, tmp_path):
    command = (JSON_TOOL, '--data-root', data, '--img-dir', 'val', '--ann-file', 'val.json')
    done = tools.run(tmp_path, *command, '-n', '-2', '--not-show')
    assert done.code == 1 and 'error: Nothing was drawn' in done.err


def test_json_whose_images_are_elsewhere(tools, data, tmp_path):
    command = (JSON_TOOL, '--data-root', data, '--img-dir', 'nowhere', '--ann-file', 'val.json')
    done = tools.run(tmp_path, *command, '--not-show')
    assert done.code == 1 and 'Traceback' not in done.err
    assert 'warning' in done.err and 'error: Nothing was drawn' in done.err
