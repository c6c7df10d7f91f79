"""Every shipped config loads, passes its checks and builds; settings are those of spec: data.md
8.
"""

from typing import Any

import pytest
import torch
from mmengine.config import Config

from mmyolo_lite.engine.checks import check_config
from mmyolo_lite.engine.config import load_config
from mmyolo_lite.registry import MODELS
from tests.shared_data import REPO

YOLOV5 = REPO / 'configs/yolov5'
SHIPPED = sorted(path.relative_to(YOLOV5).as_posix() for path in YOLOV5.rglob('*.py'))
FACTORS = {
    'n': (0.33, 0.25),
    's': (0.33, 0.5),
    'm': (0.67, 0.75),
    'l': (1.0, 1.0),
    'x': (1.33, 1.25),
}
TRAIN_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction')
TEST_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'pad_param')
FILL = (114, 114, 114)


def detection(size: str) -> Config:
    return load_config(YOLOV5 / f'yolov5_{size}-v61_syncbn_fast_8xb16-300e_coco.py')


def segmentation(size: str) -> Config:
    return load_config(
        YOLOV5 / f'ins_seg/yolov5_ins_{size}-v61_syncbn_fast_8xb16-300e_coco_instance.py'
    )


def assert_steps(pipeline: list, expected: list[tuple[str, dict[str, Any]]]) -> None:
    """Compare types in order, and those fields that are given."""
    assert [step.type for step in pipeline] == [kind for kind, _ in expected]
    for step, (kind, fields) in zip(pipeline, expected, strict=True):
        for name, value in fields.items():
            found = step.get(name)
            if isinstance(value, tuple):
                assert tuple(found) == pytest.approx(value), f'{kind}.{name}'
            else:
                assert found == value, f'{kind}.{name}'


@pytest.mark.parametrize('name', SHIPPED)
def test_every_config_loads_passes_its_checks_and_builds(name: str) -> None:
    config = load_config(YOLOV5 / name)
    check_config(config)
    assert config.default_scope == 'mmyolo_lite'
    with torch.device('meta'):
        model = MODELS.build(config.model)
    assert sum(p.numel() for p in model.parameters()) > 10**6
    assert 'max_epochs' not in config.default_hooks.param_scheduler, 'it follows the loop'


def test_nothing_shipped_is_missed() -> None:
    assert len(SHIPPED) >= 16


# ---- model (spec: model.md 1)


@pytest.mark.parametrize('load', [detection, segmentation])
@pytest.mark.parametrize('size', 'nsmlx')
def test_factors_and_loss_weights(size: str, load: Any) -> None:
    model = load(size).model
    for part in (model.backbone, model.neck):
        assert (part.deepen_factor, part.widen_factor) == FACTORS[size]
    assert model.bbox_head.head_module.widen_factor == FACTORS[size][1]
    weights = [model.bbox_head[name].loss_weight for name in ('loss_cls', 'loss_bbox', 'loss_obj')]
    assert weights == pytest.approx([0.5, 0.05, 1.0] if size in 'ns' else [0.3, 0.05, 0.7])
    assert model.neck.num_csp_blocks == 3


def test_test_settings() -> None:
    common = {'multi_label': True, 'nms_pre': 30000, 'score_thr': 0.001, 'max_per_img': 300}
    assert dict(detection('s').model.test_cfg) == {
        **common,
        'nms': {'type': 'nms', 'iou_threshold': 0.65},
    }
    assert dict(segmentation('s').model.test_cfg) == {
        **common,
        'nms': {'type': 'nms', 'iou_threshold': 0.6},
        'min_bbox_size': 0,
        'mask_thr_binary': 0.5,
        'fast_test': True,
        'masks_as_rle': True,
    }


# ---- loaders (spec: data.md 8.1)


