"""Exported files of a model of the size of a toy, each made once."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mmyolo_lite.apis.model import load_model
from mmyolo_lite.deploy import ExportOptions, export_model
from mmyolo_lite.deploy.options import SUFFIXES
from tests.apis.conftest import Toy, make_toy, tools, toy_data
from tests.tools import journey

__all__ = ['detector', 'exported', 'tools', 'toy', 'toy_data']
SPREAD = 40.0

Exporter = Callable[..., Path]


def with_spread(toy: Toy) -> Toy:
    """Make the scores of random weights differ, as those of trained ones do."""
    checkpoint = torch.load(toy.checkpoint, weights_only=True)
    for name, value in checkpoint['state_dict'].items():
        if 'convs_pred' in name and name.endswith('weight'):
            value *= SPREAD
    torch.save(checkpoint, toy.checkpoint)
    return toy


@pytest.fixture(scope='session')
def toy(toy_data, tmp_path_factory):
    """A model of boxes and masks, tested without batch shapes."""
    return with_spread(make_toy(tmp_path_factory.mktemp('toy'), toy_data))


@pytest.fixture(scope='session')
def detector(toy_data, tmp_path_factory):
    """A model of boxes alone."""
    folder = tmp_path_factory.mktemp('toy_detector')
    return with_spread(make_toy(folder, toy_data, journey.DET))


@pytest.fixture(scope='session')
def exported(toy, detector, tmp_path_factory) -> Exporter:
    """Give the exported file of a model and of options, made at the first call."""
    folder, files = tmp_path_factory.mktemp('exported'), {}

    def get(boxes_alone=False, **given):
        key = (boxes_alone, *sorted(given.items()))
        if key not in files:
            source, options = (detector if boxes_alone else toy), ExportOptions(**given)
            if options.format != 'torchscript':
                pytest.importorskip('onnx', reason='pip install onnx')
            package = {'onnx': 'onnxruntime', 'openvino': 'openvino'}.get(options.format)
            if package:
                pytest.importorskip(package, reason=f'pip install {package}')
            model = load_model(source.config, source.checkpoint, 'cpu')
            path = folder / f'{len(files)}{SUFFIXES[options.format]}'
            files[key] = export_model(model, path, options, 'toy.pth').path
        return files[key]

    return get
