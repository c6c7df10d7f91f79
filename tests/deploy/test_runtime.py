"""The class that runs exported files, and what it refuses."""

import json

import cv2
import numpy as np
import pytest

from mmyolo_lite.deploy import Runtime
from mmyolo_lite.deploy.metadata import KEY, summary
from mmyolo_lite.errors import CheckpointError, ConfigError, DependencyError

MODEL = 0.33


def test_an_array_and_its_file_give_the_same(toy, exported, tmp_path):
    runtime = Runtime(exported(), 'cpu', score_thr=MODEL)
    image = cv2.imread(str(sorted(toy.images.glob('*.jpg'))[0]))
    cv2.imwrite(str(tmp_path / 'image.png'), image)
    one, other = runtime(image), runtime(tmp_path / 'image.png')
    assert len(one) and one.masks.runs == other.masks.runs
    np.testing.assert_array_equal(one.boxes, other.boxes)
    np.testing.assert_array_equal(one.image, image)
    assert one.masks.shape == (len(one), *image.shape[:2])


def test_thresholds(toy, exported):
    runtime = Runtime(exported(), 'cpu', score_thr=None)
    assert runtime.score_thr == 0.001
    source = sorted(toy.images.glob('*.jpg'))[0]
    every, few = runtime(source), Runtime(exported(), 'cpu', score_thr=MODEL)(source)
    assert len(few) == (every.scores > MODEL).sum() < len(every)


def test_unreadable_images_are_left_out(toy, exported, tmp_path):
    (tmp_path / 'a.jpg').write_text('no image')
    good = sorted(toy.images.glob('*.jpg'))[0]
    errors = []
    runtime = Runtime(exported(batch=3, nms='none'), 'cpu')
    found = list(runtime.predict([str(tmp_path / 'a.jpg'), str(good)], errors.append))
    assert len(found) == len(errors) == 1 and found[0].path == str(good)


def test_the_file_explains_itself(exported):
    for format in ('onnx', 'torchscript', 'openvino'):
        text = summary(Runtime(exported(format=format), 'cpu').meta)
        for word in ('instance segmentation', 'balloon', 'num_dets', 'letterbox', '0.001'):
            assert word in text


def test_masks_that_a_file_lacks(exported):
    with pytest.raises(ConfigError, match='boxes alone'):
        Runtime(exported(boxes_alone=True), 'cpu', needs_masks=True)


def test_missing_and_misnamed_files(tmp_path):
    with pytest.raises(CheckpointError, match='not found'):
        Runtime(tmp_path / 'none.onnx')
    with pytest.raises(ConfigError, match=r'\.onnx'):
        Runtime(tmp_path / 'model.pth')


@pytest.mark.parametrize('format', ['onnx', 'torchscript', 'openvino'])
@pytest.mark.parametrize('left', [0, 100, 0.5])
def test_damaged_files(exported, tmp_path, format, left):
    source = exported(format=format)
    content = source.read_bytes()
    if format == 'openvino':
        (tmp_path / 'cut.bin').write_bytes(source.with_suffix('.bin').read_bytes())
    path = tmp_path / f'cut{source.suffix}'
    path.write_bytes(content[: int(left * len(content)) if left == 0.5 else left])
    with pytest.raises(CheckpointError) as caught:
        Runtime(path, 'cpu')
    assert '\n' not in str(caught.value) and 'cut' in str(caught.value)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, 'was not exported by mmyolo_lite'),
        ('{', 'damaged'),
        ('[]', 'damaged'),
        ('{"schema": 99, "version": "9"}', 'another version'),
    ],
)
def test_files_of_others(exported, tmp_path, text, message):
    onnx = pytest.importorskip('onnx')
    model = onnx.load(str(exported()))
    del model.metadata_props[:]
    if text is not None:
        onnx.helper.set_model_props(model, {KEY: text})
    onnx.save(model, str(tmp_path / 'other.onnx'))
    with pytest.raises(CheckpointError, match=message):
        Runtime(tmp_path / 'other.onnx', 'cpu')


def test_devices_and_arguments(exported):
    for device in ('tpu', 'cuda' if not _has_cuda() else 'tpu'):
        with pytest.raises(ConfigError, match='give cpu'):
            Runtime(exported(), device)
    with pytest.raises(ConfigError, match='score_thr'):
        Runtime(exported(), 'cpu', score_thr=2)
    with pytest.raises(ConfigError, match='batch_size'):
        Runtime(exported(), 'cpu', batch_size=0)


def _has_cuda():
    import onnxruntime

    return 'CUDAExecutionProvider' in onnxruntime.get_available_providers()


def test_a_missing_package_is_named(exported, monkeypatch):
    path = exported()
    monkeypatch.setitem(__import__('sys').modules, 'onnxruntime', None)
    with pytest.raises(DependencyError, match='pip install onnxruntime'):
        Runtime(path)


def test_metadata_are_json_of_plain_values(exported):
    meta = Runtime(exported(), 'cpu').meta
    assert json.loads(json.dumps(meta)) == meta
