"""Two processes on one machine train and evaluate as one does."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributed.ranks import free_port
from tests.shared_data import REPO
from tests.tools import journey
from tests.tools.journey import Done, Run


def launch(cwd: Path, script: str, *arguments: object) -> Done:
    """Run one of the shell scripts on a free port."""
    port = free_port()
    done = subprocess.run(
        [str(REPO / 'tools' / script), *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
        env={**journey.environment(), 'PYTHON': sys.executable, 'PORT': str(port)},
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Seven images, of which one has objects, in batches of one: most batches of each process have
    no object.
    """
    folder = tmp_path_factory.mktemp('distributed')
    data = journey.make_data(folder / 'data', num_train=7)
    journey.edit_json(data / 'train.json', journey.keep_objects_of_one_image)
    config = journey.write_config(folder / 'tiny.py', data, epochs=1)
    done = launch(
        folder,
        'dist_train.sh',
        config,
        2,
        '--cfg-options',
        'train_dataloader.batch_size=1',
        'val_evaluator.outfile_prefix=two',
    )
    return Run(folder, config, folder / 'work_dirs/tiny', done.check())


def test_both_processes_train_on_all_images(trained):
    entries = journey.train_scalars(trained.work_dir)
    assert len(entries) == 4  # seven images, filled up to eight, for two processes
    assert all(math.isfinite(entry['loss']) for entry in entries)
    assert 'world_size' in trained.done.out or 'GPU number: 2' in trained.done.out


def test_evaluation_equals_that_of_one_process_with_the_checkpoint(trained):
    checkpoint = trained.only('best_coco_bbox_mAP_epoch_1.pth')
    launch(
        trained.folder, 'dist_test.sh', trained.config, checkpoint, 1, '--json-prefix', 'one'
    ).check()

    def results(prefix: str, kind: str) -> list:
        entries = json.loads((trained.folder / f'{prefix}.{kind}.json').read_text())
        return sorted(
            (e['image_id'], round(e['score'], 5), [round(x, 2) for x in e['bbox']]) for e in entries
        )

    assert len({image for image, *_ in results('one', 'bbox')}) == journey.NUM_VAL
    assert results('two', 'bbox') == results('one', 'bbox')


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh'])
def test_scripts_are_executable_and_say_how_they_are_used(script, tmp_path):
    assert os.access(REPO / 'tools' / script, os.X_OK)
    done = launch(tmp_path, script)
    assert (done.code, done.err.count('\n')) == (2, 1)
    assert done.err.startswith('usage: ')
