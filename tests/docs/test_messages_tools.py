"""Messages of tools, exports and checkpoints that no other test looks at."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from mmyolo_lite.apis import predict_video, schedule
from mmyolo_lite.apis.anchors import config_anchors
from mmyolo_lite.apis.confusion import check_output
from mmyolo_lite.apis.convert_weights_sources import read_source
from mmyolo_lite.apis.datasets import build_datasets
from mmyolo_lite.apis.logs import Log, plot_curve, time_lines
from mmyolo_lite.apis.look_inside import check_options
from mmyolo_lite.apis.media import fetch_image
from mmyolo_lite.apis.predictor import Predictor
from mmyolo_lite.apis.tiles import TileSettings
from mmyolo_lite.compat import mmcv_ext
from mmyolo_lite.compat.checkpoints import load_from_local
from mmyolo_lite.compat.cpu_amp import AmpOptimWrapper
from mmyolo_lite.compat.foreign_checkpoint import open_foreign
from mmyolo_lite.compat.foreign_objects import Name, called
from mmyolo_lite.deploy.evaluate import use_exported
from mmyolo_lite.deploy.export import _traceable
from mmyolo_lite.deploy.metadata import read_metadata
from mmyolo_lite.deploy.options import ExportOptions
from mmyolo_lite.deploy.runtime import Runtime
from mmyolo_lite.deploy.sessions import _only_cpu
from mmyolo_lite.engine.build_errors import config_errors
from mmyolo_lite.engine.config import TRAIN_PARTS, load_config
from mmyolo_lite.engine.doctor_config import only_set, sets_of_config
from mmyolo_lite.engine.optimizer import YOLOv5OptimizerConstructor
from mmyolo_lite.engine.published import KEY, published_config
from mmyolo_lite.evaluation.results_file import read_results
from mmyolo_lite.models.detectors.yolo_detector import _compile_options
from mmyolo_lite.registry import MODELS
from mmyolo_lite.visualization.cam import CamOptions
from tests.docs.raising import Case, raises, written
from tests.docs.world import running_server
from tests.engine.config_mistakes import INHERITS
from tests.shared_data import REPO

SAMPLE = REPO / 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py'


def head(**generator: Any) -> Config:
    return Config({'model': {'bbox_head': {'prior_generator': generator}}})


def saved(folder: Path, content: Any) -> str:
    torch.save(content, folder / 'a.pt')
    return str(folder / 'a.pt')


def fetched(folder: Path) -> None:
    written(folder / 'served/a.jpg', b'x' * 2000)
    with running_server(folder / 'served') as url:
        fetch_image(f'{url}/a.jpg', folder / 'a.jpg', max_bytes=1000)


def traced(_: Path) -> None:
    with _traceable(ExportOptions()):
        raise RuntimeError('no such operator')


def without_type(_: Path) -> None:
    with config_errors(Config({})):
        MODELS.build({'depth': 3})


def dataset(**fields: Any) -> Config:
    return Config({'train_dataloader': {'dataset': {'ann_file': 'a.json', **fields}}})


TOOLS: list[Case] = [
    ('anchors can be fitted for a', lambda f: config_anchors(head(type='Other'))),
    (
        'base_sizes has no anchors',
        lambda f: config_anchors(head(type='mmdet.YOLOAnchorGenerator', base_sizes=[[]])),
    ),
    ('no colour map of matplotlib', lambda f: check_output(f, 'Bluez')),
    ('The config has no train_dataloader.dataset', lambda f: build_datasets(Config({}))),
    ("run logs no 'los'; it logs", lambda f: plot_curve([Log('run')], ['los'], f / 'a.png')),
    ('no times of iterations', lambda f: time_lines(Log('run'))),
    ('--score-thr is 2; scores', lambda f: check_options(2.0, f, False)),
    ('too large to fetch', fetched),
    (
        'is a folder; name a file',
        lambda f: predict_video.VideoResults(written(f / 'out.mp4/a').parent).check('a.mp4'),
    ),
    ('score_thr is 2; scores are', lambda f: Predictor(SAMPLE, None, score_thr=2)),
    (
        'A schedule needs images and processes',
        lambda f: schedule.iterations_per_epoch(Config({}), 0, 1),
    ),
    (
        'The optimizer has no momentum',
        lambda f: schedule.schedule(
            load_config(
                SAMPLE,
                {'optim_wrapper.optimizer': {'_delete_': True, 'type': 'Adadelta', 'lr': 0.1}},
            ),
            10,
            'momentum',
        ),
    ),
    ('not in 0 to 1', lambda f: TileSettings(merge_thr=2)),
    ('is no way of merging', lambda f: TileSettings(merge_type='mean')),
    (
        'this program reads 1',
        lambda f: read_results(written(f / 'a.json', '{"images": [], "version": 9}')),
    ),
    ('refuses it', lambda f: _compile_options({'backend': 'no such backend'})),
]
EXPORTS: list[Case] = [
    ('--tta serves checkpoints', lambda f: use_exported(Config({}), 'a.onnx', True)),
    ('cannot be exported with --format onnx', traced),
    ('The metadata of a.onnx are damaged', lambda f: read_metadata('{', 'a.onnx')),
    ('another version of mmyolo_lite', lambda f: read_metadata('{"schema": 99}', 'a.onnx')),
    ("format is 'tflite'; choose", lambda f: ExportOptions(format='tflite')),
    ('--batch is 0; a batch', lambda f: ExportOptions(batch=0)),
    ('--opset is 1; PyTorch', lambda f: ExportOptions(opset=1)),
    ('--score-thr is 1; scores', lambda f: ExportOptions(score_thr=1.0)),
    (
        '--simplify works on ONNX graphs',
        lambda f: ExportOptions(format='torchscript', simplify=True),
    ),
    ('score_thr is 2; scores are from', lambda f: Runtime('a.onnx', score_thr=2)),
    ("The device 'cuda' is not served", lambda f: _only_cpu('cuda', 'OpenVINO')),
]
CHECKPOINTS: list[Case] = [
    ('its model holds no weights', lambda f: read_source(saved(f, Nothing()))),
    ('it is a list', lambda f: read_source(saved(f, [1, 2]))),
    ('is a folder; give a file', lambda f: open_foreign(f).__enter__()),
    (
        'is no checkpoint, but a TorchScript program',
        lambda f: load_from_local(script(f), 'cpu'),
    ),
    ('The config inside', lambda f: published_config(saved_config(f))),
]
ENGINE: list[Case] = [
    ('mixed precision on a CPU is bfloat16 only', lambda f: AmpOptimWrapper(dtype='float16')),
    ('Config: a component has no "type"', without_type),
    (
        '_delete_, but inherits nothing',
        lambda f: configured(f, 'custom_hooks = [dict(type="EMAHook", _delete_=True)]\n'),
    ),
    ('bytes; it is no config', lambda f: configured(f, '#' * 5_000_001)),
    ('is no text in UTF-8', lambda f: load_config(written(f / 'a.py', b'a = "\xff"\n'))),
    ('must be paths', lambda f: sets_of_config(dataset(data_prefix={'img': 3}))),
    ('is not on this machine', lambda f: sets_of_config(dataset(data_root='s3://bucket/'))),
    ('Choose one with --set', lambda f: only_set([], 'val')),
    (
        'optim_wrapper.paramwise_cfg needs base_total_batch_size',
        lambda f: YOLOv5OptimizerConstructor({'optimizer': {}}, {'norm_decay_mult': 0}),
    ),
    ('optim_wrapper needs an optimizer', lambda f: YOLOv5OptimizerConstructor({})),
]


class Nothing(torch.nn.Module):
    """A model without weights."""


def script(folder: Path) -> str:
    path = str(folder / 'a.pth')
    torch.jit.save(torch.jit.trace(torch.nn.Identity(), torch.zeros(1)), path)
    return path


def saved_config(folder: Path) -> str:
    content = {'state_dict': {}, 'meta': {KEY: {'config': '{'}}}
    torch.save(content, folder / 'a.pth')
    return str(folder / 'a.pth')


def configured(folder: Path, text: str) -> None:
    (folder / 'configs').symlink_to(REPO / 'configs')
    load_config(written(folder / 'a.py', INHERITS + text), None, TRAIN_PARTS)


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize(
    'case', [*TOOLS, *EXPORTS, *CHECKPOINTS, *ENGINE], ids=lambda case: case[0][:40]
)
def test_message(case: Case, tmp_path: Path) -> None:
    raises(case, tmp_path)


def test_message_of_sizes_of_class_activation_maps(tmp_path: Path) -> None:
    pytest.importorskip('pytorch_grad_cam', reason='pip install grad-cam')
    raises(('--batch-size and --max-shape must', lambda _: CamOptions(batch_size=0)), tmp_path)


def test_message_without_mmcv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    raises(('mmyolo_lite needs mmcv 2.1', lambda _: mmcv_ext.install()), tmp_path)


def test_message_of_a_call_in_a_pickle(tmp_path: Path) -> None:
    raises(('a call of os.system', lambda _: called(Name('os', 'system'), ())), tmp_path)


def test_message_of_a_camera_that_is_not_there(tmp_path: Path) -> None:
    if os.path.exists('/dev/video99'):
        pytest.skip('there is such a camera')
    raises(('camera 99 cannot be opened', lambda _: predict_video.Video('99')), tmp_path)


def test_results_are_read_with_their_version(tmp_path: Path) -> None:
    path = written(tmp_path / 'a.json', json.dumps({'images': [], 'version': 1}))
    assert read_results(path) == {'images': [], 'version': 1}
