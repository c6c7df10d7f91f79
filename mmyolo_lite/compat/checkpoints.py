"""Loading checkpoints on any PyTorch, safe by default.

mmengine 0.10.7 calls ``torch.load`` without `weights_only`. From PyTorch 2.6 on that refuses every
checkpoint of a runner, because it holds mmengine's log history; before 2.6 it runs whatever code a
file carries. Here loading is restricted to tensors, plain containers, NumPy numbers and the log
history, and damage is named. That holds for local files and http(s), for the names of models that
mmengine looks URLs up by (torchvision://, mmcls://, open-mmlab://), and for s3:// and petrel://.
pavi://, whose loader in mmengine restricts nothing, is refused unless
MMYOLO_LITE_TRUST_CHECKPOINT=1; a scheme that somebody else registers is that loader's own affair.
Can go when mmengine restricts its loading itself.
"""

import io
import json
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import HTTPError

import torch

from mmyolo_lite.compat.numpy_pickles import REFUSED, STAND_INS, unwrap
from mmyolo_lite.errors import CheckpointError, DependencyError

TRUST_VARIABLE = 'MMYOLO_LITE_TRUST_CHECKPOINT'
"""Environment variable that, set to 1, lets checkpoints run code while loading."""


# parts of what PyTorch says -> what the file is
_OTHER_ARCHIVES = {
    'TorchScript archives': 'a TorchScript program. Give the .pth that it was exported from',
    'legacy .tar format': 'a tar archive, as PyTorch before 0.4 wrote them. Save its weights anew',
}
_HEAD = 512  # bytes that tell a text
_TEXT = frozenset((*range(32, 127), *b'\t\r\n'))
_PICKLES_IN_TEXT = (b'(dp', b'(lp', b'(', b'ccollections\n', b'c__builtin__\n')
# A zip may unpack to so many times its size and so many bytes more. torch.save stores weights as
# they are; packed again by hand, they get a tenth smaller.
_MOST_TIMES, _MOST_BYTES = 10, 2**24


@contextmanager
def _allow_list() -> Iterator[None]:
    """Extend what a restricted load accepts by the stand-ins, within a ``with`` block."""
    if hasattr(torch.serialization, 'safe_globals'):
        with torch.serialization.safe_globals(STAND_INS):
            yield
        return
    before = list(torch.serialization.get_safe_globals())  # PyTorch 2.4 has no context for it
    torch.serialization.add_safe_globals(STAND_INS)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _trusted() -> bool:
    return os.environ.get(TRUST_VARIABLE) == '1'


def _read(source: str | BinaryIO, map_location: Any, name: str, size: int) -> Any:
    """Load from a path or a stream, restricted unless the user trusts everything.

    Args:
        source: path, or binary stream at its start.
        map_location: as :func:`torch.load`.
        name: what messages call it.
        size: of the file, in bytes.

    Raises:
        CheckpointError: damaged, or types outside the list.
    """
    _check_content(source, name, size)
    if _trusted():
        with _explained(source, name, size):
            return torch.load(source, map_location=map_location, weights_only=False)
    with warnings.catch_warnings(), _allow_list(), _explained(source, name, size):
        warnings.simplefilter('ignore')  # of what follows in the one message, or is refused below
        loaded = torch.load(source, map_location=map_location, weights_only=True)
    with _explained(source, name, size, only=pickle.UnpicklingError):
        return unwrap(loaded)


def _check_content(source: str | BinaryIO, name: str, size: int) -> None:
    """Check the first bytes of a file, and the sizes that a zip declares.

    Raises:
        CheckpointError: it is text, or a zip that is far larger unpacked than what it holds.
    """
    head = _head(source)
    kind = _kind_of_text(head)
    if kind is not None:
        raise CheckpointError(f'{name} is no checkpoint: it {kind}.')
    if not head.startswith(b'PK'):
        return
    try:
        with zipfile.ZipFile(source) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
    except Exception:  # damaged in one of many ways, which loading will name
        declared = 0
    finally:
        if not isinstance(source, str):
            source.seek(0)
    if declared > _MOST_TIMES * size + _MOST_BYTES:
        raise CheckpointError(
            f'Checkpoint {name} is refused: its {size} bytes unpack to {declared}, as those of no '
            'real checkpoint do.'
        )


def _head(source: str | BinaryIO) -> bytes:
    if isinstance(source, str):
        with open(source, 'rb') as stream:
            return stream.read(_HEAD)
    head = source.read(_HEAD)
    source.seek(0)
    return head


