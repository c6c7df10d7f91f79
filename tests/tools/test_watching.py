"""Curves in TensorBoard and Weights & Biases, read back; backends that fail in mid-run."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shared_data import REPO
from tests.tools import journey

DRAWN = 'default_hooks.pictures.enabled=True'
BLOCK, FULL, LAST = 32768, 1, 4  # of LevelDB's logs
OFFLINE = """
visualizer = dict(
    vis_backends=[dict(type='WandbVisBackend', init_kwargs=dict(mode='offline', project='tiny'))])
"""
KILLED_WITHIN_S = 120


@pytest.fixture
def offline(tmp_path: Path) -> Path:
    """Return a folder for a run of W&B, which is not asked for without its package."""
    pytest.importorskip('wandb', reason='pip install wandb')
    return tmp_path


def tensorboard_events(work_dir: Path) -> tuple[dict[str, list[int]], set[str]]:
    """Return the steps of each curve of all event files of a work dir, in order of writing, and the
    names of the images.
    """
    loader = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    steps: dict[str, list[int]] = defaultdict(list)
    images: set[str] = set()
    for path in sorted(work_dir.glob('*/vis_data')):
        events = loader.EventAccumulator(str(path))
        events.Reload()
        for tag in events.Tags()['scalars']:
            steps[tag] += [event.step for event in events.Scalars(tag)]
        images |= set(events.Tags()['images'])
    return steps, images


def wandb_records(path: Path) -> Iterator[bytes]:
    """Yield the records of an offline run, a log in LevelDB's format behind a header of 7 bytes."""
    content, position, parts = path.read_bytes(), 7, []
    while position + 7 <= len(content):
        left = BLOCK - position % BLOCK
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from('<IHB', content, position)
        parts.append(content[position + 7 : position + 7 + length])
        position += 7 + length
        if kind in (FULL, LAST):
            yield b''.join(parts)
            parts = []


def wandb_history(work_dir: Path) -> dict[str, list[dict]]:
    """Return the rows of each run of W&B, by its id."""
    from wandb.proto import wandb_internal_pb2

    runs: dict[str, list[dict]] = defaultdict(list)
    for path in sorted(work_dir.glob('*/vis_data/wandb/offline-run-*/*.wandb')):
        for content in wandb_records(path):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.WhichOneof('record_type') == 'history':
                row = {
                    item.key or '.'.join(item.nested_key): json.loads(item.value_json)
                    for item in record.history.item
                }
                runs[path.stem.removeprefix('run-')].append(row)
    return runs


def test_curves_go_on_after_a_resume_in_tensorboard(tools, data, tmp_path):
    pytest.importorskip('tensorboard')
    config = journey.write_config(tmp_path / 'tiny.py', data, epochs=1)
    vis = ('--vis', 'local', 'tensorboard', '--cfg-options', DRAWN)
    tools.run(tmp_path, 'tools/train.py', config, *vis).check()
    tools.run(
        tmp_path, 'tools/train.py', config, '--resume', *vis, 'train_cfg.max_epochs=2'
    ).check()
    work_dir = tmp_path / 'work_dirs/tiny'
    steps, images = tensorboard_events(work_dir)
    for tag in ('loss', 'loss_mask', 'loss_bbox', 'lr'):
        assert steps[tag] == [1, 2, 3, 4], tag
    assert steps['coco/bbox_mAP'] == steps['coco/segm_mAP'] == [1, 2]
    assert {'train_batch0', 'val_batch0'} <= images
    assert len(list(work_dir.glob('*/vis_data/scalars.json'))) == 2, 'the local backend'


def test_an_offline_run_of_wandb_is_read_back_and_continued(offline, tools, data):
    config = journey.write_config(offline / 'tiny.py', data, extra=OFFLINE, epochs=1)
    vis = ('--vis', 'wandb', '--cfg-options', DRAWN)
    tools.run(offline, 'tools/train.py', config, *vis).check()
    work_dir = offline / 'work_dirs/tiny'
    run_id = json.loads((work_dir / 'wandb_run.json').read_text())['id']
    tools.run(offline, 'tools/train.py', config, '--resume', *vis, 'train_cfg.max_epochs=2').check()
    runs = wandb_history(work_dir)
    assert list(runs) == [run_id], 'the resumed training belongs to the same run'
    rows = runs[run_id]
    listed = subprocess.run(
        [
            sys.executable,
            '-m',
            'wandb',
            'sync',
            '--dry-run',
            *work_dir.glob('*/vis_data/wandb/*-*-*'),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run_id in listed.stdout + listed.stderr, "W&B's own reader finds the run"
    assert [row['_step'] for row in rows if 'loss_mask' in row] == [1, 2, 3, 4]
    scored = [row for row in rows if 'coco/segm_mAP' in row]
    assert [row['_step'] for row in scored] == [2, 4], 'scores stand at the iterations of losses'
    assert {'lr', 'coco/bbox_mAP', 'train_batch0._type', 'val_batch0._type'} <= set().union(*rows)


def test_the_death_of_wandb_does_not_stop_training(offline, data):
    config = journey.write_config(offline / 'tiny.py', data, extra=OFFLINE, epochs=12)
    command = [sys.executable, str(REPO / 'tools/train.py'), str(config), '--vis', 'wandb']
    log = offline / 'log'
    with log.open('w') as stream:
        training = subprocess.Popen(
            command, cwd=offline, env=journey.environment(), stdout=stream, stderr=stream
        )
        try:
            _kill_service(training.pid, offline / 'work_dirs/tiny/epoch_1.pth')
            code = training.wait(timeout=KILLED_WITHIN_S)
        finally:
            training.kill()
    assert code == 0, log.read_text()[-3000:]
    text = log.read_text()
    assert text.count('WandbVisBackend failed and is switched off') == 1
    assert 'Traceback' not in text
    assert (offline / 'work_dirs/tiny/epoch_12.pth').is_file()


def _kill_service(parent: int, until: Path) -> None:
    """Kill W&B's service, a child of `parent`, once a file is there."""
    give_up = time.monotonic() + KILLED_WITHIN_S
    while not until.exists():
        assert time.monotonic() < give_up, f'{until} did not appear'
        time.sleep(0.05)
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            is_child = f'PPid:\t{parent}\n' in (folder / 'status').read_text()
            if is_child and 'wandb-core' in (folder / 'cmdline').read_text():
                os.kill(int(folder.name), signal.SIGKILL)
                return
        except OSError:
            continue
    raise AssertionError('the service of W&B was not found')


def test_a_missing_package_is_one_line_before_training(tools, data, tmp_path):
    config = journey.write_config(
        tmp_path / 'tiny.py',
        data,
        extra="visualizer = dict(vis_backends=[dict(type='NeptuneVisBackend')])\n",
    )
    done = tools.run(tmp_path, 'tools/train.py', config)
    assert done.code == 1
    assert done.err.count('\n') == 1 and 'pip install neptune' in done.err
    assert not list((tmp_path / 'work_dirs').glob('*/*.pth'))
