"""Loading checkpoints: what a runner writes loads, what could run code does not, damage is
named.
"""

import io
import os
import pickle
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader

from mmyolo_lite.compat import checkpoints
from mmyolo_lite.errors import CheckpointError


def runner_checkpoint() -> dict:
    """Return what a runner saves: weights, an optimizer with NumPy numbers, the log history."""
    hub = MessageHub.get_instance('test_checkpoints')
    for step in range(3):
        hub.update_scalar('train/loss', float(step))
        hub.update_scalar('train/lr', np.float64(0.01))
    hub.update_info('iter', 3)
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([parameter], 0.1, momentum=0.9)
    optimizer.param_groups[0].update(
        lr=np.float64(0.1), initial_lr=np.float32(0.5), momentum=np.int64(1)
    )
    parameter.sum().backward()
    optimizer.step()
    return {
        'meta': {'epoch': 1, 'seed': np.int64(3), 'shape': np.arange(3)},
        'state_dict': {'w': torch.ones(2)},
        'message_hub': hub.state_dict(),
        'optimizer': optimizer.state_dict(),
        'param_schedulers': [],
    }


class Foreign:
    """Something that is neither a tensor nor a container."""

    def __init__(self) -> None:
        self.value = 3


class Exploit:
    """Makes a file on being loaded, if it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.fixture(autouse=True)
def untrusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(checkpoints.TRUST_VARIABLE, raising=False)


def load(path: Path | str) -> dict:
    """Load as the runner does, through mmengine."""
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu', logger=None)


def test_a_runners_checkpoint_loads(tmp_path: Path) -> None:
    torch.save(runner_checkpoint(), tmp_path / 'epoch_1.pth')
    loaded = load(tmp_path / 'epoch_1.pth')
    assert torch.equal(loaded['state_dict']['w'], torch.ones(2))
    assert loaded['optimizer']['param_groups'][0]['lr'] == 0.1
    assert loaded['meta']['shape'].tolist() == [0, 1, 2]
    log = loaded['message_hub']['log_scalars']['train/loss']
    assert type(log) is HistoryBuffer and type(log.data[0]) is np.ndarray
    assert log.mean() == 1.0 and log.data[1].tolist() == [1, 1, 1]
    torch.save(loaded, tmp_path / 'again.pth')  # no stand-in is left: those cannot be pickled
    assert load(tmp_path / 'again.pth')['meta']['seed'] == 3


def test_the_older_format_loads(tmp_path: Path) -> None:
    torch.save(
        {'state_dict': {'w': torch.ones(2)}},
        tmp_path / 'old.pth',
        _use_new_zipfile_serialization=False,
    )
    assert torch.equal(load(tmp_path / 'old.pth')['state_dict']['w'], torch.ones(2))


@pytest.mark.parametrize('new_format', [True, False])
def test_a_foreign_class_needs_trust(
    new_format: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'foreign.pth'
    torch.save(
        {'state_dict': {}, 'config': Foreign()}, path, _use_new_zipfile_serialization=new_format
    )
    with pytest.raises(
        CheckpointError, match=f'test_checkpoints.Foreign.*set {checkpoints.TRUST_VARIABLE}=1'
    ) as caught:
        load(path)
    assert '\n' not in str(caught.value)
    monkeypatch.setenv(checkpoints.TRUST_VARIABLE, '1')
    assert load(path)['config'].value == 3


@pytest.mark.parametrize('value', ['', '0', 'no'])
def test_only_1_means_trust(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(checkpoints.TRUST_VARIABLE, value)
    torch.save({'x': Exploit(tmp_path / 'made')}, tmp_path / 'evil.pth')
    with pytest.raises(CheckpointError):
        load(tmp_path / 'evil.pth')
    assert not (tmp_path / 'made').exists()


def saved() -> bytes:
    stream = io.BytesIO()
    torch.save(runner_checkpoint(), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    'content',
    [
        pytest.param(lambda: saved()[:-100], id='truncated'),
        pytest.param(lambda: saved()[:500], id='head'),
        pytest.param(lambda: b'', id='empty'),
        pytest.param(lambda: b'version https://git-lfs\nsize 3\n', id='text'),
        pytest.param(lambda: b'<!DOCTYPE html>\n<html></html>', id='page'),
        pytest.param(lambda: saved()[:300] + bytes(200) + saved()[500:], id='overwritten'),
        pytest.param(lambda: pickle.dumps([1, 2], protocol=2)[:-3], id='pickle'),
    ],
)
def test_damaged_files_give_one_line_that_names_them(
    content: Callable[[], bytes], tmp_path: Path
) -> None:
    path = tmp_path / 'broken.pth'
    path.write_bytes(content())
    with pytest.raises(CheckpointError, match='broken.pth') as caught:
        load(path)
    assert '\n' not in str(caught.value)


def test_a_missing_file_names_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match='not found.*no .pth file'):
        load(tmp_path / 'epoch_9.pth')
    (tmp_path / 'epoch_1.pth').touch()
    with pytest.raises(CheckpointError, match='Found there: epoch_1.pth'):
        load(tmp_path / 'epoch_9.pth')
    with pytest.raises(CheckpointError, match='folder .*nowhere does not exist'):
        load(tmp_path / 'nowhere' / 'epoch_9.pth')
    with pytest.raises(CheckpointError):
        load(tmp_path)  # a folder is no checkpoint


def test_loading_works_without_safe_globals_as_on_pytorch_2_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(runner_checkpoint(), tmp_path / 'a.pth')
    monkeypatch.delattr(torch.serialization, 'safe_globals', raising=False)
    mine: list = [Foreign]
    before = list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals(mine)
    try:
        assert load(tmp_path / 'a.pth')['meta']['shape'].tolist() == [0, 1, 2]
        assert set(torch.serialization.get_safe_globals()) == {*before, *mine}
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def test_an_error_of_this_code_is_not_called_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({}, tmp_path / 'a.pth')
    monkeypatch.delattr(torch.serialization, 'safe_globals', raising=False)
    monkeypatch.delattr(torch.serialization, 'get_safe_globals')
    with pytest.raises(AttributeError, match='get_safe_globals'):
        load(tmp_path / 'a.pth')


def test_a_key_error_of_a_damaged_file_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / 'a.pth', 'w') as archive:  # refers to memo 5, which is not set
        archive.writestr('archive/data.pkl', b'\x80\x02h\x05.')
        archive.writestr('archive/version', '3\n')
    with pytest.raises(CheckpointError, match=r'a.pth is damaged .*KeyError\(5\)'):
        load(tmp_path / 'a.pth')


# ---- over the network


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """Serve a folder; PyTorch's cache is empty."""
    folder = tmp_path / 'served'
    folder.mkdir()
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(('127.0.0.1', 0), partial(Quiet, directory=str(folder))) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        yield f'http://127.0.0.1:{http.server_port}', folder
        http.shutdown()
        thread.join()