def _kind_of_text(head: bytes) -> str | None:
    """Return what a file that begins so is if it is no binary file, as the end of a sentence."""
    if not head:
        return 'is empty. Copy or download it again'
    if head.startswith(b'version https://git-lfs'):
        return 'is a pointer of Git LFS. Fetch the file with git lfs pull'
    if head.lstrip()[:1] == b'<':
        return 'is a web page. Download the file itself'
    is_text = all(byte in _TEXT for byte in head)
    if is_text and not head.startswith(_PICKLES_IN_TEXT):
        start = head.decode('ascii').split('\n')[0].strip()[:40]
        return f'is a text that begins {start!r}. Give a file that a training has written'
    return None


@contextmanager
def _explained(
    source: str | BinaryIO, name: str, size: int, only: type[Exception] = Exception
) -> Iterator[None]:
    """Turn the exceptions of loading into a ``CheckpointError`` of one line.

    Damaged bytes fail in many ways: IndexError, KeyError, EOFError, RuntimeError ...
    """
    try:
        yield
    except only as error:
        why = _reason(error)
        for hint, kind in _OTHER_ARCHIVES.items():
            if hint in str(error):
                raise CheckpointError(f'{name} is no checkpoint, but {kind}.') from error
        if isinstance(error, pickle.UnpicklingError):
            refused = REFUSED in why or 'GLOBAL' in why or _is_of_protocol_4(why)
            if refused or (zipfile.is_zipfile(source) and 'operand' not in why):
                raise CheckpointError(
                    f'Checkpoint {name} holds Python objects beyond tensors and plain containers '
                    f'({why}), and loading them could run code. {_advice(why)}'
                ) from error
            raise CheckpointError(
                f'Checkpoint {name} is damaged or no checkpoint at all ({size} bytes). '
                'Copy or download it again.'
            ) from error
        raise CheckpointError(
            f'Checkpoint {name} is damaged ({size} bytes; {why}). '
            'Copy or download it again, or take an earlier one.'
        ) from error


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint file.

    Args:
        filename: path of the file.
        map_location: as :func:`torch.load`.

    Raises:
        CheckpointError: the file is missing, damaged, or holds types outside the list.
    """
    path = os.path.expanduser(filename)
    if not os.path.isfile(path):
        raise CheckpointError(f'Checkpoint not found: {filename}. {checkpoints_beside(path)}')
    if path.lower().endswith('.safetensors'):
        return _read_safetensors(path, filename)
    return _read(path, map_location, filename, os.path.getsize(path))


def _read_safetensors(path: str, name: str) -> dict[str, Any]:
    """Load a file of safetensors in the form of a checkpoint; on the CPU.

    Raises:
        CheckpointError: damaged.
        DependencyError: the package is missing.
    """
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise DependencyError(
            f'{name} needs the package safetensors: pip install safetensors'
        ) from error
    with _explained(path, name, os.path.getsize(path)), safe_open(path, 'pt') as file:
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        meta = json.loads((file.metadata() or {}).get('meta', '{}'))
    return {'meta': meta, 'state_dict': weights}


def load_from_http(
    filename: str, map_location: Any = None, model_dir: str | None = None, progress: bool = True
) -> Any:
    """Download a checkpoint into PyTorch's cache, once, and load it as :func:`load_from_local`
    does.

    Args:
        filename: URL.
        map_location: as :func:`torch.load`.
        model_dir: folder of the cache; None is PyTorch's.
        progress: show a progress bar.

    Raises:
        CheckpointError: the download fails, or the file is no safe checkpoint.
    """
    folder = Path(model_dir or Path(torch.hub.get_dir()) / 'checkpoints')
    path = folder / filename.rsplit('/', 1)[-1].split('?', 1)[0]
    fresh = not path.exists()
    if fresh:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(filename, str(path), progress=progress)
        except OSError as error:
            if isinstance(error, HTTPError):
                error.close()
            raise CheckpointError(
                f'Could not download {filename} ({error}). Put the file at {path} by hand, or give '
                'a local path.'
            ) from error
    try:
        return load_from_local(str(path), map_location)
    except CheckpointError:
        if fresh:  # a cut download must not stay in the cache
            path.unlink(missing_ok=True)
        raise


def load_from_ceph(filename: str, map_location: Any = None, backend: str = 'petrel') -> Any:
    """Load from ``s3://`` or ``petrel://`` through mmengine's file backend, restricted as a local
    file is.

    Args:
        filename: URL.
        map_location: as :func:`torch.load`.
        backend: name of the file backend.

    Raises:
        CheckpointError: damaged, or types outside the list.
    """
    from mmengine.fileio import get_file_backend

    content = get_file_backend(filename, backend_args={'backend': backend}).get(filename)
    with io.BytesIO(content) as stream:
        return _read(stream, map_location, filename, len(content))


def load_from_openmmlab(filename: str, map_location: Any = None) -> Any:
    """Load ``open-mmlab://name`` from where mmengine's list of models says, restricted.

    Args:
        filename: URL.
        map_location: as :func:`torch.load`.

    Raises:
        CheckpointError: an unknown name, or as :func:`load_from_local`.
    """
    from mmengine.runner import checkpoint

    name = filename.split('://', 1)[1]
    models = checkpoint.get_external_models()
    name = checkpoint.get_deprecated_model_names().get(name, name)
    if name not in models:
        raise CheckpointError(f'{filename} is not in the list of models that mmengine knows.')
    if models[name].startswith(('http://', 'https://')):
        return load_from_http(models[name], map_location)
    return load_from_local(
        os.path.join(checkpoint._get_mmengine_home(), models[name]), map_location
    )


def _trusted_only(load: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a loader of mmengine that calls ``torch.load`` itself, without restriction."""

    @wraps(load)
    def guarded(filename: str, map_location: Any = None) -> Any:
        if not _trusted():
            raise CheckpointError(
                f'Checkpoint {filename} can only be loaded in a way that could run code of it. '
                f'Download it and give the local path, or, if you trust its source, set '
                f'{TRUST_VARIABLE}=1.'
            )
        return load(filename, map_location)

    return guarded


