"""Mistakes of a user end in one line: what, where and what to do; if possible before training."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.shared_data import REPO
from tests.tools import journey


@pytest.fixture
def own_data(data, tmp_path):
    """A copy of the data set that a test may spoil."""
    return Path(shutil.copytree(data, tmp_path / 'own_data'))


def assert_one_line(done, *parts):
    """Require that a command line ended in one error with these parts, before any iteration."""
    assert done.code == 1, done.out[-1500:] + done.err[-1500:]
    assert 'Traceback' not in done.out + done.err, done.err[-3000:]
    errors = [line for line in done.err.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1 and done.err.splitlines()[-1] == errors[0], done.err
    for part in parts:
        assert part in errors[0]
    assert 'Epoch(train)' not in done.out


def train(tools, folder, data, *options, extra='', base=journey.INS):
    config = journey.write_config(folder / 'wrong.py', data, base, extra)
    return tools.run(folder, 'tools/train.py', config, *options)


# ---- paths


def test_config_path(tools):
    config = 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_sampel_instance.py'
    done = tools.run(REPO, 'tools/train.py', config)
    assert_one_line(
        done, f'Config not found: {config}', 'Did you mean configs/', '320_sample_instance.py'
    )


def test_config_path_elsewhere(tools, data, tmp_path):
    journey.write_config(tmp_path / 'balloons.py', data)
    done = tools.run(tmp_path, 'tools/train.py', tmp_path / 'baloons.py')
    assert_one_line(done, 'Config not found', f'Did you mean {tmp_path / "balloons.py"}?')


def test_missing_annotation_file(tools, own_data, tmp_path):
    (own_data / 'train.json').unlink()
    assert_one_line(
        train(tools, tmp_path, own_data), 'Annotation file not found', 'train.json', 'ann_file'
    )


def test_missing_validation_image(tools, own_data, tmp_path):
    """It would show after the first epoch only."""
    (own_data / 'val/sample_val_0002.jpg').unlink()
    assert_one_line(
        train(tools, tmp_path, own_data), '1 of 5 image files', 'sample_val_0002.jpg', 'data_prefix'
    )


# ---- classes


@pytest.mark.parametrize(
    ('classes', 'parts'),
    [
        ("('ballon', )", ("'ballon'", "did you mean 'balloon'?", 'train.json')),
        (
            "('balloon')",
            ("the string 'balloon'", "classes=('balloon', )", 'train_dataloader.dataset.metainfo'),
        ),
        ("('balloon', 'kite')", ('num_classes is 1', "'balloon', 'kite'", 'Set num_classes to 2')),
    ],
)
def test_classes(classes, parts, tools, data, tmp_path):
    extra = f"train_dataloader['dataset']['metainfo'] = dict(classes={classes})\n"
    assert_one_line(train(tools, tmp_path, data, extra=extra), *parts)


def test_num_classes_without_class_names(tools, data, tmp_path):
    """The names are then those of the annotations."""
    extra = (
        "for loader in (train_dataloader, val_dataloader):\n    del loader['dataset']['metainfo']\n"
        "model['bbox_head']['head_module']['num_classes'] = 2\n"
    )
    assert_one_line(
        train(tools, tmp_path, data, extra=extra),
        *('num_classes is 2', "has 1: 'balloon'", 'Set num_classes to 1'),
    )


def test_nothing_left_after_filtering(tools, data, tmp_path):
    done = train(
        tools, tmp_path, data, '--cfg-options', 'train_dataloader.dataset.filter_cfg.min_size=5000'
    )
    assert_one_line(done, 'No image of', 'train.json', "'min_size': 5000")


# ---- misspelt and disagreeing fields


@pytest.mark.parametrize(
    ('option', 'parts'),
    [
        (
            'model.bbox_head.prior_match_thresh=4.0',
            ('model.bbox_head.prior_match_thresh is unknown', "Did you mean 'prior_match_thr'?"),
        ),
        ('train_dataloader.batchsize=2', ("Did you mean 'batch_size'?",)),
        (
            'train_dataloader.sampler.shufle=True',
            (
                "train_dataloader.sampler.shufle is unknown: DefaultSampler has no field 'shufle'",
                "Did you mean 'shuffle'?",
            ),
        ),
        (
            'model.backbone.type=YOLOv5CSPDarknt',
            (
                "model.backbone.type = 'YOLOv5CSPDarknt' is unknown",
                "Did you mean 'YOLOv5CSPDarknet'",
            ),
        ),
        (
            'train_dataloader.dataset.pipeline.2.type=Mosiac',
            ("train_dataloader.dataset.pipeline[2].type = 'Mosiac'", "Did you mean 'Mosaic'?"),
        ),
        (
            'val_dataloader.dataset.pipeline.4.type=mmdet.PackDetInput',
            ("Did you mean 'mmdet.PackDetInputs'",),
        ),
        ('val_evaluator.type=CocoMetrics', ("Did you mean 'CocoMetric'",)),
        ('val_evaluator.type=mmdet.CocoMetrics', ("Did you mean 'mmdet.CocoMetric'",)),
        (
            'default_hooks.param_scheduler.type=YOLOParamSchedulerHook',
            ("Did you mean 'YOLOv5ParamSchedulerHook'",),
        ),
        (
            'optim_wrapper.optimizer.nesterof=True',
            (
                "optim_wrapper.optimizer.nesterof is unknown: SGD has no field 'nesterof'",
                "Did you mean 'nesterov'?",
            ),
        ),
        (
            'model.bbox_head.mask_overlap=False',
            (
                'train_dataloader.dataset.pipeline[7].mask_overlap is True',
                'bbox_head.mask_overlap is False',
            ),
        ),
        (
            'val_dataloader.dataset.pipeline.2.scale=(100,128)',
            (
                'val_dataloader.dataset.pipeline[2].scale is (100, 128)',
                'multiples of 32',
                'The nearest is (96, 128)',
            ),
        ),
    ],
)
def test_fields(option, parts, tools, data, tmp_path):
    assert_one_line(train(tools, tmp_path, data, '--cfg-options', option), *parts)


def test_training_size(tools, data, tmp_path):
    """Known when the first batch is there."""
    done = train(
        tools,
        tmp_path,
        data,
        '--cfg-options',
        'train_dataloader.dataset.pipeline.3.border=(-60,-60)',
    )
    assert_one_line(done, '136x136', 'multiples of 32')


def test_masks_missing_in_the_pipeline(tools, data, tmp_path):
    done = train(tools, tmp_path, data, extra="del train_dataloader['dataset']['pipeline'][7]\n")
    assert_one_line(done, 'Polygon2Mask')


def test_nothing_to_train_masks_on(tools, own_data, tmp_path):
    path = own_data / 'train.json'
    content = json.loads(path.read_text())
    for annotation in content['annotations']:
        annotation['segmentation'] = []
    path.write_text(json.dumps(content))
    assert_one_line(train(tools, tmp_path, own_data), 'train.json', 'none with a polygon')


def test_work_dir_and_launcher_and_empty_config(tools, data, tmp_path):
    (tmp_path / 'file').touch()
    done = train(tools, tmp_path, data, '--work-dir', tmp_path / 'file')
    assert_one_line(done, f'The work dir {tmp_path / "file"} cannot be made')
    assert_one_line(train(tools, tmp_path, data, '--launcher', 'slurm'), 'SLURM_PROCID')
    (tmp_path / 'empty.py').touch()
    for name, part in (('train.py', 'train_dataloader'), ('test.py', 'test_evaluator')):
        rest = ['no.pth'] if name == 'test.py' else []
        done = tools.run(tmp_path, f'tools/{name}', tmp_path / 'empty.py', *rest)
        assert_one_line(done, 'empty.py has no model', part)


def test_what_is_no_error_but_a_surprise_is_said(tools, data, tmp_path):
    options = ('--cfg-options', 'max_epochs=9', 'train_cfg.max_epochs=1')
    done = train(tools, tmp_path, data, '--resume', *options).check()
    assert 'warning: --cfg-options max_epochs=9 has no effect' in done.err
    lines = (done.out + done.err).splitlines()
    (line,) = [line for line in lines if 'training starts from the beginning' in line]
    assert f'no checkpoint in {tmp_path / "work_dirs/wrong"}' in line


# ---- images


def test_broken_image_in_a_worker_of_data_loading(segmenter, tools, own_data, tmp_path):
    broken = own_data / 'val/sample_val_0003.jpg'
    broken.write_bytes(b'no image')
    config = journey.write_config(tmp_path / 'tiny.py', own_data)
    done = tools.run(
        tmp_path,
        'tools/test.py',
        config,
        segmenter.only('best_*.pth'),
        '--cfg-options',
        'test_dataloader.num_workers=1',
    )
    assert_one_line(done, f'Cannot read the image {broken}', 'Repair or replace')
    assert 'DataLoader' not in done.err


# ---- checkpoints


@pytest.fixture
def truncated(segmenter, tmp_path):
    whole = segmenter.only('epoch_3.pth').read_bytes()
    path = tmp_path / 'truncated.pth'
    path.write_bytes(whole[: len(whole) // 2])
    return path


def test_truncated_checkpoint(segmenter, truncated, tools, data, tmp_path):
    parts = (f'Checkpoint {truncated} is damaged', 'Copy or download it again')
    assert_one_line(train(tools, tmp_path, data, '--cfg-options', f'load_from={truncated}'), *parts)
    assert_one_line(train(tools, tmp_path, data, '--resume', truncated), *parts)
    assert_one_line(tools.run(tmp_path, 'tools/test.py', segmenter.config, truncated), *parts)


def test_missing_checkpoint(segmenter, tools, data, tmp_path):
    missing = segmenter.work_dir / 'epoch_4.pth'
    for done in (
        tools.run(tmp_path, 'tools/test.py', segmenter.config, missing),
        train(tools, tmp_path, data, '--resume', missing),
    ):
        assert_one_line(done, f'Checkpoint not found: {missing}', 'epoch_3.pth')


def test_missing_weights_to_start_from(tools, data, tmp_path):
    extra = "\nload_from = 'checkpoints/no.pth'\n"
    done = train(tools, tmp_path, data, '--work-dir', tmp_path / 'wd', extra=extra)
    parts = ('wrong.py, line ', 'Checkpoint not found: checkpoints/no.pth', 'yolov5_to_mmyolo.py')
    assert_one_line(done, *parts)
    assert 'dataset check' not in done.out and not (tmp_path / 'wd').exists()


def test_checkpoint_of_another_model(detector, segmenter, tools, tmp_path):
    boxes = detector.only('best_*.pth')
    done = tools.run(tmp_path, 'tools/test.py', segmenter.config, boxes)
    assert_one_line(
        done,
        f'Checkpoint {boxes} does not fit the model',
        'differ in shape',
        'are not in the file',
        'bbox_head.head_module',
        '; ...',
    )
    done = tools.run(
        tmp_path, 'tools/train.py', segmenter.config, '--work-dir', 'wd', '--resume', boxes
    )
    assert_one_line(done, f'Checkpoint {boxes} does not fit the model')


def test_checkpoint_without_anything_that_fits(segmenter, tools, data, tmp_path):
    for content, part in (
        ({'state_dict': {'other.weight': torch.zeros(1)}}, 'does not fit the model'),
        ({'epoch': 3}, 'holds no weights'),
    ):
        torch.save(content, tmp_path / 'other.pth')
        done = train(tools, tmp_path, data, '--cfg-options', f'load_from={tmp_path / "other.pth"}')
        assert_one_line(done, f'Checkpoint {tmp_path / "other.pth"} {part}')


def test_bare_weights_are_no_training_to_resume(segmenter, tools, data, tmp_path):
    weights = torch.load(segmenter.only('epoch_3.pth'), weights_only=False)['state_dict']
    torch.save(weights, tmp_path / 'weights.pth')
    assert_one_line(
        train(tools, tmp_path, data, '--resume', tmp_path / 'weights.pth'), 'weights alone'
    )
    tools.run(tmp_path, 'tools/test.py', segmenter.config, tmp_path / 'weights.pth').check()
