"""Trainings that start from weights of other models, with frozen parts, from the command line."""

import pytest
import torch

from mmyolo_lite.compat.checkpoints import load_from_local
from tests.tools import journey
from tests.tools.journey import train_scalars
from tests.tools.test_errors import assert_one_line

FROZEN = ('backbone.', 'neck.')


@pytest.fixture(scope='module')
def tuned(segmenter, data, tools, tmp_path_factory):
    """A detector that starts from the weights of the segmenter and trains its head alone."""
    folder = tmp_path_factory.mktemp('tuned')
    config = journey.write_config(folder / 'boxes.py', data, journey.DET, epochs=1)
    done = tools.run(
        folder,
        *('tools/train.py', config, '--freeze', 'backbone,neck', '--cfg-options'),
        f'load_from={segmenter.work_dir / "epoch_3.pth"}',
        'optim_wrapper.paramwise_cfg.custom_keys.bbox_head.lr_mult=0.5',
    ).check()
    return journey.Run(folder, config, folder / 'work_dirs/boxes', done)


def test_frozen_parts_stay_bit_for_bit(segmenter, tuned):
    before = load_from_local(str(segmenter.work_dir / 'epoch_3.pth'))['state_dict']
    after = load_from_local(str(tuned.work_dir / 'epoch_1.pth'))
    raw = {name.removeprefix('module.'): t for name, t in after['ema_state_dict'].items()}
    for weights in (after['state_dict'], raw):
        same = [
            name for name in weights if name in before and torch.equal(weights[name], before[name])
        ]
        assert sum(name.startswith(FROZEN) for name in same) == 342
        assert not any('convs_pred' in name for name in same)


def test_the_log_says_what_was_taken_over(tuned):
    log = tuned.only('*/*.log').read_text()
    assert 'loaded 348, 6 of them in part: bbox_head.head_module.convs_pred.0.weight' in log
    assert 'skipped 18: bbox_head.head_module.proto_pred' in log
    assert 'missing, started anew 0' in log
    assert 'unexpected key' not in log


def test_rates_of_layers_follow_the_schedule(tuned):
    groups = load_from_local(str(tuned.work_dir / 'epoch_1.pth'))['optimizer']['param_groups']
    assert [len(group['params']) for group in groups] == [57, 57, 57, 3, 0, 3]
    usual, halved = ([group['lr'] for group in part] for part in (groups[:3], groups[3:]))
    assert halved == pytest.approx([rate / 2 for rate in usual])


def test_another_size_trains_and_warns(segmenter, data, tools, tmp_path):
    extra = (
        '\n'.join(f"model[{part!r}]['widen_factor'] = 0.25" for part in ('backbone', 'neck'))
        + "\nmodel['bbox_head']['head_module']['widen_factor'] = 0.25\n"
    )
    config = journey.write_config(tmp_path / 'wide.py', data, extra=extra, epochs=1)
    checkpoint = segmenter.work_dir / 'epoch_3.pth'
    done = tools.run(
        tmp_path, 'tools/train.py', config, '--cfg-options', f'load_from={checkpoint}'
    ).check()
    assert 'starts from random weights' in done.out
    assert '(8, 3, 6, 6) in the file, (16, 3, 6, 6) in the model' in done.out


def test_resuming_with_other_groups_is_refused(segmenter, tools, tmp_path):
    done = tools.run(
        tmp_path,
        *('tools/train.py', segmenter.config, '--work-dir', 'w', '--resume'),
        segmenter.work_dir / 'epoch_2.pth',
        *('--cfg-options', 'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.1'),
    )
    assert_one_line(done, 'epoch_2.pth', 'custom_keys', 'load_from=')


@pytest.mark.parametrize(
    ('arguments', 'parts'),
    [
        (('--freeze', 'backbon'), ("'backbon'", "Did you mean 'backbone'?")),
        (('--freeze', 'backbone,neck,bbox_head'), ('nothing is left to train',)),
        (
            ('--cfg-options', 'optim_wrapper.paramwise_cfg.custom_keys.nek.lr_mult=0.1'),
            ("'nek'", "Did you mean 'neck'?"),
        ),
    ],
)
def test_wrong_parts_are_named(arguments, parts, segmenter, tools, tmp_path):
    done = tools.run(tmp_path, 'tools/train.py', segmenter.config, '--work-dir', 'w', *arguments)
    assert_one_line(done, *parts)


def mmyolo_checkpoint(ours):
    """Return a checkpoint of this project as MMYOLO 0.6 on an older PyTorch writes it."""
    meta = ours['meta']
    groups = ours['optimizer']['param_groups']
    kept = {'lr', 'momentum', 'dampening', 'weight_decay', 'nesterov', 'params'}
    kept |= {'initial_lr', 'initial_momentum'}
    return {
        'meta': {
            'epoch': meta['epoch'],
            'iter': meta['iter'],
            'cfg': "default_scope = 'mmyolo'\nmodel = dict(type='YOLODetector')\n",
            'seed': 0,
            'experiment_name': 'yolov5_ins_s_20230801_000000',
            'time': '20230801_000000',
            'mmengine_version': '0.8.4',
            'mmyolo_version': '0.6.0',
            'dataset_meta': {'classes': ('balloon',), 'palette': [(220, 20, 60)]},
        },
        'state_dict': ours['state_dict'],
        'message_hub': {
            'log_scalars': ours['message_hub']['log_scalars'],
            'runtime_info': ours['message_hub']['runtime_info'],
            'resumed_keys': {},
        },
        'optimizer': {
            'state': ours['optimizer']['state'],
            'param_groups': [
                {key: value for key, value in group.items() if key in kept} for group in groups
            ],
        },
        'ema_state_dict': ours['ema_state_dict'],
    }


def test_mmyolo_checkpoints_resume_with_average_and_optimizer(segmenter, tools, tmp_path):
    ours = load_from_local(str(segmenter.work_dir / 'epoch_2.pth'))
    torch.save(mmyolo_checkpoint(ours), tmp_path / 'mmyolo.pth')
    tools.run(
        tmp_path,
        *('tools/train.py', segmenter.config, '--work-dir', 'w', '--resume', 'mmyolo.pth'),
    ).check()
    straight, resumed = (
        load_from_local(str(folder / 'epoch_3.pth'))
        for folder in (segmenter.work_dir, tmp_path / 'w')
    )
    assert resumed['meta']['iter'] == straight['meta']['iter']
    for part in ('state_dict', 'ema_state_dict'):
        for name, tensor in straight[part].items():
            torch.testing.assert_close(resumed[part][name], tensor, rtol=0.2, atol=0.02)
    for one, other in zip(
        straight['optimizer']['param_groups'], resumed['optimizer']['param_groups'], strict=True
    ):
        assert one['lr'] == pytest.approx(other['lr'])
    logged = [entry['step'] for entry in train_scalars(tmp_path / 'w')]
    assert logged == [5, 6]