@pytest.mark.parametrize(
    ('config', 'batch', 'workers'),
    [
        pytest.param(detection('s'), 16, 8, id='detection'),
        pytest.param(segmentation('s'), 16, 8, id='segmentation'),
        pytest.param(
            load_config(
                YOLOV5 / 'ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_balloon_instance.py'
            ),
            4,
            2,
            id='balloon',
        ),
    ],
)
def test_loaders(config: Config, batch: int, workers: int) -> None:
    train, val = config.train_dataloader, config.val_dataloader
    assert (train.batch_size, train.num_workers) == (batch, workers)
    assert (val.batch_size, val.num_workers, val.drop_last) == (1, 2, False)
    for loader, shuffle in ((train, True), (val, False)):
        assert (loader.persistent_workers, loader.pin_memory) == (True, True)
        assert loader.sampler == {'type': 'DefaultSampler', 'shuffle': shuffle}
    assert train.collate_fn == {'type': 'yolov5_collate'}
    assert train.dataset.filter_cfg == {'filter_empty_gt': False, 'min_size': 32}
    assert val.dataset.batch_shapes_cfg == {
        'type': 'BatchShapePolicy',
        'batch_size': 1,
        'img_size': 640,
        'size_divisor': 32,
        'extra_pad_ratio': 0.5,
    }
    assert config.test_dataloader == val
    assert config.env_cfg.cudnn_benchmark is True
    assert config.env_cfg.mp_cfg == {'mp_start_method': 'fork', 'opencv_num_threads': 0}
    evaluator = config.val_evaluator
    assert evaluator.type == 'CocoMetric' and tuple(evaluator.proposal_nums) == (100, 1, 10)
    masks = 'mask_channels' in config.model.bbox_head.head_module
    assert evaluator.metric == (['bbox', 'segm'] if masks else 'bbox')
    assert evaluator.ann_file == val.dataset.data_root + val.dataset.ann_file


def test_data_layouts() -> None:
    coco = segmentation('s').train_dataloader.dataset
    assert (coco.data_root, coco.ann_file, coco.data_prefix) == (
        'data/coco/',
        'annotations/instances_train2017.json',
        {'img': 'train2017/'},
    )
    balloon = load_config(
        YOLOV5 / 'ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_balloon_instance.py'
    )
    for loader, split in ((balloon.train_dataloader, 'train'), (balloon.val_dataloader, 'val')):
        dataset = loader.dataset
        assert (dataset.data_root, dataset.ann_file, dataset.data_prefix) == (
            'data/balloon/',
            f'{split}.json',
            {'img': f'{split}/'},
        )
        assert dataset.metainfo == {'classes': ('balloon',), 'palette': [(220, 20, 60)]}


# ---- pipelines (spec: data.md 8.2 to 8.5)


def mosaic_and_affine(size: str, masks: bool) -> list[tuple[str, dict[str, Any]]]:
    scale = 0.5 if size in 'ns' else 0.9
    affine = {
        'max_rotate_degree': 0.0,
        'max_shear_degree': 0.0,
        'scaling_ratio_range': (1 - scale, 1 + scale),
        'border': (-320, -320),
        'border_val': FILL,
    }
    if masks:
        affine |= {'min_area_ratio': 0.01, 'max_aspect_ratio': 100, 'use_mask_refine': True}
    steps: list[tuple[str, dict[str, Any]]] = [
        ('Mosaic', {'img_scale': (640, 640), 'pad_val': 114.0})
    ]
    if masks and size in 'lx':
        steps.append(('YOLOv5CopyPaste', {'prob': 0.1}))
    return [*steps, ('YOLOv5RandomAffine', affine)]


@pytest.mark.parametrize('masks', [False, True])
@pytest.mark.parametrize('size', 'nsmlx')
def test_training_pipelines(size: str, masks: bool) -> None:
    pipeline = (segmentation if masks else detection)(size).train_dataloader.dataset.pipeline
    annotations = {'with_bbox': True, **({'with_mask': True, 'mask2bbox': True} if masks else {})}
    first = [
        ('LoadImageFromFile', {'backend_args': None}),
        ('LoadAnnotations', annotations),
        *mosaic_and_affine(size, masks),
    ]
    mix = [] if size in 'ns' else [('YOLOv5MixUp', {'prob': 0.1})]
    last: list[tuple[str, dict[str, Any]]] = [
        ('mmdet.Albu', {'keymap': {'img': 'image', 'gt_bboxes': 'bboxes'}}),
        ('YOLOv5HSVRandomAug', {}),
        ('mmdet.RandomFlip', {'prob': 0.5}),
    ]
    if masks:
        last += [
            ('Polygon2Mask', {'downsample_ratio': 4, 'mask_overlap': True}),
            ('PackDetInputs', {'meta_keys': TRAIN_KEYS}),
        ]
    else:
        last.append(('mmdet.PackDetInputs', {'meta_keys': TRAIN_KEYS}))
    meta_keys = last.pop()
    assert_steps(pipeline[:-1], [*first, *mix, *last])
    assert pipeline[-1].type == meta_keys[0] and tuple(pipeline[-1].meta_keys) == TRAIN_KEYS
    assert pipeline[2].pre_transform == pipeline[:2]
    if mix:
        assert pipeline[len(first)].pre_transform == pipeline[: len(first)]
    albu = next(step for step in pipeline if step.type == 'mmdet.Albu')
    assert [(t.type, t.p) for t in albu.transforms] == [
        (name, 0.01) for name in ('Blur', 'MedianBlur', 'ToGray', 'CLAHE')
    ]


