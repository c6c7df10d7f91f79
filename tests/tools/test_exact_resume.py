"""A resumed training is the training that never stopped, bit for bit."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tools import journey
from tests.tools.journey import Run, WarmTools, train_scalars

EPOCHS = 4
LAST = f'epoch_{EPOCHS}.pth'
# every random member fires often, in workers that live on from epoch to epoch
LIVELY = """
train_dataloader.update(num_workers=2, persistent_workers=True)
for step in train_pipeline:
    if step['type'] == 'mmdet.Albu':
        step['transforms'] = [dict(type='Blur', p=0.5), dict(type='ToGray', p=0.5)]
default_hooks['checkpoint'].update(max_keep_ckpts=-1)
"""


def train(tools: WarmTools, folder: Path, data: Path, *options: str, resume: bool = False) -> Run:
    folder.mkdir(exist_ok=True)
    config = journey.write_config(folder / 'tiny.py', data, extra=LIVELY, epochs=EPOCHS)
    arguments = ['--resume'] * resume + (['--cfg-options', *options] if options else [])
    done = tools.run(folder, 'tools/train.py', config, *arguments).check()
    return Run(folder, config, folder / 'work_dirs/tiny', done)


@pytest.fixture(scope='module')
def straight(tools, data, tmp_path_factory) -> Run:
    return train(tools, tmp_path_factory.mktemp('straight'), data)


def tensors(value: Any, path: str = '') -> dict[str, torch.Tensor]:
    """Return all tensors and numbers of a checkpoint, by their place."""
    if isinstance(value, dict):
        return {
            k: t for key, one in value.items() for k, t in tensors(one, f'{path}.{key}').items()
        }
    if isinstance(value, (list, tuple)):
        return tensors(dict(enumerate(value)), path)
    if isinstance(value, (torch.Tensor, int, float)):
        return {path: torch.as_tensor(value)}
    return {}


def assert_same(one: Path, other: Path) -> None:
    first, second = (torch.load(path, weights_only=False) for path in (one, other))
    for part in ('state_dict', 'ema_state_dict', 'optimizer'):
        ours, theirs = tensors(first[part]), tensors(second[part])
        assert ours.keys() == theirs.keys() and ours
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == [], part


@pytest.mark.parametrize('epoch', [1, 3])
def test_weights_and_losses_are_those_of_the_uninterrupted_run(
    straight, tools, data, tmp_path, epoch
):
    """As after an interruption in the epoch behind."""
    work_dir = tmp_path / 'work_dirs/tiny'
    work_dir.mkdir(parents=True)
    shutil.copy(straight.work_dir / f'epoch_{epoch}.pth', work_dir)
    resumed = train(tools, tmp_path, data, resume=True)
    assert_same(straight.work_dir / LAST, work_dir / LAST)
    kept = ('loss', 'loss_mask', 'lr')
    losses, expected = (
        {entry['step']: [entry[key] for key in kept] for entry in train_scalars(run.work_dir)}
        for run in (resumed, straight)
    )
    done = epoch * journey.ITERS_PER_EPOCH
    assert losses == {step: values for step, values in expected.items() if step > done}


MULTI_SCALE = """
sizes = dict(type='YOLOXBatchSyncRandomResize', random_size_range=(96, 160), interval=3)
model['data_preprocessor'] = dict(batch_augments=[sizes])
"""
# workers live on, so they have to learn of the other pipeline
SWITCHED = """
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='PipelineSwitchHook', switch_epoch=1, switch_pipeline=train_pipeline[:1] + [
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True, mask2bbox=True),
        dict(type='YOLOv5KeepRatioResize', scale=(128, 128)),
        dict(type='LetterResize', scale=(128, 128), allow_scale_up=True, pad_val=dict(img=114.0)),
        dict(type='YOLOv5RandomAffine', border=(0, 0), use_mask_refine=True),
        *train_pipeline[-4:],
    ]),
]
"""


@pytest.mark.parametrize('extra', [MULTI_SCALE, SWITCHED], ids=['multi-scale', 'switched'])
def test_what_changes_during_a_training_goes_on(tools, data, tmp_path_factory, extra):
    folders = [tmp_path_factory.mktemp(name) for name in ('one', 'two')]
    config = journey.write_config(folders[0] / 'tiny.py', data, extra=LIVELY + extra, epochs=EPOCHS)
    for folder in folders:
        work_dir = folder / 'work_dirs/tiny'
        if folder is folders[1]:
            work_dir.mkdir(parents=True)
            shutil.copy(folders[0] / 'work_dirs/tiny/epoch_2.pth', work_dir)
        done = tools.run(folder, 'tools/train.py', config, '--resume').check()
        assert ('goes on with the pipeline' in done.out) == (extra == SWITCHED)
    assert_same(*(folder / 'work_dirs/tiny' / LAST for folder in folders))


def test_samples_do_not_depend_on_the_number_of_workers(straight, tools, data, tmp_path):
    options = ('train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False')
    other = train(tools, tmp_path, data, *options)
    assert_same(straight.work_dir / LAST, other.work_dir / LAST)


def test_a_damaged_newest_checkpoint_is_passed_over(tools, data, tmp_path, straight):
    work_dir = tmp_path / 'work_dirs/tiny'
    work_dir.mkdir(parents=True)
    whole = straight.work_dir / LAST
    shutil.copy(whole, work_dir / LAST)
    (work_dir / f'epoch_{EPOCHS + 1}.pth').write_bytes(whole.read_bytes()[:5000])
    for content in (str(work_dir / f'epoch_{EPOCHS + 1}.pth'), '', 'elsewhere/epoch_5.pth'):
        (work_dir / 'last_checkpoint').write_text(content)
        done = train(tools, tmp_path, data, f'train_cfg.max_epochs={EPOCHS}', resume=True).done
        assert f'resumed epoch: {EPOCHS}' in done.out
        assert 'Trying the one before' in done.out + done.err


def test_damaged_checkpoints_alone_are_an_error(tools, data, tmp_path):
    work_dir = tmp_path / 'work_dirs/tiny'
    work_dir.mkdir(parents=True)
    (work_dir / 'epoch_1.pth').write_bytes(b'no checkpoint')
    config = journey.write_config(tmp_path / 'tiny.py', data, extra=LIVELY)
    done = tools.run(tmp_path, 'tools/train.py', config, '--resume')
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last.startswith('error: None of the 1 checkpoints in ') and '--work-dir' in last


def test_other_settings_are_told_what_they_change(straight, tools, data, tmp_path):
    work_dir = tmp_path / 'work_dirs/tiny'
    work_dir.mkdir(parents=True)
    shutil.copy(straight.work_dir / LAST, work_dir / LAST)
    options = (f'train_cfg.max_epochs={EPOCHS + 1}', 'train_dataloader.batch_size=2')
    done = train(tools, tmp_path, data, *options, resume=True).done
    assert f'train_cfg.max_epochs ({EPOCHS} in the checkpoint, now {EPOCHS + 1})' in done.out
    assert 'train_dataloader.batch_size (4 in the checkpoint, now 2)' in done.out


def test_without_a_checkpoint_it_starts_from_the_weights_of_load_from(
    straight, tools, data, tmp_path
):
    weights = straight.work_dir / LAST
    options = (f'load_from={weights}', 'train_cfg.max_epochs=1')
    resumed = train(tools, tmp_path / 'a', data, *options, resume=True)
    assert f'training starts from {weights}' in resumed.done.out
    fresh = train(tools, tmp_path / 'b', data, *options)
    assert_same(resumed.work_dir / 'epoch_1.pth', fresh.work_dir / 'epoch_1.pth')
