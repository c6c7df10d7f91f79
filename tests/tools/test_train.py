"""Training from the command line, on a tiny data set."""

import math
import shutil

import pytest
from mmengine.config import Config

from tests.tools import journey
from tests.tools.journey import train_scalars

TABLE_LINES = 12
WARNING = (
    'You are using `YOLOv5Head` with num_classes == 1. The loss_cls will be 0. '
    'This is a normal phenomenon.'
)


def assert_finite_losses(work_dir, names):
    entries = train_scalars(work_dir)
    assert entries
    for entry in entries:
        assert {name for name in entry if name.startswith('loss_')} == names
        assert all(math.isfinite(entry[name]) for name in (*names, 'loss'))


def rates(work_dir):
    """Return the learning rates by iteration."""
    return {entry['step']: (entry['base_lr'], entry['lr']) for entry in train_scalars(work_dir)}


def test_the_work_dir_holds_what_the_user_expects(segmenter):
    names = {path.name for path in segmenter.work_dir.iterdir()}
    assert {'tiny.py', 'epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth', 'last_checkpoint'} <= names
    assert segmenter.only('last_checkpoint').read_text() == str(segmenter.work_dir / 'epoch_3.pth')
    assert segmenter.only('best_*').name in [
        f'best_coco_bbox_mAP_epoch_{epoch}.pth' for epoch in (1, 2, 3)
    ]
    dumped = Config.fromfile(segmenter.only('tiny.py'))
    assert dumped.train_cfg.max_epochs == 3
    assert dumped.model.bbox_head.head_module.num_classes == 1


def test_the_log_has_the_tables_of_boxes_and_masks(segmenter):
    log = segmenter.only('*/*.log').read_text()
    for kind in ('bbox', 'segm'):
        assert log.count(f'Evaluating {kind}...') == 3
        assert log.count(f'coco/{kind}_mAP: ') == 3
    assert log.count(f'validation of {journey.NUM_VAL} images in ') == 3
    # COCO prints its tables, and the log holds their sum
    assert segmenter.done.out.count(' Average Precision ') + segmenter.done.out.count(
        ' Average Recall '
    ) == (3 * 2 * TABLE_LINES)
    assert_finite_losses(segmenter.work_dir, {'loss_cls', 'loss_obj', 'loss_bbox', 'loss_mask'})


def test_the_warning_about_one_class_comes_once(segmenter):
    assert segmenter.done.out.count(WARNING) == 1


def test_nothing_is_printed_on_stderr(segmenter):
    assert segmenter.done.err == ''


def test_resume_continues_with_the_same_learning_rates(segmenter, tools, tmp_path):
    """As after an interruption in the second epoch."""
    work_dir = tmp_path / 'work_dirs/tiny'
    work_dir.mkdir(parents=True)
    shutil.copy(segmenter.work_dir / 'epoch_1.pth', work_dir)
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_1.pth'))
    tools.run(tmp_path, 'tools/train.py', segmenter.config, '--resume').check()

    straight, resumed = rates(segmenter.work_dir), rates(work_dir)
    assert list(straight) == [1, 2, 3, 4, 5, 6]
    assert resumed == {
        step: rate for step, rate in straight.items() if step > journey.ITERS_PER_EPOCH
    }
    assert len(set(straight.values())) >= 4


def test_resume_from_a_given_checkpoint(segmenter, tools, tmp_path):
    done = tools.run(
        tmp_path,
        'tools/train.py',
        segmenter.config,
        '--work-dir',
        tmp_path / 'again',
        '--resume',
        segmenter.work_dir / 'epoch_2.pth',
    ).check()
    straight = rates(segmenter.work_dir)
    assert rates(tmp_path / 'again') == {5: straight[5], 6: straight[6]}
    assert 'resumed epoch: 2, iter: 4' in done.out


def test_mixed_precision_and_options(segmenter, tools, tmp_path):
    tools.run(
        tmp_path,
        'tools/train.py',
        segmenter.config,
        '--amp',
        '--work-dir',
        'there',
        '--cfg-options',
        'train_cfg.max_epochs=1',
        'optim_wrapper.optimizer.lr=0.02',
    ).check()
    dumped = Config.fromfile(tmp_path / 'there/tiny.py')
    assert dumped.optim_wrapper.type == 'AmpOptimWrapper'
    assert (dumped.train_cfg.max_epochs, dumped.optim_wrapper.optimizer.lr) == (1, 0.02)
    assert_finite_losses(tmp_path / 'there', {'loss_cls', 'loss_obj', 'loss_bbox', 'loss_mask'})
    # bfloat16 changes the loss a little: it is in use, and it is right
    straight, mixed = (
        train_scalars(folder)[0]['loss'] for folder in (segmenter.work_dir, tmp_path / 'there')
    )
    assert straight != mixed
    assert straight == pytest.approx(mixed, rel=0.02)


def test_detection_trains_and_shows_in_tensorboard(detector):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert_finite_losses(detector.work_dir, {'loss_cls', 'loss_obj', 'loss_bbox'})
    events = EventAccumulator(str(detector.only('*/vis_data')))
    events.Reload()
    assert {'loss', 'loss_obj', 'lr', 'coco/bbox_mAP'} <= set(events.Tags()['scalars'])
    logged = [entry['loss'] for entry in train_scalars(detector.work_dir)]
    assert [event.value for event in events.Scalars('loss')] == pytest.approx(logged)
    assert 'coco/segm_mAP' not in detector.done.out


MMYOLO_STYLE = """
default_scope = 'mmyolo'
model['type'] = 'mmyolo.YOLODetector'
train_dataloader['dataset']['type'] = 'mmyolo.YOLOv5CocoDataset'
train_dataloader['collate_fn'] = dict(type='yolov5_collate')
"""


@pytest.mark.parametrize(
    ('base', 'extra', 'losses'),
    [
        pytest.param(
            journey.DET_LIST,
            '',
            {'loss_cls', 'loss_obj', 'loss_bbox'},
            id='batches as lists of samples',
        ),
        pytest.param(
            journey.NON_OVERLAP,
            MMYOLO_STYLE,
            {'loss_cls', 'loss_obj', 'loss_bbox', 'loss_mask'},
            id='one mask per object, in the scope of MMYOLO',
        ),
    ],
)
def test_other_configs_train(base, extra, losses, tools, data, tmp_path):
    config = journey.write_config(tmp_path / 'other.py', data, base, extra, epochs=1)
    done = tools.run(tmp_path, 'tools/train.py', config).check()
    assert_finite_losses(tmp_path / 'work_dirs/other', losses)
    assert 'coco/bbox_mAP: ' in done.out
    assert (tmp_path / 'work_dirs/other/best_coco_bbox_mAP_epoch_1.pth').is_file()
