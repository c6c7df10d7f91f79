"""Loading checkpoints: what a runner writes loads, what could run code does not, damage is
named.
"""

import io
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
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
    assert loaded['message_hub']['log_scalars']['train/loss'].mean() == 1.0


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
