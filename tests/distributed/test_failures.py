"""When one process of a training fails, all end soon, and its message is seen."""

import os
import time
from pathlib import Path

import pytest

from tests.distributed.failing import MESSAGE
from tests.engine.test_distributed import launch
from tests.tools import journey

LIMIT_S = 60
WORKERS_GONE_S = 15  # they look every few seconds whether the process that they work for lives

EXTRA = """
custom_imports = dict(imports=['tests.distributed.failing'])
custom_hooks = [*_base_.custom_hooks, dict(type='mmengine.FailInSecondProcessHook', how={how!r})]
train_dataloader.update(num_workers=1, persistent_workers=True)
"""

pytestmark = pytest.mark.skipif(
    not Path('/proc/self/cmdline').exists(), reason='looks for processes there'
)


def processes_of(config: Path) -> list[int]:
    """Return the processes whose command line names a config; workers have that of their owner."""
    found = []
    for entry in Path('/proc').iterdir():
        try:
            named = str(config).encode() in (entry / 'cmdline').read_bytes()
        except OSError:
            continue
        if named and entry.name.isdigit() and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ('how', 'said'),
    [('error', f'error: {MESSAGE}'), ('kill', 'SIGKILL')],
)
@pytest.mark.slow
def test_a_failing_process_ends_the_others(how, said, data, tmp_path):
    config = journey.write_config(tmp_path / 'tiny.py', data, extra=EXTRA.format(how=how), epochs=9)
    begin = time.monotonic()
    done = launch(tmp_path, 'dist_train.sh', config, 2, '--cfg-options', 'train_cfg.val_interval=9')
    assert time.monotonic() - begin < LIMIT_S
    assert done.code != 0
    assert said in done.out + done.err
    end = time.monotonic() + WORKERS_GONE_S
    while processes_of(config) and time.monotonic() < end:
        time.sleep(0.2)
    assert processes_of(config) == []


def test_the_others_end_without_a_launcher(ranks, data, tmp_path):
    extra = EXTRA.format(how='defect')
    config = journey.write_config(tmp_path / 'tiny.py', data, extra=extra, epochs=5)
    first, second = ranks.run(2, tmp_path, 'tools/train.py', config)
    assert first.code == second.code == 1  # not killed
    assert MESSAGE in second.err and MESSAGE not in first.err
    assert first.err.splitlines()[-1].startswith('error: Another process of this run has ended')


def test_a_damaged_annotation_file_is_named(ranks, data, tmp_path):
    config = journey.write_config(tmp_path / 'tiny.py', data)
    broken = tmp_path / 'broken.json'
    broken.write_text((data / 'train.json').read_text()[:-40])
    option = f'train_dataloader.dataset.ann_file={broken}'
    for done in ranks.run(2, tmp_path, 'tools/train.py', config, '--cfg-options', option):
        assert done.code == 1
        assert str(broken) in done.err.splitlines()[-1]
