"""Exported files find what the model finds, and say what they are."""

import json

import numpy as np
import pytest
from mmengine.config import Config

from mmyolo_lite.apis.model import load_model
from mmyolo_lite.apis.predictor import Predictor
from mmyolo_lite.deploy import ExportOptions, Runtime, export_model
from mmyolo_lite.deploy.metadata import KEY, describe
from mmyolo_lite.errors import ConfigError, DataError, DependencyError, UserError
from tests.deploy.comparing import assert_same
from tests.shared_data import REPO, shared_path
from tests.tools import journey

SCORE = 0.33


@pytest.fixture(scope='module')
def wanted(toy):
    return list(Predictor(toy.config, toy.checkpoint, 'cpu', score_thr=SCORE)(toy.images))


@pytest.fixture(scope='module')
def detector_of_coco():
    """Eighty classes that compete with each other."""
    config = Config.fromfile(str(REPO / 'configs' / journey.DET))
    config.model.test_cfg.nms.class_agnostic = True
    return load_model(config, None, 'cpu')


def check(path, toy, wanted, batch_size=1, **tolerances):
    runtime = Runtime(path, 'cpu', score_thr=SCORE, batch_size=batch_size, threads=1)
    found = list(runtime.predict(toy.images))
    assert len(found) == len(wanted) == 5
    for one, other in zip(found, wanted, strict=True):
        assert (one.name, one.shape) == (other.name, other.shape)
        assert_same(one, other, **tolerances)


@pytest.mark.parametrize('nms', ['graph', 'none'])
@pytest.mark.parametrize(('dynamic', 'batch'), [('none', 1), ('none', 3), ('batch', 1), ('all', 1)])
def test_onnx_finds_the_same(toy, exported, wanted, nms, dynamic, batch):
    path = exported(nms=nms, dynamic=dynamic, batch=batch)
    check(path, toy, wanted)
    if dynamic != 'none':
        check(path, toy, wanted, batch_size=3)


@pytest.mark.parametrize('nms', ['graph', 'none'])
@pytest.mark.parametrize('format', ['torchscript', 'openvino'])
def test_other_formats_find_the_same(toy, exported, wanted, format, nms):
    check(exported(format=format, nms=nms, dynamic='all'), toy, wanted, batch_size=2)


@pytest.mark.slow
@pytest.mark.parametrize('format', ['onnx', 'torchscript', 'openvino'])
def test_half_precision_finds_nearly_the_same(toy, exported, wanted, format):
    path = exported(format=format, half=True, nms='none')
    full = exported(format=format, nms='none')
    weights = [one.with_suffix('.bin') if format == 'openvino' else one for one in (path, full)]
    assert weights[0].stat().st_size < 0.8 * weights[1].stat().st_size
    runtime = Runtime(path, 'cpu', score_thr=SCORE)
    for source in wanted:
        found = runtime(source.path)
        best = min(len(found), len(source), 5)
        np.testing.assert_allclose(found.scores[:best], source.scores[:best], atol=0.01)


def test_a_simplified_file_finds_the_same(toy, exported, wanted):
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxslim', reason='pip install onnxslim')
    path = exported(simplify=True)
    check(path, toy, wanted)
    nodes = [len(onnx.load(str(one)).graph.node) for one in (path, exported())]
    assert nodes[0] < nodes[1]


def test_boxes_alone(detector, exported):
    wanted = list(
        Predictor(detector.config, detector.checkpoint, 'cpu', score_thr=SCORE)(detector.images)
    )
    for nms in ('graph', 'none'):
        runtime = Runtime(exported(boxes_alone=True, nms=nms), 'cpu', score_thr=SCORE)
        assert not runtime.has_masks
        for source in wanted:
            found = runtime(source.path)
            assert found.masks is None
            assert_same(found, source)


@pytest.mark.parametrize('nms', ['graph', 'none'])
@pytest.mark.parametrize('dynamic', ['none', 'all'])
def test_the_file_is_valid_and_names_its_outputs(exported, nms, dynamic):
    onnx = pytest.importorskip('onnx')
    model = onnx.load(str(exported(nms=nms, dynamic=dynamic)))
    onnx.checker.check_model(model, full_check=True)
    meta = json.loads({one.key: one.value for one in model.metadata_props}[KEY])
    assert meta['class_names'] == ['balloon']
    assert meta['thresholds']['score'] == 0.001 and meta['thresholds']['iou'] == 0.6
    assert [one.name for one in model.graph.output] == [one['name'] for one in meta['outputs']]
    shapes = {
        one.name: [axis.dim_value or axis.dim_param for axis in one.type.tensor_type.shape.dim]
        for one in [*model.graph.input, *model.graph.output]
    }
    if dynamic == 'none':
        assert shapes['images'] == [1, 3, 128, 128] == meta['input']['shape']
    else:
        assert shapes['images'] == ['batch', 3, 'height', 'width']
    if nms == 'graph':
        assert shapes['boxes'][1:] == ['detections', 4]
        assert shapes['masks'][1] == 'detections'
        assert shapes['score_threshold'] == [1]
    elif dynamic == 'none':
        assert shapes['boxes'] == [1, 1008, 4]
        assert shapes['prototypes'] == [1, 32, 32, 32]
    assert 'balloon' in model.doc_string


