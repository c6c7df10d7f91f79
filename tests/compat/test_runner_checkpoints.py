"""What mmengine's runner saves beside weights loads again; what could run code does not."""

import os

import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from mmyolo_lite.compat.checkpoints import load_from_local
from mmyolo_lite.errors import CheckpointError


class Reduced:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def test_log_history_loads_with_its_methods(tmp_path):
    history = HistoryBuffer([1.0, 3.0], [1, 1])
    torch.save(
        {'log': history, 'value': np.float64(2.5), 'method': HistoryBuffer.mean}, tmp_path / 'a.pth'
    )
    loaded = load_from_local(str(tmp_path / 'a.pth'))
    assert loaded['log'].mean() == 2.0
    assert loaded['value'] == 2.5
    assert loaded['method'] is HistoryBuffer.mean


@pytest.mark.parametrize(
    'evil',
    [
        Reduced(os.system, 'true'),
        Reduced(getattr, HistoryBuffer, '__init__'),
        Reduced(getattr, HistoryBuffer, '__class__'),
        Reduced(getattr, np.ndarray, 'tofile'),
    ],
)
def test_anything_else_is_refused_in_one_line(evil, tmp_path):
    torch.save({'state_dict': {}, 'meta': evil}, tmp_path / 'evil.pth')
    with pytest.raises(CheckpointError, match='could run code') as caught:
        load_from_local(str(tmp_path / 'evil.pth'))
    assert '\x1b' not in str(caught.value)
