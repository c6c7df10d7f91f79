"""What tests of the command lines share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools import journey
from tests.tools.journey import Run, WarmTools


@pytest.fixture(scope='session')
def tools() -> Iterator[WarmTools]:
    """Command lines without the wait for imports."""
    warm = WarmTools()
    yield warm
    warm.close()


@pytest.fixture(scope='session')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set; not to be changed."""
    return journey.make_data(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='session')
def segmenter(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An instance-segmentation training of three epochs, from a fresh interpreter as a user starts
    it.
    """
    folder = tmp_path_factory.mktemp('segmenter')
    config = journey.write_config(folder / 'tiny.py', data, epochs=3)
    return Run(
        folder,
        config,
        folder / 'work_dirs/tiny',
        journey.run_cold(folder, 'tools/train.py', config).check(),
    )


BACKENDS = "[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]"
TENSORBOARD = f'visualizer = dict(vis_backends={BACKENDS})\n'
# the views of test-time augmentation, small
TTA = """
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(
        type='Compose',
        transforms=[
            dict(type='YOLOv5KeepRatioResize', scale=(side, side)),
            dict(type='LetterResize', scale=(side, side), allow_scale_up=False,
            pad_val=dict(img=114))
        ]) for side in (128, 160)
]
"""


@pytest.fixture(scope='session')
def detector(tools: WarmTools, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A detection training of one epoch, with TensorBoard."""
    folder = tmp_path_factory.mktemp('detector')
    config = journey.write_config(
        folder / 'boxes.py', data, journey.DET, TENSORBOARD + TTA, epochs=1
    )
    return Run(
        folder,
        config,
        folder / 'work_dirs/boxes',
        tools.run(folder, 'tools/train.py', config).check(),
    )
