"""Files of strangers given as checkpoints: never executed, never a traceback, bounded memory."""

import os
import resource
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch import nn

from mmyolo_lite.apis.cli import one_line
from mmyolo_lite.apis.convert_weights import convert_file
from mmyolo_lite.compat.checkpoints import TRUST_VARIABLE
from mmyolo_lite.deploy.publish import publish
from mmyolo_lite.engine.config import load_config
from mmyolo_lite.engine.hooks.checkpoint_fit import CheckpointFitHook
from mmyolo_lite.engine.published import published_config
from mmyolo_lite.errors import UserError
from mmyolo_lite.registry import MODELS
from tests.compat import mutated_checkpoints as files
from tests.shared_data import REPO
from tests.tools import journey

CONFIG = REPO / 'configs/yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py'
CLASSES = ('balloon',)
MIB = 2**20


@pytest.fixture(scope='module')
def config() -> Config:
    thin = {f'model.{part}.widen_factor': 1 / 32 for part in ('backbone', 'neck')}
    thin |= {
        'model.bbox_head.head_module.widen_factor': 1 / 32,
        'model.bbox_head.head_module.num_classes': 1,
        'train_dataloader.dataset.metainfo.classes': CLASSES,
        'val_dataloader.dataset.metainfo.classes': CLASSES,
        'test_dataloader.dataset.metainfo.classes': CLASSES,
    }
    return load_config(CONFIG, thin)


@pytest.fixture(scope='module')
def model(config: Config) -> nn.Module:
    return MODELS.build(config.model)


@pytest.fixture(scope='module')
def good(model: nn.Module, config: Config) -> dict[str, Any]:
    """What a training saves."""
    meta = {'epoch': 1, 'iter': 5, 'cfg': config.pretty_text, 'dataset_meta': {'classes': CLASSES}}
    hub = {'log_scalars': {}, 'runtime_info': {}, 'resumed_keys': {}}
    weights = {name: value.half() for name, value in model.state_dict().items()}
    return {'meta': meta, 'state_dict': weights, 'message_hub': hub}


def as_runner(model: nn.Module, path: Path, **state: Any) -> None:
    """Load as a runner does for test, ``load_from`` or ``--resume``."""
    loaded = CheckpointLoader.load_checkpoint(str(path), map_location='cpu', logger='silent')
    dataset = SimpleNamespace(metainfo={'classes': CLASSES})
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    runner: Any = SimpleNamespace(
        _load_from=str(path), model=model, train_loop=loop, test_loop=loop, optim_wrapper=None
    )
    runner._resume = state['resume']
    CheckpointFitHook(strict=state['strict']).after_load_checkpoint(runner, loaded)
    _load_checkpoint_to_model(model, loaded, strict=False)


@pytest.fixture
def readers(model: nn.Module, tmp_path: Path) -> list[Callable[[Path], Any]]:
    return [
        lambda path: as_runner(model, path, strict=True, resume=False),
        lambda path: as_runner(model, path, strict=False, resume=False),
        lambda path: as_runner(model, path, strict=False, resume=True),
        convert_file,
        lambda path: publish(path, tmp_path / 'out' / 'a'),
        published_config,
    ]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith('PYTEST')}


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A path that whatever is executed makes something at."""
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)
    (tmp_path / 'work').mkdir()
    monkeypatch.chdir(tmp_path / 'work')
    path = tmp_path / 'canary'
    before = environment()
    yield path
    assert not path.exists() and not Path(f'{path}.npy').exists()
    assert environment() == before
    assert not list((tmp_path / 'work').iterdir())


def attempt(read: Callable[[Path], Any], path: Path) -> str | None:
    """Return the message of a refusal, None if the file loads."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            read(path)
    except UserError as error:
        message = one_line(error)
        assert message and '\n' not in message and len(message) < 2000, message
        assert path.name in message or 'config' in message, message
        return message
    return None


def test_a_good_one_loads(
    good: dict, readers: list, canary: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / 'good.pth').write_bytes(files.saved(good))
    messages = [attempt(read, tmp_path / 'good.pth') for read in readers]
    assert messages[:3] == [None] * 3 and messages[4] is None
    assert 'of this project already' in messages[3]
    assert 'without a config inside' in messages[5]


def chosen(kind: str, index: int, readers: list) -> Iterator[tuple[int, Callable]]:
    """Yield the readers for a file; damage by chance meets them in turn."""
    for place, read in enumerate(readers):
        if kind not in ('flipped', 'cut') or place % 3 == index % 3:
            yield place, read


@pytest.mark.parametrize('step', [pytest.param(1, marks=pytest.mark.slow), 10])
def test_500_mutated_checkpoints(
    step: int, good: dict, readers: list, canary: Path, tmp_path: Path
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded, refused, path = Counter[str](), Counter[str](), tmp_path / 'other.pth'
    for index, (kind, content) in enumerate(files.mutations(good, canary)):
        if index % step:
            continue
        path.write_bytes(content)
        for place, read in chosen(kind, index // step, readers):
            start = time.process_time()
            try:
                message = attempt(read, path)
            except BaseException as error:
                raise AssertionError(f'number {index}, {kind}, reader {place}') from error
            assert not canary.exists(), f'number {index}, {kind}, reader {place} ran'
            assert time.process_time() - start < 10, f'number {index}, {kind}, reader {place}'
            (loaded if message is None else refused)[kind] += 1
    assert index + 1 == files.COUNT
    assert loaded['random'] == loaded['malicious'] == 0 and refused['malicious'] == 900 // step
    assert loaded['flipped'], 'flipped bits of weights are weights'
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) * 1024 < 400 * MIB


@pytest.fixture(scope='module')
def tools() -> Iterator[journey.WarmTools]:
    warm = journey.WarmTools()
    yield warm
    warm.close()


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return journey.make_data(tmp_path_factory.mktemp('data'))


@pytest.mark.slow
def test_a_dozen_through_the_command_lines(
    good: dict, data: Path, tools: journey.WarmTools, canary: Path, tmp_path: Path
) -> None:
    config = journey.write_config(tmp_path / 'tiny.py', data, journey.DET)
    path, folder = tmp_path / 'other.pth', tmp_path / 'runs'
    folder.mkdir()
    commands: list[list[Any]] = [
        ['tools/test.py', config, path],
        ['tools/train.py', config, '--resume', path],
        ['tools/train.py', config, '--cfg-options', f'load_from={path}'],
        ['tools/model_converters/yolov5_to_mmyolo.py', path, tmp_path / 'out.pth'],
        ['tools/misc/publish_model.py', path, tmp_path / 'out'],
    ]
    by_kind: dict[str, list[bytes]] = {}
    for kind, content in files.mutations(good, canary):
        by_kind.setdefault(kind, []).append(content)
    whole = files.saved(good)
    dozen = [
        *by_kind['malicious'][::18],
        by_kind['random'][1],
        whole[:-100],
        whole[: len(whole) // 2],
    ]
    for number, content in enumerate(dozen):
        path.write_bytes(content)
        done = tools.run(folder, *commands[number % len(commands)])
        place = f'{number} with {commands[number % len(commands)]}'
        assert done.code == 1, f'{place}: {done.out}{done.err}'
        assert 'Traceback' not in done.out + done.err, f'{place}: {done.err}'
        errors = [line for line in done.err.splitlines() if line.startswith('error: ')]
        assert len(errors) == 1, f'{place}: {done.err}'
        assert not canary.exists(), place
        assert not list(tmp_path.glob('out*')), place
