"""A confusion matrix from files of predictions, whatever they hold."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmyolo_lite.apis.confusion import check_output, confusion, describe, save_confusion
from mmyolo_lite.errors import ConfigError, DataError
from tests.evaluation import samples as given
from tests.evaluation.samples import FILE_CLASSES


@pytest.fixture
def config(tmp_path):
    """Of a test set with two classes."""
    dataset = dict(
        type='YOLOv5CocoDataset',
        ann_file=str(given.write_set(tmp_path)),
        data_prefix=dict(img=str(tmp_path)),
        metainfo=dict(classes=FILE_CLASSES),
        test_mode=True,
    )
    return Config(dict(test_dataloader=dict(dataset=dataset)))


@pytest.fixture
def samples(config):
    data = given.load(Path(config.test_dataloader.dataset.ann_file), FILE_CLASSES)
    perfect = [given.truth_as_prediction(data.get_data_info(i)) for i in range(len(data))]
    return given.as_tensors(perfect)


def dumped(samples, tmp_path):
    path = tmp_path / 'r.pkl'
    path.write_bytes(pickle.dumps(samples))
    return path


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
def test_perfect_predictions_are_on_the_diagonal(config, samples, tmp_path, kind):
    entry = confusion(config, dumped(samples, tmp_path), kind)
    matrix = np.array(entry['matrix'])
    assert matrix.sum() == np.trace(matrix) == 12
    assert (entry['rows'], entry['columns']) == ('predicted', 'true')
    assert describe(entry) == [
        '12 right, 0 taken for another class, 0 missed, 0 found where nothing is (score > 0.25, '
        'IoU > 0.45)'
    ]


def test_a_planted_mistake_is_told(config, samples, tmp_path):
    found = samples[0]['pred_instances']
    found['labels'][0] = 1 - found['labels'][0]
    predicted = FILE_CLASSES[found['labels'][0]]
    true = FILE_CLASSES[1 - found['labels'][0]]
    entry = confusion(config, dumped(samples, tmp_path))
    assert f'  {true} taken for {predicted}: 1' in describe(entry)
    row, column = (entry['labels'].index(name) for name in (predicted, true))
    assert entry['matrix'][row][column] == 1


def spoil_id(samples):
    samples[0]['img_id'] = 99


def spoil_label(samples):
    samples[0]['pred_instances']['labels'][0] = 7


def spoil_mask(samples):
    samples[0]['pred_instances']['masks'][0] = {'size': [9, 9], 'counts': b'~'}


def lose_masks(samples):
    for sample in samples:
        del sample['pred_instances']['masks']


def lose_scores(samples):
    del samples[0]['pred_instances']['scores']


def too_few_boxes(samples):
    samples[0]['pred_instances']['bboxes'] = samples[0]['pred_instances']['bboxes'][1:]


@pytest.mark.parametrize(
    'spoil, message',
    [
        (spoil_id, 'image with id 99, which is not in the test set'),
        (spoil_label, 'a label beyond the 2 classes'),
        (spoil_mask, 'a damaged mask'),
        (lose_masks, 'holds no masks'),
        (lose_scores, "KeyError: 'scores'"),
        (too_few_boxes, 'not as many boxes'),
    ],
)
def test_predictions_that_do_not_fit(config, samples, tmp_path, spoil, message):
    samples = copy.deepcopy(samples)
    spoil(samples)
    with pytest.raises(DataError, match=message):
        confusion(config, dumped(samples, tmp_path), 'segm')


IMAGE = {
    'id': 1,
    'path': None,
    'height': 8,
    'width': 8,
    'gt': [{'bbox': [0, 0, 4, 4], 'label': 0, 'crowd': 0}],
    'pred': [{'bbox': [0, 0, 4, 4], 'label': 1, 'score': 0.9}],
}


def results(tmp_path, **changes):
    path = tmp_path / 'results.json'
    content = {'version': 1, 'classes': ['a', 'b'], 'images': [{**IMAGE, **changes}]}
    path.write_text(json.dumps(content))
    return path


def test_a_file_of_results_has_all_that_is_needed(tmp_path):
    entry = confusion(Config({}), results(tmp_path))
    assert entry['matrix'] == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    crowd = [{'bbox': [0, 0, 8, 8], 'label': 1, 'crowd': 1}]
    assert confusion(Config({}), results(tmp_path, gt=crowd))['matrix'] == [[0] * 3] * 3


@pytest.mark.parametrize(
    'changes',
    [
        {'height': None},
        {'gt': 3},
        {'gt': [{**IMAGE['gt'][0], 'label': 2}]},
        {'gt': [{**IMAGE['gt'][0], 'bbox': ['a', 0, 1, 1]}]},
        {'pred': [{**IMAGE['pred'][0], 'label': 0.5}]},
        {'pred': [{**IMAGE['pred'][0], 'score': None, 'bbox': [1]}]},
        {'pred': {'a': 1}},
    ],
    ids=str,
)
def test_damaged_files_of_results_are_refused(tmp_path, changes):
    with pytest.raises(DataError, match='cannot be used'):
        confusion(Config({}), results(tmp_path, **changes))


def test_numbers_that_are_none(tmp_path):
    entry = confusion(
        Config({}), results(tmp_path, pred=[{**IMAGE['pred'][0], 'score': float('nan')}])
    )
    assert entry['matrix'][2] == [1, 0, 0]


def test_no_test_set(tmp_path, samples):
    with pytest.raises(ConfigError, match='no test_dataloader'):
        confusion(Config({}), dumped(samples, tmp_path))


def test_an_unknown_theme_writes_nothing(tmp_path):
    entry = confusion(Config({}), results(tmp_path))
    with pytest.raises(ConfigError, match='--color-theme'):
        save_confusion(entry, 'bbox', tmp_path / 'out', 'rainbowish')
    assert not (tmp_path / 'out').exists()


def test_output_is_checked_before_the_work(tmp_path, monkeypatch):
    (tmp_path / 'a_file').write_text('')
    with pytest.raises(DataError, match='a_file cannot take the output: it is a file'):
        check_output(tmp_path / 'a_file')
    with pytest.raises(ConfigError, match='--color-theme'):
        check_output(tmp_path, 'rainbowish')
    monkeypatch.setattr('matplotlib.pyplot.get_backend', lambda: 'agg')
    with pytest.raises(ConfigError, match='--show: no window'):
        check_output(tmp_path, show=True)
    check_output(tmp_path)
