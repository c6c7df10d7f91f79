"""Data that cannot be dealt out evenly: trained on by three processes, and scored alike by any
number of them.
"""

import json
import math
from pathlib import Path

import pytest

from tests.distributed.ranks import WarmRanks
from tests.tools import journey
from tests.tools.journey import Run

METRICS = ('coco/bbox_mAP', 'coco/bbox_mAP_50', 'coco/segm_mAP', 'coco/segm_mAP_50')
CONFIDENT = 3


@pytest.fixture(scope='module')
def trained(ranks: WarmRanks, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Seven images, of which one has objects, in three processes with batches of two."""
    folder = tmp_path_factory.mktemp('uneven')
    data = journey.make_data(folder / 'data', num_train=7)
    journey.edit_json(data / 'train.json', journey.keep_objects_of_one_image)
    config = journey.write_config(folder / 'tiny.py', data, epochs=1)
    options = ('--cfg-options', 'train_dataloader.batch_size=2')
    done = ranks.check(3, folder, 'tools/train.py', config, *options)
    return Run(folder, config, folder / 'work_dirs/tiny', done)


def test_three_processes_train(trained):
    entries = journey.train_scalars(trained.work_dir)
    assert len(entries) == 2  # seven images, filled up to nine
    assert all(math.isfinite(entry['loss']) for entry in entries)


def results(folder: Path, kind: str) -> list[dict]:
    found = json.loads((folder / f'found.{kind}.json').read_text())
    return sorted(found, key=lambda one: (one['image_id'], -one['score'], one['bbox']))


def run_test(
    ranks: WarmRanks, world: int, folder: Path, trained: Run, *options: str, extra: str = ''
) -> dict:
    """Test in a folder of its own, and return the metrics."""
    folder.mkdir()
    config = journey.write_config(folder / 'tiny.py', trained.folder / 'data', extra=extra)
    arguments = [config, trained.work_dir / 'epoch_1.pth', '--json-prefix', 'found']
    ranks.check(world, folder, 'tools/test.py', *arguments, '--cfg-options', *options)
    (path,) = (folder / 'work_dirs/tiny').glob('*/*.json')
    return json.loads(path.read_text())


@pytest.fixture(scope='module')
def own_truth(trained: Run, ranks: WarmRanks) -> str:
    """An annotation file with the best detections of the model as truth, for an AP above 0."""
    folder = trained.folder / 'first'
    run_test(ranks, 1, folder, trained, 'model.test_cfg.score_thr=0.0')
    content = json.loads((trained.folder / 'data/val.json').read_text())
    by_image: dict[int, list] = {}
    for one in sorted(results(folder, 'segm'), key=lambda found: -found['score']):
        by_image.setdefault(one['image_id'], []).append(one)
    assert len(by_image) == journey.NUM_VAL
    content['annotations'] = [
        {**found, 'id': number, 'area': found['bbox'][2] * found['bbox'][3], 'iscrowd': 0}
        for number, found in enumerate(
            (one for image in by_image.values() for one in image[1 : 1 + CONFIDENT]), 1
        )
    ]
    path = trained.folder / 'own_truth.json'
    path.write_text(json.dumps(content))
    return str(path)


SHAPES = """
test_dataloader['batch_size'] = {size}
test_dataloader['dataset']['batch_shapes_cfg'] = dict(
    _delete_=True, type='BatchShapePolicy', batch_size={size}, img_size=128)
"""


@pytest.mark.parametrize('extra', ['', SHAPES], ids=['one_shape', 'shapes_by_batch'])
def test_results_and_scores_are_those_of_one_process(extra, trained, own_truth, ranks, tmp_path):
    """With shapes by batch the total batch has to be the same: six for five images."""
    options = (f'test_evaluator.ann_file={own_truth}', 'model.test_cfg.score_thr=0.0')
    scores, found = {}, {}
    for world in (1, 2, 3):
        folder, of_world = tmp_path / str(world), extra.format(size=6 // world)
        scores[world] = run_test(ranks, world, folder, trained, *options, extra=of_world)
        found[world] = results(folder, 'bbox')
    for world in (2, 3):
        assert len(found[world]) == len(found[1])
        for one, other in zip(found[world], found[1], strict=True):
            assert one['image_id'] == other['image_id']
            assert one['score'] == pytest.approx(other['score'], abs=1e-6)
        for metric in METRICS:
            assert scores[world][metric] == pytest.approx(scores[1][metric], abs=1e-6)
    assert 0 < scores[1]['coco/bbox_mAP'] < 1
