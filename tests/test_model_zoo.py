"""The metafiles and docs/model_zoo.md say what the configs are."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.registry import DefaultScope

from mmyolo_lite.apis.complexity import complexity
from mmyolo_lite.apis.model import load_model
from mmyolo_lite.engine.config import load_config, training_input_wh
from mmyolo_lite.registry import MODELS
from tests.shared_data import REPO

INDEX = yaml.safe_load((REPO / 'model-index.yml').read_text())['Import']
MODELS_LISTED = {
    model['Config']: (model, content['Collections'])
    for path in INDEX
    for content in [yaml.safe_load((REPO / path).read_text())]
    for model in content['Models']
}
CONFIGS = sorted(
    path.relative_to(REPO).as_posix() for path in (REPO / 'configs/yolov5').rglob('*.py')
)


def test_every_config_is_listed_once():
    assert sorted(MODELS_LISTED) == CONFIGS


@pytest.mark.parametrize('path', CONFIGS)
def test_what_a_metafile_says(path):
    model, collections = MODELS_LISTED[path]
    assert model['Name'] == Path(path).stem
    assert model['In Collection'] in [one['Name'] for one in collections]
    config = load_config(REPO / path)
    assert model['Metadata']['Epochs'] == config.train_cfg.max_epochs
    assert model['Metadata']['Input Size'] == training_input_wh(config)[0]
    with torch.device('meta'), DefaultScope.overwrite_default_scope(config.default_scope):
        network = MODELS.build(config.model)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert model['Metadata']['Parameters'] == parameters


@pytest.mark.parametrize('path', [path for path in CONFIGS if '_n-v61' in path])
def test_operations(path):
    config = load_config(REPO / path)
    width, height = training_input_wh(config)
    cost = complexity(load_model(config, None, 'cpu'), (height, width))
    assert MODELS_LISTED[path][0]['Metadata']['FLOPs'] == cost.macs


def test_the_page_has_the_numbers_of_the_metafiles():
    rows = re.findall(
        r'^\| \[\S+\]\(\.\./(\S+\.py)\) \| \w \| (\d+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$',
        (REPO / 'docs/model_zoo.md').read_text(),
        flags=re.MULTILINE,
    )
    found = {path: tuple(numbers) for path, *numbers in rows}
    expected = {
        path: (
            str(meta['Input Size']),
            str(meta['Epochs']),
            f'{meta["Parameters"] / 1e6:.2f}',
            f'{meta["FLOPs"] / 1e9:.2f}',
        )
        for path, (model, _) in MODELS_LISTED.items()
        for meta in [model['Metadata']]
    }
    assert found == expected
