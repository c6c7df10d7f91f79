"""Two processes take the steps that one takes with all their images."""

import json
from pathlib import Path

import pytest

from tests.distributed.ranks import WarmRanks
from tests.tools import journey

EPOCHS = 10
TERMS = ('loss', 'loss_cls', 'loss_obj', 'loss_bbox', 'loss_mask')
RTOL = 1e-5
# A random network of few channels multiplies rounding errors from step to step: one process whose
# weights are changed by 1e-7 parts from itself by 1e-2 in twenty steps of the shipped rate. At 3e-4
# they stay small, while the steps move losses far more than is allowed here.
EXTRA = """
model['bbox_head']['head_module']['num_classes'] = 2
metainfo.update(classes=('balloon', 'kite'), palette=[(220, 20, 60), (0, 0, 200)])
model['bbox_head']['loss_cls'] = dict(loss_weight=0.5)
train_dataloader['dataset']['metainfo'] = metainfo
val_dataloader['dataset']['metainfo'] = metainfo
default_hooks['param_scheduler'].update(
    warmup_epochs=3, warmup_mim_iter=1000, warmup_bias_lr=0.0)
default_hooks['checkpoint'].update(interval=100, save_best=None)
optim_wrapper['optimizer'].update(lr=3e-4)
log_processor = dict(window_size=1)
train_cfg['val_interval'] = 100
"""


def two_classes(data: Path) -> None:
    """Let every second object be of another class."""

    def edit(content: dict) -> None:
        first = content['categories'][0]
        content['categories'].append({**first, 'id': first['id'] + 1, 'name': 'kite'})
        for annotation in content['annotations'][::2]:
            annotation['category_id'] += 1

    for split in ('train', 'val'):
        journey.edit_json(data / f'{split}.json', edit)


@pytest.fixture(scope='module')
def trained(ranks: WarmRanks, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Work dirs of trainings of one and two processes, with a total batch of four."""
    data = journey.make_data(tmp_path_factory.mktemp('two_classes'))
    two_classes(data)
    work_dirs = {}
    for world in (1, 2):
        folder = tmp_path_factory.mktemp(f'world{world}')
        config = journey.write_config(folder / 'tiny.py', data, extra=EXTRA, epochs=EPOCHS)
        options = [
            f'{field}={4 // world}'
            for field in (
                'train_dataloader.batch_size',
                'optim_wrapper.optimizer.batch_size_per_gpu',
            )
        ]
        ranks.check(world, folder, 'tools/train.py', config, '--cfg-options', *options)
        work_dirs[world] = folder / 'work_dirs/tiny'
    return work_dirs


@pytest.mark.slow
def test_losses_of_the_first_twenty_iterations_are_equal(trained):
    one, two = (journey.train_scalars(trained[world]) for world in (1, 2))
    assert [entry['step'] for entry in one] == list(range(1, 21))
    worst = {
        term: max(abs(a[term] - b[term]) / abs(a[term]) for a, b in zip(one, two, strict=True))
        for term in TERMS
    }
    assert max(worst.values()) < RTOL, json.dumps(worst)
