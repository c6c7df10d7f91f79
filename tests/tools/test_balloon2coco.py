"""The command line of the VIA converter, as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.shared_data import REPO, shared_path


def run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(REPO / 'tools/dataset_converters/balloon2coco.py'), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(REPO)},
    )


@pytest.fixture
def balloon(tmp_path: Path) -> Path:
    """A working directory with a one-image ``data/balloon/{train,val}``."""
    shape = dict(name='polygon', all_points_x=[2, 12, 2], all_points_y=[3, 3, 23])
    for split in ('train', 'val'):
        folder = tmp_path / 'data/balloon' / split
        folder.mkdir(parents=True)
        Image.new('RGB', (60, 40)).save(folder / 'a.jpg')
        regions = {'0': dict(shape_attributes=shape, region_attributes={})}
        content = {'a.jpg1': dict(filename='a.jpg', size=1, regions=regions)}
        (folder / 'via_region_data.json').write_text(json.dumps(content))
    return tmp_path


def test_without_arguments_and_again(balloon):
    done = run(balloon)
    assert done.returncode == 0, done.stderr
    assert 'data/balloon/train.json: 1 images, 1 objects' in done.stdout
    for split in ('train', 'val'):
        assert (
            len(json.loads((balloon / f'data/balloon/{split}.json').read_text())['annotations'])
            == 1
        )
    again = run(balloon)
    assert again.returncode == 1
    assert (
        again.stderr.startswith('error: ')
        and again.stderr.count('\n') == 1
        and '--overwrite' in again.stderr
    )


def test_missing_input_is_one_line(tmp_path):
    done = run(tmp_path)
    assert (done.returncode, done.stderr.count('\n')) == (1, 1)
    assert 'data/balloon/train/via_region_data.json' in done.stderr


def test_unknown_option_is_a_usage_error(tmp_path):
    assert run(tmp_path, '--area', 'volume').returncode == 2


def test_the_balloon_set(tmp_path):
    done = run(
        tmp_path,
        '--data-root',
        str(shared_path('data/balloon')),
        '--out-dir',
        str(tmp_path / 'out'),
    )
    assert done.returncode == 0, done.stderr
    assert 'train.json: 61 images, 255 objects' in done.stdout
    assert 'val.json: 13 images, 50 objects' in done.stdout
