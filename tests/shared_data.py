"""Where tests find the fixtures and images that are not part of the repository.

They lie beside the checkout in ``../shared``, or where ``$MMYOLO_LITE_DATA`` points. Tests that
need them skip, saying so, when they are absent.
"""

import os
from pathlib import Path

import numpy as np
import pytest

REPO = Path(__file__).resolve().parents[1]
ROOT = Path(os.environ.get('MMYOLO_LITE_DATA', REPO.parent / 'shared'))


def shared_path(relative: str) -> Path:
    """Return the path of a shared file or folder, or skip the calling test."""
    path = ROOT / relative
    if not path.exists():
        pytest.skip(
            f'shared test data not found: {relative} (set MMYOLO_LITE_DATA to the folder that '
            'holds it)',
            allow_module_level=True,
        )
    return path


def golden(name: str) -> 'np.lib.npyio.NpzFile':
    """Return a loaded fixture archive of ``golden/``, or skip the calling test."""
    return np.load(shared_path(f'golden/{name}'), allow_pickle=False)