def test_the_threshold_in_the_graph_can_be_raised(exported):
    session = Runtime(exported(), 'cpu').session
    images = np.random.default_rng(0).random((1, 3, 128, 128), dtype=np.float32)
    every = session(images)
    middle = float(every['scores'][0, every['num_dets'][0] // 2])
    few = session(images, middle)
    assert 0 < few['num_dets'][0] < every['num_dets'][0]
    assert few['scores'].min() > middle
    assert few['masks'].shape[1] == few['num_dets'][0]


def test_another_input_size(toy, exported):
    path = exported(input_hw=(64, 160))
    runtime = Runtime(path, 'cpu', score_thr=SCORE)
    assert runtime.meta['preprocess']['letterbox']['size_hw'] == [64, 160]
    config = Config.fromfile(str(toy.config))
    for step in config.test_dataloader.dataset.pipeline[1:3]:
        step['scale'] = (160, 64)
    predictor = Predictor(config, toy.checkpoint, 'cpu', score_thr=SCORE)
    for source in predictor(toy.images):
        assert_same(runtime(source.path), source)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(format='tflite'), 'format'),
        (dict(batch=0), '--batch is 0'),
        (dict(opset=9), '--opset is 9'),
        (dict(score_thr=1.5), '--score-thr'),
        (dict(format='engine', dynamic='all'), 'fixed shape'),
        (dict(format='torchscript', simplify=True), '--simplify'),
    ],
)
def test_options_that_cannot_be(given, message):
    with pytest.raises(ConfigError, match=message):
        ExportOptions(**given)


def refused(toy, tmp_path, options=None, output='out.onnx', change=None, kind=UserError):
    config = Config.fromfile(str(toy.config))
    if change:
        config.merge_from_dict(change)
    model = load_model(config, toy.checkpoint, 'cpu')
    with pytest.raises(kind) as caught:
        export_model(model, tmp_path / output, options or ExportOptions())
    assert '\n' not in str(caught.value)
    assert not [path for path in tmp_path.rglob('*') if path.is_file() and path.name != 'file']
    return str(caught.value)


def test_sizes_that_do_not_fit_the_stride(toy, tmp_path):
    message = refused(toy, tmp_path, ExportOptions(input_hw=(100, 128)))
    assert '100 128' in message and '--input-shape 96 128' in message


def test_a_suffix_of_another_format(toy, tmp_path):
    assert '.onnx' in refused(toy, tmp_path, output='out.pt')


def test_output_below_a_file(toy, tmp_path):
    (tmp_path / 'file').write_text('')
    refused(toy, tmp_path, output='file/out.onnx', kind=DataError)


def test_suppression_over_all_classes_stays_outside_of_the_graph(detector_of_coco):
    with pytest.raises(ConfigError, match='--nms none'):
        describe(detector_of_coco, ExportOptions())
    meta = describe(detector_of_coco, ExportOptions(nms='none'))
    assert meta['thresholds']['class_agnostic'] is True


def test_tensorrt_is_named_where_it_is_missing(toy, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'tensorrt', None)
    message = refused(
        toy, tmp_path, ExportOptions(format='engine'), 'out.engine', kind=DependencyError
    )
    assert 'pip install tensorrt' in message


@pytest.mark.parametrize('package', ['onnx', 'onnxslim', 'openvino'])
def test_missing_packages_are_named(toy, tmp_path, monkeypatch, package):
    pytest.importorskip('onnx')
    monkeypatch.setitem(__import__('sys').modules, package, None)
    format = 'openvino' if package == 'openvino' else 'onnx'
    options = ExportOptions(format=format, simplify=package == 'onnxslim')
    message = refused(toy, tmp_path, options, f'out.{format}', kind=DependencyError)
    assert f'pip install {package}' in message


def test_an_operator_that_onnx_lacks(toy, tmp_path, monkeypatch):
    import torch

    from mmyolo_lite.deploy.graph import DecodedNetwork

    pytest.importorskip('onnx')
    maps = DecodedNetwork._maps

    def odd(self, images):
        found = maps(self, images)
        return [*found[:4], torch.special.bessel_j0(found[4])]

    monkeypatch.setattr(DecodedNetwork, '_maps', odd)
    message = refused(toy, tmp_path, kind=ConfigError)
    assert 'bessel' in message and 'opset 17' in message


@pytest.mark.slow
@pytest.mark.parametrize('nms', ['graph', 'none'])
@pytest.mark.parametrize('dynamic', ['none', 'all'])
def test_real_weights_find_the_same(tmp_path, dynamic, nms):
    pytest.importorskip('onnxruntime', reason='pip install onnxruntime')
    pytest.importorskip('onnx', reason='pip install onnx')
    checkpoint = shared_path('data/weights/yolov5n_seg_coco.pth')
    images = sorted(shared_path('data/coco_mini/val2017').glob('*.jpg'))[:3]
    name = 'yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance.py'
    config = Config.fromfile(str(REPO / 'configs/yolov5/ins_seg' / name))
    if dynamic == 'none':
        config.test_dataloader.dataset.batch_shapes_cfg = None
    path = export_model(
        load_model(config, checkpoint, 'cpu'),
        tmp_path / 'real.onnx',
        ExportOptions(nms=nms, dynamic=dynamic),
    ).path
    runtime = Runtime(path, 'cpu', score_thr=0.1)
    for wanted in Predictor(config, checkpoint, 'cpu', score_thr=0.1)(images):
        assert_same(runtime(wanted.path), wanted, pixels=0.5, scores=1e-3)