@pytest.mark.parametrize('masks', [False, True])
def test_test_pipelines(masks: bool) -> None:
    pipeline = (segmentation if masks else detection)('s').test_dataloader.dataset.pipeline
    assert_steps(
        pipeline[:-1],
        [
            ('LoadImageFromFile', {}),
            ('YOLOv5KeepRatioResize', {'scale': (640, 640)}),
            (
                'LetterResize',
                {
                    'scale': (640, 640),
                    'allow_scale_up': False,
                    'pad_val': {'img': 114},
                    'half_pad_param': True if masks else None,
                },
            ),
            ('LoadAnnotations', {'with_bbox': True, '_scope_': 'mmdet'}),
        ],
    )
    assert pipeline[-1].type == 'mmdet.PackDetInputs' and tuple(pipeline[-1].meta_keys) == TEST_KEYS


def test_masks_that_do_not_overlap() -> None:
    config = load_config(
        YOLOV5 / 'ins_seg/yolov5_ins_s-v61_syncbn_fast_non_overlap_8xb16-300e_coco_instance.py'
    )
    plain = segmentation('s')
    assert config.model.bbox_head.mask_overlap is False
    changed = [
        i
        for i, (one, other) in enumerate(
            zip(
                config.train_dataloader.dataset.pipeline,
                plain.train_dataloader.dataset.pipeline,
                strict=True,
            )
        )
        if one != other
    ]
    assert [config.train_dataloader.dataset.pipeline[i].type for i in changed] == ['Polygon2Mask']


def test_augmented_views() -> None:
    config = detection('s')
    load, augment = config.tta_pipeline
    assert (load.type, augment.type) == ('LoadImageFromFile', 'TestTimeAug')
    scales, flips, annotations, packing = augment.transforms
    assert len(scales) == 3
    for choice, side in zip(scales, (640, 320, 960), strict=True):
        assert choice.type == 'Compose'
        assert_steps(
            choice.transforms,
            [
                ('YOLOv5KeepRatioResize', {'scale': (side, side)}),
                (
                    'LetterResize',
                    {'scale': (side, side), 'allow_scale_up': False, 'pad_val': {'img': 114}},
                ),
            ],
        )
    assert [(flip.type, flip.prob) for flip in flips] == [
        ('mmdet.RandomFlip', 1.0),
        ('mmdet.RandomFlip', 0.0),
    ]
    assert [dict(step) for step in annotations] == [
        {'type': 'mmdet.LoadAnnotations', 'with_bbox': True}
    ]
    assert tuple(packing[0].meta_keys) == (*TEST_KEYS, 'flip', 'flip_direction')
    assert config.tta_model == {
        'type': 'mmdet.DetTTAModel',
        'tta_cfg': {'nms': {'type': 'nms', 'iou_threshold': 0.65}, 'max_per_img': 300},
    }


# ---- training (spec: loss.md 8 to 10)


@pytest.mark.parametrize('load', [detection, segmentation])
@pytest.mark.parametrize('size', 'nsmlx')
def test_training_rules(size: str, load: Any) -> None:
    config = load(size)
    assert config.param_scheduler is None
    assert config.optim_wrapper == {
        'type': 'OptimWrapper',
        'constructor': 'YOLOv5OptimizerConstructor',
        'optimizer': {
            'type': 'SGD',
            'lr': 0.01,
            'momentum': 0.937,
            'weight_decay': 0.0005,
            'nesterov': True,
            'batch_size_per_gpu': 16,
        },
    }
    assert config.custom_hooks == [
        {
            'type': 'EMAHook',
            'ema_type': 'ExpMomentumEMA',
            'momentum': 0.0001,
            'update_buffers': True,
            'strict_load': False,
            'priority': 49,
        }
    ]
    schedule = config.default_hooks.param_scheduler
    assert (schedule.type, schedule.scheduler_type, schedule.lr_factor) == (
        'YOLOv5ParamSchedulerHook',
        'linear',
        0.01,
    )
    assert config.train_cfg.max_epochs == 300
