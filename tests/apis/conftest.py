"""Models of the size of a toy, for predictions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from mmyolo_lite.apis.model import load_model
from tests.tools import journey
from tests.tools.journey import WarmTools

BATCH_SHAPES = """
val_dataloader['dataset']['batch_shapes_cfg'] = dict(
    type='BatchShapePolicy', batch_size=1, img_size=128, size_divisor=32, extra_pad_ratio=0.5)
"""


@dataclass(frozen=True)
class Toy:
    """A model whose weights are random, so that it finds objects everywhere."""

    config: Path
    checkpoint: Path
    images: Path


def make_toy(folder: Path, data: Path, base: str = journey.INS, extra: str = '') -> Toy:
    """Write config and checkpoint of a model that tests on `data`."""
    config = journey.write_config(
        folder / 'toy.py', data, base, extra + 'test_dataloader = val_dataloader\n'
    )
    torch.manual_seed(1)
    network = load_model(config, None, 'cpu').network
    torch.save({'state_dict': network.state_dict(), 'meta': {}}, folder / 'toy.pth')
    return Toy(config, folder / 'toy.pth', data / 'val')


@pytest.fixture(scope='session')
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of small pictures of different sizes; not to be changed."""
    return journey.make_data(tmp_path_factory.mktemp('toy_data'))


@pytest.fixture(scope='session')
def toy(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A model of boxes and masks, tested without batch shapes."""
    return make_toy(tmp_path_factory.mktemp('toy'), toy_data)


@pytest.fixture(scope='session')
def tools() -> Iterator[WarmTools]:
    """Command lines without the wait for imports."""
    warm = WarmTools()
    yield warm
    warm.close()