def test_a_url_is_downloaded_once(server: tuple[str, Path]) -> None:
    url, folder = server
    torch.save(runner_checkpoint(), folder / 'model.pth')
    first = load(f'{url}/model.pth?download=1')
    (folder / 'model.pth').unlink()
    assert torch.equal(load(f'{url}/model.pth')['state_dict']['w'], first['state_dict']['w'])


def test_a_missing_url_is_explained(server: tuple[str, Path], tmp_path: Path) -> None:
    url, _ = server
    with pytest.raises(
        CheckpointError, match=f'Could not download {url}/model.pth .*404'
    ) as caught:
        load(f'{url}/model.pth')
    assert '\n' not in str(caught.value)
    assert not list((tmp_path / 'cache').rglob('model.pth*'))


def test_a_url_that_nobody_answers_is_explained(server: tuple[str, Path]) -> None:
    with pytest.raises(CheckpointError, match='Could not download'):
        load('http://127.0.0.1:9/model.pth')


def test_downloads_are_not_trusted_either(server: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = server
    torch.save({'x': Exploit(tmp_path / 'made')}, folder / 'evil.pth')
    with pytest.raises(CheckpointError, match=checkpoints.TRUST_VARIABLE):
        load(f'{url}/evil.pth')
    assert not (tmp_path / 'made').exists()


def test_a_damaged_download_is_not_kept(server: tuple[str, Path]) -> None:
    url, folder = server
    (folder / 'model.pth').write_bytes(saved()[:-100])
    with pytest.raises(CheckpointError, match='damaged'):
        load(f'{url}/model.pth')
    torch.save(runner_checkpoint(), folder / 'model.pth')
    assert 'state_dict' in load(f'{url}/model.pth')


# ---- other schemes


@pytest.mark.parametrize('prefix', ['s3://', 'petrel://', 'cluster:s3://'])
def test_object_stores_are_restricted(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {'good.pth': saved()}
    stream = io.BytesIO()
    torch.save({'x': Exploit(tmp_path / 'made')}, stream)
    files |= {'evil.pth': stream.getvalue(), 'cut.pth': saved()[:-100]}

    class Store:
        def get(self, path: str) -> bytes:
            return files[path.rsplit('/', 1)[1]]

    monkeypatch.setattr('mmengine.fileio.get_file_backend', lambda *_, **__: Store())
    assert 'state_dict' in load(f'{prefix}bucket/good.pth')
    with pytest.raises(CheckpointError, match=f'evil.pth .*{checkpoints.TRUST_VARIABLE}=1'):
        load(f'{prefix}bucket/evil.pth')
    with pytest.raises(CheckpointError, match='cut.pth is damaged'):
        load(f'{prefix}bucket/cut.pth')
    assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize(
    ('name', 'table'),
    [
        ('torchvision://net', 'get_torchvision_models'),
        ('mmcls://net', 'get_mmcls_models'),
        ('open-mmlab://net', 'get_external_models'),
        ('openmmlab://net', 'get_external_models'),
    ],
)
def test_names_of_models_are_restricted(
    name: str,
    table: str,
    server: tuple[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, folder = server
    torch.save({'x': Exploit(tmp_path / 'made')}, folder / 'evil.pth')
    monkeypatch.setattr(f'mmengine.runner.checkpoint.{table}', lambda: {'net': f'{url}/evil.pth'})
    with pytest.raises(CheckpointError, match=checkpoints.TRUST_VARIABLE):
        load(name)
    assert not (tmp_path / 'made').exists()


def test_local_files_of_open_mmlab_are_restricted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({'x': Exploit(tmp_path / 'made')}, tmp_path / 'evil.pth')
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    monkeypatch.setattr(
        'mmengine.runner.checkpoint.get_external_models', lambda: {'net': 'evil.pth'}
    )
    with pytest.raises(CheckpointError, match=checkpoints.TRUST_VARIABLE):
        load('open-mmlab://net')
    assert not (tmp_path / 'made').exists()
    with pytest.raises(CheckpointError, match='open-mmlab://other is not in the list'):
        load('open-mmlab://other')


def test_pavi_needs_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match=f'pavi://a .*{checkpoints.TRUST_VARIABLE}=1'):
        load('pavi://a')
    monkeypatch.setenv(checkpoints.TRUST_VARIABLE, '1')
    with pytest.raises(ImportError, match='pavi'):  # mmengine's loader is reached
        load('pavi://a')
