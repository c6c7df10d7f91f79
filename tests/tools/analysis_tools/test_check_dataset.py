"""The command line of the dataset doctor, as a user runs it."""

import json
import os
import subprocess
import sys

import pytest

from tests.datasets.doctor.planted import FAULTS, PlantedSet
from tests.shared_data import REPO

CONFIG = """
def dataset(split):
    return dict(
        type='YOLOv5CocoDataset',
        data_root='{root}/' + split,
        ann_file='ann.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=('cat', 'dog')),
        pipeline=[dict(type='LetterResize', scale=(64, 64))],
    )


train_dataloader = dict(dataset=dict(type='RepeatDataset', times=2, dataset=dataset('train')))
val_dataloader = dict(dataset=dataset('val'))
test_dataloader = val_dataloader
"""


def run(*arguments):
    done = subprocess.run(
        [sys.executable, str(REPO / 'tools/analysis_tools/check_dataset.py'), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(REPO)},
    )
    assert 'Traceback' not in done.stderr, done.stderr
    return done


@pytest.fixture
def planted(tmp_path):
    return PlantedSet(tmp_path)


@pytest.mark.parametrize(
    ('code', 'exit_code'), [(None, 0), ('crowd', 0), ('id-zero', 1), ('image-truncated', 2)]
)
def test_exit_codes_of_an_annotation_file(planted, tmp_path, code, exit_code):
    if code:
        FAULTS[code][0](planted)
    findings = tmp_path / 'out/findings.json'
    done = run(planted.write(), '--img-dir', tmp_path / 'images', '--json', findings)
    assert done.returncode == exit_code, done.stdout + done.stderr
    written = json.loads(findings.read_text())
    assert written['exit_code'] == exit_code
    assert [one['code'] for one in written['findings']] == ([code] if code else [])
    if not code:
        assert done.stdout.splitlines()[-1] == 'nothing found'


def test_a_config_with_leakage_and_the_mended_copy(tmp_path):
    train, val = (PlantedSet(tmp_path / name, seed) for seed, name in enumerate(('train', 'val')))
    FAULTS['polygon-too-short'][1](train)
    train.write(), val.write()
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.replace('{root}', str(tmp_path)))
    done = run(config)
    assert done.returncode == 2
    # the seeds of three of the pictures are the same
    assert 'error leak-content, 3 x' in done.stdout
    assert 'error polygon-too-short, 1 x' in done.stdout
    assert "train: '2.png': the annotation with id 5 has a ring of 2 numbers" in done.stdout

    out = tmp_path / 'mended.json'
    done = run(config, '--fix', out)
    assert done.returncode == 2 and '--set: train, val/test' in done.stderr
    assert not out.exists()
    done = run(config, '--fix', out, '--set', 'train')
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'annotations dropped, polygon-too-short: 1' in done.stdout
    assert len(json.loads(out.read_text())['annotations']) == 11
    done = run(config, '--fix', out, '--set', 'train')
    assert done.returncode == 2 and '--overwrite' in done.stderr


def test_errors_end_in_one_line_and_code_2(tmp_path):
    done = run(tmp_path / 'no.py')
    assert done.returncode == 2
    assert done.stderr.startswith('error: Config not found') and done.stderr.count('\n') == 1
    done = run(tmp_path / 'no.json', '--no-images', '--img-dir', tmp_path)
    assert done.returncode == 2 and 'error unreadable-file, 1 x' in done.stdout
