"""A training takes no more memory in its tenth epoch than in its second."""

from pathlib import Path

import pytest

from tests.tools import journey

EXTRA = """
custom_imports = dict(imports=['tests.tools.resident_memory'])
custom_hooks = [*_base_.custom_hooks, dict(type='mmengine.ResidentMemoryHook')]
default_hooks.update(checkpoint=dict(interval=20, save_best=None))
"""
MARGIN = 1.05


@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='memory is read from /proc')
def test_memory_stays_flat_over_epochs(tools, data, tmp_path):
    config = journey.write_config(tmp_path / 'tiny.py', data, extra=EXTRA, epochs=10)
    tools.run(tmp_path, 'tools/train.py', config).check()
    sizes = list(map(float, (tmp_path / 'memory.txt').read_text().split()))
    assert len(sizes) == 10
    assert max(sizes[2:]) < MARGIN * sizes[1], sizes
