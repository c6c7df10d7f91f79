"""Loading checkpoints on any PyTorch, safe by default.

mmengine 0.10.7 calls ``torch.load`` without `weights_only`. From PyTorch 2.6 on that refuses every
checkpoint of a runner, because it holds mmengine's log history; before 2.6 it runs whatever code a
file carries. Here every load is restricted to tensors, plain containers and a short list of
harmless types, and files are checked to be whole. Can go when mmengine restricts its loading
itself.
"""

import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import torch

from mmyolo_lite.errors import CheckpointError

TRUST_VARIABLE = 'MMYOLO_LITE_TRUST_CHECKPOINT'
"""Environment variable that, set to 1, lets checkpoints run code while loading."""


def _allowed_types() -> list[Any]:
    """Harmless types that mmengine's runner saves: log history and NumPy numbers."""
    import numpy as np
    from mmengine.logging.history_buffer import HistoryBuffer

    dtypes = [type(np.dtype(code)) for code in '?bBhHiIlLqQefd']
    # `ndarray` is created empty and filled by these; none of them runs code
    core = np._core if hasattr(np, '_core') else np.core
    return [
        HistoryBuffer,
        np.ndarray,
        np.dtype,
        core.multiarray._reconstruct,
        core.multiarray.scalar,
        *dtypes,
        _statistics_method,
    ]


def _statistics_method(owner: Any, name: str) -> Any:
    """Stand in for ``getattr``, which pickled log histories name their methods through."""
    from mmengine.logging.history_buffer import HistoryBuffer

    if owner is not HistoryBuffer or name not in ('mean', 'max', 'min', 'current'):
        raise pickle.UnpicklingError(f'getattr({owner!r}, {name!r}) is not allowed.')
    return getattr(owner, name)


# the name that the restricted unpickler looks up
_statistics_method.__module__, _statistics_method.__qualname__ = 'builtins', 'getattr'


def _read(path: str, map_location: Any) -> Any:
    trusted = os.environ.get(TRUST_VARIABLE) == '1'
    if trusted:
        return torch.load(path, map_location=map_location, weights_only=False)
    with torch.serialization.safe_globals(_allowed_types()):
        return torch.load(path, map_location=map_location, weights_only=True)


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
        raise CheckpointError(f'Checkpoint not found: {filename}. {_hint(path)}')
    try:
        return _read(path, map_location)
    except pickle.UnpicklingError as error:
        refused = re.search(r'global: GLOBAL (\S+)', str(error))
        if not refused and not zipfile.is_zipfile(path):
            raise CheckpointError(
                f'Checkpoint {filename} is damaged or no checkpoint at all '
                f'({os.path.getsize(path)} bytes). Copy or download it again.'
            ) from error
        raise CheckpointError(
            f'Checkpoint {filename} holds Python objects beyond tensors and plain containers '
            f'({refused[1] if refused else _first_line(error)}), and loading them could run code. '
            f'If you trust its source, set {TRUST_VARIABLE}=1.'
        ) from error
    except (
        Exception
    ) as error:  # damaged bytes fail in many ways: IndexError, KeyError, EOFError, RuntimeError ...
        raise CheckpointError(
            f'Checkpoint {filename} is damaged ({os.path.getsize(path)} bytes; '
            f'{_first_line(error)}). Copy or download it again, or take an earlier one.'
        ) from error


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


def _first_line(error: Exception) -> str:
    """Return the line of a message that says most, without the colours that PyTorch prints."""
    lines = str(error).strip().splitlines()
    chosen = next(
        (line for line in lines if 'Unsupported' in line),
        lines[0] if lines else type(error).__name__,
    )
    return re.sub(r'\x1b\[\d+m', '', chosen).strip()[:200]


def _hint(path: str) -> str:
    folder = Path(path).parent
    if not folder.is_dir():
        return f'The folder {folder} does not exist.'
    found = sorted(p.name for p in folder.glob('*.pth'))
    return (
        f'Found there: {", ".join(found[-5:])}.' if found else f'There is no .pth file in {folder}.'
    )


def install() -> None:
    """Make mmengine load local files and URLs through this module."""
    from mmengine.runner import CheckpointLoader

    CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
    CheckpointLoader.register_scheme(
        prefixes=('http://', 'https://'), loader=load_from_http, force=True
    )
