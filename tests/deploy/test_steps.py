"""The NumPy steps do what the pipeline and the head do."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmyolo_lite.apis.model import load_model
from mmyolo_lite.deploy import ExportOptions
from mmyolo_lite.deploy.metadata import describe
from mmyolo_lite.deploy.steps import (
    Placement,
    candidates,
    letterbox,
    network_input,
    suppressed,
)
from mmyolo_lite.models.heads.results import measured_letterbox
from mmyolo_lite.ops.nms import batched_nms
from mmyolo_lite.ops.postprocess import filter_candidates
from tests.apis.conftest import BATCH_SHAPES

SIZES = [(96, 64), (64, 96), (128, 128), (301, 200), (130, 127), (5, 400), (37, 41), (500, 333)]


@pytest.fixture(scope='module')
def models(toy, tmp_path_factory):
    """The toy, tested at one size and with batch shapes."""
    shapes = tmp_path_factory.mktemp('shapes') / 'shapes.py'
    shapes.write_text(toy.config.read_text() + BATCH_SHAPES)
    return {
        'none': load_model(toy.config, toy.checkpoint, 'cpu'),
        'all': load_model(shapes, toy.checkpoint, 'cpu'),
    }


@pytest.mark.parametrize('dynamic', ['none', 'all'])
@pytest.mark.parametrize('size', SIZES)
def test_the_input_is_that_of_the_pipeline(models, dynamic, size):
    model = models[dynamic]
    meta = describe(model, ExportOptions(dynamic=dynamic))
    assert (meta['preprocess']['batch_shape'] is None) == (dynamic == 'none')
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    sample = model.prepare(image)
    wanted = model.network.data_preprocessor({key: [value] for key, value in sample.items()})
    boxed, placement = letterbox(image, meta['preprocess'])
    found = network_input([boxed], meta['preprocess'])
    np.testing.assert_allclose(found, wanted['inputs'].numpy(), atol=1e-7)
    box = measured_letterbox(wanted['data_samples'][0].metainfo)
    np.testing.assert_allclose(placement.scale_wh, box.scale_wh, rtol=1e-6)
    assert placement.pad_lt == box.pad_ltrb[:2]
    assert placement.input_hw == tuple(wanted['inputs'].shape[2:])


def test_an_image_far_from_square_keeps_a_pixel():
    preprocess = {
        'keep_ratio': [64, 64],
        'batch_shape': None,
        'letterbox': dict(size_hw=[64, 64], allow_scale_up=False, half_pad=False, fill=[1, 2, 3]),
    }
    boxed, placement = letterbox(np.full((2, 600, 3), 200, np.uint8), preprocess)
    assert boxed.shape == (64, 64, 3)
    assert placement.scale_wh == (64 / 600, 1 / 2)
    assert boxed[0, 0].tolist() == [1, 2, 3]
    assert (boxed[31] == 200).all()


def test_boxes_go_to_the_image_and_are_clipped():
    placement = Placement((50, 100), (128, 128), (1.28, 1.28), (0.0, 32.0))
    found = placement.boxes_of_image(np.float32([[12.8, 32, 64, 96], [-5, 0, 500, 128]]))
    np.testing.assert_allclose(found, [[10, 0, 50, 50], [0, 0, 100, 50]])


@pytest.mark.parametrize('agnostic', [False, True])
@pytest.mark.parametrize('seed', range(5))
def test_suppression_is_that_of_the_head(seed, agnostic):
    random = np.random.default_rng(seed)
    corners = random.uniform(-5, 60, (300, 2))
    boxes = np.concatenate([corners, corners + random.uniform(0, 30, (300, 2))], axis=1)
    boxes, labels = boxes.astype(np.float32), random.integers(0, 4, 300)
    scores = np.sort(random.random(300).astype(np.float32))[::-1].copy()
    thresholds = dict(iou=0.5, class_agnostic=agnostic, max_per_image=50, min_box_size=-1)
    wanted = batched_nms(*map(torch.from_numpy, (boxes, scores, labels)), 0.5, agnostic)[:50]
    assert suppressed(boxes, scores, labels, thresholds).tolist() == wanted.tolist()


def test_small_boxes_suppress_nothing():
    boxes = np.float32([[0, 0, 10, 1], [0, 0, 10, 1.2], [3, 3, 3, 9]])
    thresholds = dict(iou=0.5, class_agnostic=False, max_per_image=9, min_box_size=1)
    scores, labels = np.float32([0.9, 0.8, 0.7]), np.zeros(3, np.int64)
    assert suppressed(boxes, scores, labels, thresholds).tolist() == [1]
    none = np.zeros((0, 4), np.float32)
    assert len(suppressed(none, none[:, 0], labels[:0], thresholds)) == 0


@pytest.mark.parametrize('classes', [1, 3])
@pytest.mark.parametrize('multi_label', [False, True])
def test_candidates_are_those_of_the_head(classes, multi_label):
    scores = np.random.default_rng(0).integers(0, 9, (40, classes)).astype(np.float32) / 8
    values, labels, rows = filter_candidates(torch.from_numpy(scores), 0.4, 25, multi_label)
    found = candidates(scores, 0.4, dict(multi_label=multi_label, candidates=25))
    assert found[0].tolist() == rows.tolist()
    assert found[1].tolist() == labels.tolist()
    np.testing.assert_array_equal(scores[found], values.numpy())


def test_metadata_name_what_cannot_be_described(models, toy):
    from mmyolo_lite.errors import ConfigError

    config = Config.fromfile(str(toy.config))
    config.test_dataloader.dataset.pipeline.insert(1, dict(type='mmdet.RandomFlip', prob=0.0))
    model = load_model(config, toy.checkpoint, 'cpu')
    with pytest.raises(ConfigError, match='RandomFlip'):
        describe(model, ExportOptions())