def _reason(error: Exception) -> str:
    """Return the part of a message that says most, in one line.

    That is the refusal of a stand-in or the name that PyTorch refuses, else the first line without
    the colours that PyTorch prints.
    """
    text = re.sub(r'\x1b\[\d+m', '', str(error)).strip()
    refusal = re.search(rf'(?:WeightsUnpickler error:\s*)?([^\n:]*{REFUSED})', text)
    if refusal:
        return refusal[1].strip()[:200]
    unsupported = re.search(r'global: (GLOBAL \S+)', text) or re.search(
        r'WeightsUnpickler error:\s*([^\n]+)', text
    )
    if unsupported:
        return unsupported[1].strip()[:200]
    if isinstance(error, KeyError):
        return repr(error)[:200]  # its text is the bare key
    if not text:
        return type(error).__name__
    first = text.splitlines()[0]
    return re.split(r'\.? +\(Could this| This is an internal', first)[0].strip()[:200]


def _is_of_protocol_4(why: str) -> bool:
    """Say whether a pickle was refused for an operation that ``torch.save`` writes only if asked
    for a newer protocol.
    """
    operation = re.search(r'Unsupported operand (\d+)', why)
    return operation is not None and 0x8C <= int(operation[1]) <= 0x97


def _advice(why: str) -> str:
    if 'GLOBAL models.' in why:
        return (
            'It looks like an official YOLOv5 checkpoint: convert it with '
            'tools/model_converters/yolov5_to_mmyolo.py, which runs nothing of it.'
        )
    return f'If you trust its source, set {TRUST_VARIABLE}=1.'


def checkpoints_beside(path: str) -> str:
    """Return a sentence about the checkpoints in the folder of a file that is missing."""
    folder = Path(path).parent
    if not folder.is_dir():
        return f'The folder {folder} does not exist.'
    found = sorted(p.name for p in folder.glob('*.pth'))
    return (
        f'Found there: {", ".join(found[-5:])}.' if found else f'There is no .pth file in {folder}.'
    )


def install() -> None:
    """Make mmengine load checkpoints through this module.

    ``pavi://``, whose loader calls ``torch.load`` by itself, is refused unless the user trusts it.
    """
    from mmengine.runner import CheckpointLoader, checkpoint

    for prefixes, loader in {
        ('',): load_from_local,
        ('http://', 'https://'): load_from_http,
        (r'(\S+\:)?s3://', r'(\S+\:)?petrel://'): load_from_ceph,
        ('pavi://',): _trusted_only(checkpoint.load_from_pavi),
        ('open-mmlab://', 'openmmlab://'): load_from_openmmlab,
    }.items():
        CheckpointLoader.register_scheme(prefixes=prefixes, loader=loader, force=True)
    # torchvision:// and mmcls:// look a URL up and call this name
    checkpoint.load_from_http = load_from_http
