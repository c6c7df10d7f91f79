"""Whole pipelines of training and validation against recorded samples, seed for seed."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from mmyolo_lite.datasets import YOLOv5CocoDataset, yolov5_collate
from mmyolo_lite.registry import METRICS, TRANSFORMS
from tests.shared_data import golden

META = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'flip', 'flip_direction')
VAL_META = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'pad_param')


@pytest.fixture(scope='module')
def data():
    return golden('data_pipeline.npz')


@pytest.fixture(scope='module')
def root(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp('pipeline')
    (folder / 'ann.json').write_text(str(data['coco_json']))
    for i in range(6):
        cv2.imwrite(str(folder / f'{i}.png'), data[f'img{i}'])
    init_default_scope('mmyolo_lite')
    return folder


def dataset(root, pipeline, **kwargs):
    return YOLOv5CocoDataset(
        data_root=str(root),
        ann_file='ann.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=('a', 'b')),
        pipeline=pipeline,
        filter_cfg=dict(filter_empty_gt=False, min_size=32),
        **kwargs,
    )


def training_pipeline(variant, scale):
    width, height = scale
    masks = dict(with_mask=True, mask2bbox=True) if variant != 'det' else {}
    load = [
        dict(type='LoadImageFromFile', backend_args=None),
        dict(type='LoadAnnotations', with_bbox=True, **masks),
    ]
    mosaic = dict(type='Mosaic', img_scale=scale, pad_val=114.0, pre_transform=load)
    affine = dict(
        type='YOLOv5RandomAffine',
        max_rotate_degree=0.0,
        max_shear_degree=0.0,
        scaling_ratio_range=(0.5, 1.5),
        border=(-(width // 2), -(height // 2)),
        border_val=(114, 114, 114),
    )
    if variant != 'det':
        affine.update(min_area_ratio=0.01, max_aspect_ratio=100, use_mask_refine=True)
    chain = [mosaic, affine]
    if variant == 'seg_mixup_copypaste':
        chain.insert(1, dict(type='YOLOv5CopyPaste', prob=0.5))
        chain.append(dict(type='YOLOv5MixUp', prob=1.0, pre_transform=[*load, *chain]))
    chain += [dict(type='YOLOv5HSVRandomAug'), dict(type='mmdet.RandomFlip', prob=0.5)]
    if variant == 'det':
        return [*load, *chain, dict(type='mmdet.PackDetInputs', meta_keys=META)]
    mask = dict(type='Polygon2Mask', downsample_ratio=4, mask_overlap=variant != 'seg_single')
    return [*load, *chain, mask, dict(type='PackDetInputs', meta_keys=META)]


@pytest.mark.parametrize(
    'way', [dict(fast_pipeline=False), {}, dict(cache='ram')], ids=['plain', 'fast', 'cache']
)
@pytest.mark.parametrize('variant', ['seg_overlap', 'seg_single', 'det', 'seg_mixup_copypaste'])
def test_training_samples_equal_the_recorded_ones(data, root, variant, way):
    cases = json.loads(str(data['cases_json']))
    samples = dataset(root, training_pipeline(variant, tuple(cases['img_scale'])), **way)
    packed = []
    for item in (item for item in cases['items'] if item['variant'] == variant):
        np.random.seed(item['seed'])
        packed.append(samples[item['index']])
        _check_training_sample(data, item['key'], packed[-1])
    batch = yolov5_collate(packed)
    rows = batch['data_samples']['bboxes_labels']
    np.testing.assert_allclose(rows, data[f'{variant}_collate_bboxes_labels'], atol=1e-3)
    if variant == 'det':
        assert 'masks' not in batch['data_samples']
    else:
        assert tuple(batch['data_samples']['masks'].shape) == tuple(
            data[f'{variant}_collate_masks_shape']
        )


def _check_training_sample(data, key, packed):
    image, expected = packed['inputs'].numpy().astype(int), data[f'{key}_inputs'].astype(int)
    assert image.shape == expected.shape
    assert abs(image - expected).max() <= 2 and abs(image - expected).mean() <= 0.05
    objects = packed['data_samples'].gt_instances
    np.testing.assert_allclose(objects.bboxes.tensor, data[f'{key}_boxes'], atol=1e-3)
    np.testing.assert_array_equal(objects.labels, data[f'{key}_labels'])
    assert packed['data_samples'].flip == bool(data[f'{key}_flip'])
    if f'{key}_masks' in data:
        sample = packed['data_samples']
        masks = sample.gt_panoptic_seg.pan_seg if 'gt_panoptic_seg' in sample else objects.masks
        assert masks.shape == data[f'{key}_masks'].shape
        assert (masks.numpy() != data[f'{key}_masks']).mean() <= 0.005


def validation_set(root, scale):
    pipeline = [
        dict(type='LoadImageFromFile', backend_args=None),
        dict(type='YOLOv5KeepRatioResize', scale=scale),
        dict(
            type='LetterResize',
            scale=scale,
            allow_scale_up=False,
            half_pad_param=True,
            pad_val=dict(img=114),
        ),
        dict(type='LoadAnnotations', with_bbox=True, _scope_='mmdet'),
        dict(type='mmdet.PackDetInputs', meta_keys=VAL_META),
    ]
    policy = dict(
        type='BatchShapePolicy',
        batch_size=2,
        img_size=scale[0],
        size_divisor=32,
        extra_pad_ratio=0.5,
    )
    return dataset(root, pipeline, test_mode=True, batch_shapes_cfg=policy)


def test_validation_samples_equal_the_recorded_ones(data, root):
    samples = validation_set(root, tuple(json.loads(str(data['cases_json']))['img_scale']))
    assert [samples.get_data_info(i)['img_id'] for i in range(len(samples))] == data[
        'val_img_ids'
    ].tolist()
    for i in range(len(samples)):
        packed = samples[i]
        np.testing.assert_array_equal(packed['inputs'], data[f'val_{i}_inputs'])
        sample = packed['data_samples']
        np.testing.assert_array_equal(sample.pad_param, data[f'val_{i}_pad_param'])
        np.testing.assert_array_equal(sample.scale_factor, data[f'val_{i}_scale_factor'])
        np.testing.assert_array_equal(sample.gt_instances.bboxes.tensor, data[f'val_{i}_gt_boxes'])
        assert len(sample.ignored_instances) == data[f'val_{i}_n_ignored']


def test_mmdet_coco_metric_scores_perfect_predictions_on_the_dataset(data, root):
    samples = validation_set(root, tuple(json.loads(str(data['cases_json']))['img_scale']))
    metric = METRICS.build(
        dict(type='mmdet.CocoMetric', ann_file=str(root / 'ann.json'), metric='bbox')
    )
    metric.dataset_meta = samples.metainfo
    for i in range(len(samples)):
        sample = samples[i]['data_samples']
        truth = sample.gt_instances
        found = dict(bboxes=truth.bboxes.tensor, labels=truth.labels, scores=torch.ones(len(truth)))
        metric.process(
            {}, [dict(img_id=sample.img_id, ori_shape=sample.ori_shape, pred_instances=found)]
        )
    assert metric.evaluate(len(samples))['coco/bbox_mAP'] == pytest.approx(1.0)


def test_compose_can_be_built_from_a_config(data, root):
    steps = TRANSFORMS.build(
        dict(
            type='Compose',
            transforms=[
                dict(type='LoadImageFromFile'),
                dict(type='YOLOv5KeepRatioResize', scale=64),
            ],
        )
    )
    results = steps(dict(img_path=str(root / '0.png')))
    assert max(results['img_shape']) == 64
