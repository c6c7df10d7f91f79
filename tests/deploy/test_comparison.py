"""Written files are compared with PyTorch: differences are refused, chance is not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmyolo_lite.apis.model import load_model
from mmyolo_lite.deploy import ExportOptions, export, export_model
from mmyolo_lite.errors import ConfigError
from tests.apis.conftest import make_toy

# two images of three candidates with two classes
BOXES = np.array([[[0, 0, 8, 8], [0, 0, 9, 8], [20, 20, 30, 30]]] * 2, np.float32)
SCORES = np.array([[[0.500, 0.1], [0.501, 0.1], [0.2, 0.3]]] * 2, np.float32)


def detections(*rows_of_images):
    """Return outputs of a file: rows of candidate and label, two an image at most."""
    found = {
        'boxes': np.zeros((2, 2, 4), np.float32),
        'scores': np.zeros((2, 2), np.float32),
        'labels': np.full((2, 2), -1),
        'num_dets': np.array([len(rows) for rows in rows_of_images]),
    }
    for image, rows in enumerate(rows_of_images):
        for place, (candidate, label) in enumerate(rows):
            found['boxes'][image, place] = BOXES[image, candidate]
            found['scores'][image, place] = SCORES[image, candidate, label]
            found['labels'][image, place] = label
    return found


def test_which_of_two_alike_is_kept_is_no_difference():
    for kept in (0, 1):
        found = detections([(kept, 0), (2, 1)], [(kept, 0)])
        differences = export._from_candidates(found, BOXES, SCORES)
        assert differences == {'boxes': 0.0, 'scores': 0.0}


def test_a_box_or_a_score_that_is_not_there_is_one():
    found = detections([(0, 0), (2, 1)], [(2, 1)])
    found['boxes'][1, 0, 3] += 2.5
    found['scores'][0, 0] += 0.25
    differences = export._from_candidates(found, BOXES, SCORES)
    assert differences == {'boxes': pytest.approx(2.5), 'scores': pytest.approx(0.25, abs=0.002)}


@pytest.mark.parametrize('label', [-1, 2])
def test_a_label_of_no_class_is_far_off(label):
    found = detections([(0, 0)], [(2, 1)])
    found['labels'][0, 0] = label
    assert export._from_candidates(found, BOXES, SCORES)['scores'] == float('inf')


@pytest.mark.parametrize('name', ['boxes', 'scores'])
def test_what_is_no_number_stays_none(name):
    found = detections([(0, 0), (2, 1)], [(2, 1)])
    found[name][0, 0] = np.nan
    assert np.isnan(export._from_candidates(found, BOXES, SCORES)[name])


@pytest.mark.parametrize(
    ('found', 'wanted', 'is_other'),
    [
        *((297, 300, False), (269, 300, True), (331, 300, True)),
        *((2, 3, False), (0, 1, True), (1, 0, True), (0, 0, False)),
    ],
)
def test_the_number_of_detections(found, wanted, is_other):
    assert export._is_another_number(found, wanted) is is_other


@pytest.mark.parametrize(
    ('found', 'words'),
    [
        (np.zeros((1, 3), np.float32), 'scores inf'),
        (np.full((1, 4), np.nan, np.float32), 'scores nan'),
    ],
)
def test_decoded_outputs(found, words, tmp_path, monkeypatch):
    monkeypatch.setattr(export, 'open_session', lambda *_, **__: lambda _: {'scores': found})
    work = SimpleNamespace(
        example=torch.zeros(1),
        module=lambda _: (torch.zeros(1, 4),),
        options=SimpleNamespace(half=False),
    )
    for suffix in ('.xml', '.bin'):
        (tmp_path / f'a{suffix}').write_bytes(b'')
    with pytest.raises(ConfigError, match=words):
        export._comparison(work, tmp_path / 'a.xml')
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope='module')
def untrained(toy_data, tmp_path_factory):
    """A model whose scores are all alike."""
    return make_toy(tmp_path_factory.mktemp('untrained'), toy_data)


def written(toy, folder, monkeypatch, change):
    """Export with the outputs of the file changed before they are compared."""
    monkeypatch.setattr(export, 'open_session', lambda *_, **__: run)
    model = load_model(toy.config, toy.checkpoint, 'cpu')
    options = ExportOptions(format='torchscript')

    def run(images):
        names = [output['name'] for output in export.describe(model, options, '')['outputs']]
        module = torch.jit.load(str(folder / 'a.torchscript'))
        outputs = module(torch.from_numpy(images))
        return change(dict(zip(names, (value.numpy() for value in outputs), strict=True)))

    return export_model(model, folder / 'a.torchscript', options, 'toy.pth').check


def test_a_file_of_an_untrained_model_is_right(untrained, tmp_path, monkeypatch):
    words = written(untrained, tmp_path, monkeypatch, lambda found: found)
    assert words.startswith('compared with PyTorch on noise, largest differences: boxes ')
    assert (tmp_path / 'a.torchscript').exists()


def test_without_a_detection_nothing_is_said_of_differences(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(export, 'suppression', none_passes(export.suppression))
    words = written(toy, tmp_path, monkeypatch, lambda found: found)
    assert words == 'compared with PyTorch on noise: no detection in either'


def none_passes(suppression):
    """Return the settings with a threshold that no score passes."""
    return lambda meta: suppression(meta)._replace(score_thr=1.0)


@pytest.mark.parametrize(
    ('name', 'factor', 'words'),
    [('boxes', 1.1, r'boxes \d'), ('scores', 1.5, r'scores \d'), ('num_dets', 0, '0 detections')],
)
def test_a_file_that_differs_is_refused(name, factor, words, toy, tmp_path, monkeypatch):
    def change(found):
        return found | {name: (found[name] * factor).astype(found[name].dtype)}

    with pytest.raises(ConfigError, match=f'differs from PyTorch: .*{words}'):
        written(toy, tmp_path, monkeypatch, change)
    assert not list(tmp_path.iterdir())
