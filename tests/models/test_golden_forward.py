"""Network maps, predictions, decoding, preprocessing and state dicts equal the recorded ones."""

import json
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from mmyolo_lite.engine.config import load_config
from mmyolo_lite.models.blocks import make_divisible, make_round
from mmyolo_lite.registry import MODELS
from tests.models import golden_models as gm
from tests.shared_data import REPO, golden, shared_path


@pytest.mark.parametrize('kind', ['det', 'ins'])
@pytest.mark.parametrize(('mode', 'tolerance'), [('eval', 5e-4), ('train', 2e-3)])
def test_maps(kind: str, mode: str, tolerance: float) -> None:
    z = gm.archive(kind)
    model = gm.build(kind).train(mode == 'train')
    images = gm.tensor(z['img_u8'])[:, [2, 1, 0]].float() / 255
    with torch.no_grad():
        stem_up = model.backbone(images)
        necks = model.neck(stem_up)
        maps = model.bbox_head(necks)
    named = [(f'backbone{i}', m) for i, m in enumerate(stem_up)] + [
        (f'neck{i}', m) for i, m in enumerate(necks)
    ]
    named += [
        (f'{name}{i}', m)
        for name, level in zip(gm.MAPS[kind], maps, strict=False)
        for i, m in enumerate(level)
    ]
    if kind == 'ins':
        named.append(('proto', maps[4]))
    for name, value in named:
        np.testing.assert_allclose(value.numpy(), z[f'{mode}/{name}'], atol=tolerance, err_msg=name)


def test_parameter_order_is_the_recorded_one() -> None:
    for kind in ('det', 'ins'):
        names = [name for name, _ in gm.build(kind).named_parameters()]
        assert names == [str(name) for name in gm.archive(kind)['param_names']]


@pytest.mark.parametrize(
    ('kind', 'case'), [(k, c) for k in ('det', 'ins') for c in gm.cases(k, 'pred')]
)
def test_predictions_from_recorded_maps(kind: str, case: str) -> None:
    z, prefix = gm.archive(kind), f'pred/{case}/'
    settings = gm.text(z[prefix + 'cfg'])
    with torch.no_grad():
        results = gm.build(kind).bbox_head.predict_by_feat(
            gm.maps(kind, 'eval'),
            gm.text(z[prefix + 'metas']),
            settings['test_cfg'],
            rescale=settings['rescale'],
            with_nms=settings['with_nms'],
        )
    for image, result in enumerate(results):
        recorded = {
            name: z[f'{prefix}img{image}/{name}'] for name in ('bboxes', 'scores', 'labels')
        }
        np.testing.assert_array_equal(result.labels.numpy(), recorded['labels'])
        np.testing.assert_allclose(
            result.bboxes.detach().numpy(), recorded['bboxes'].reshape(-1, 4), atol=2e-3
        )
        np.testing.assert_allclose(result.scores.detach().numpy(), recorded['scores'], atol=1e-5)
        assert (result.labels.dtype, result.scores.dtype) == (torch.int64, torch.float32)
        if kind == 'ins':
            shape = tuple(z[f'{prefix}img{image}/masks_shape'])
            masks = (
                np.unpackbits(z[f'{prefix}img{image}/masks_packed'])[: np.prod(shape)]
                .reshape(shape)
                .astype(bool)
            )
            assert result.masks.dtype == torch.bool
            assert tuple(result.masks.shape) == shape
            assert (result.masks.numpy() != masks).sum(axis=(1, 2)).max(initial=0) <= 5


def test_decoding() -> None:
    z = gm.archive('det')
    head = gm.build('det').bbox_head
    from mmyolo_lite.models.heads.head_modules import flatten_levels

    logits = flatten_levels(gm.maps('det', 'eval')[1], 3)
    priors, strides = gm.tensor(z['decode/priors']), gm.tensor(z['decode/strides'])
    boxes = head.bbox_coder.decode(priors, logits, strides)
    np.testing.assert_allclose(boxes.detach().numpy(), z['decode/boxes'], atol=2e-3)
    again = head.bbox_coder.decode(priors, head.bbox_coder.encode(priors, boxes, strides), strides)
    torch.testing.assert_close(again, boxes, atol=1e-2, rtol=1e-4)


def test_preprocessing() -> None:
    z = golden('golden_misc.npz')
    images = gm.tensor(z['prep/img_u8'])
    for key, settings in {
        'fast_rgb_255': {'mean': [0.0] * 3, 'std': [255.0] * 3, 'bgr_to_rgb': True},
        'fast_bgr_meanstd': {'mean': [103.5, 116.3, 123.7], 'std': [57.4, 57.1, 58.4]},
    }.items():
        module = MODELS.build({'type': 'YOLOv5DetDataPreprocessor', **settings})
        data = module(
            {'inputs': images, 'data_samples': {'bboxes_labels': torch.zeros(0, 6)}}, training=True
        )
        np.testing.assert_allclose(data['inputs'].numpy(), z[f'prep/{key}'], atol=1e-6)
        assert [meta['batch_input_shape'] for meta in data['data_samples']['img_metas']] == [
            images.shape[-2:]
        ] * 2


def test_rounding_helpers() -> None:
    z = golden('golden_misc.npz')
    widths = [
        [make_divisible(int(c), float(w)) for c in z['helpers/channels']]
        for w in z['helpers/widen']
    ]
    np.testing.assert_array_equal(widths, z['helpers/make_divisible'])
    counts = [
        [make_round(int(n), float(d)) for n in z['helpers/blocks']] for d in z['helpers/deepen']
    ]
    np.testing.assert_array_equal(counts, z['helpers/make_round'])


@pytest.mark.parametrize('num_classes', [1, 2, 3, 20, 80])
def test_bias_initialisation_adds_the_recorded_shift_once(num_classes: int) -> None:
    z = golden('golden_misc.npz')
    module = MODELS.build(
        {
            'type': 'YOLOv5InsHeadModule',
            'num_classes': num_classes,
            'in_channels': [32, 64, 128],
            'widen_factor': 1.0,
            'mask_channels': 4,
            'proto_channels': 8,
        }
    )
    with mock.patch.object(nn.Conv2d, 'reset_parameters', lambda layer: nn.init.zeros_(layer.bias)):
        for _ in range(2):  # a second call must not shift again
            module.init_weights()
    for level, convolution in enumerate(module.convs_pred):
        recorded = z[f'init/nc{num_classes}/level{level}/bias_delta']
        np.testing.assert_allclose(
            convolution.bias.detach().view(3, -1).numpy(), recorded, atol=1e-5
        )


def test_batch_resize() -> None:
    z = golden('golden_misc.npz')
    resize = MODELS.build({'type': 'YOLOXBatchSyncRandomResize', 'random_size_range': (64, 64)})
    resize._target_hw = tuple(int(side) for side in z['resize/target'])
    MessageHub.get_current_instance().update_info('iter', 0)
    images = gm.tensor(z['prep/img_u8']).float() / 255
    boxes = gm.tensor(z['resize/bboxes_labels_in'])
    resized, samples = resize(images, {'bboxes_labels': boxes})
    np.testing.assert_allclose(resized.numpy(), z['resize/out'], atol=1e-5)
    np.testing.assert_allclose(
        samples['bboxes_labels'].numpy(), z['resize/bboxes_labels_out'], atol=1e-4
    )
    MessageHub.get_current_instance().update_info(
        'iter', 9
    )  # every tenth iteration draws the next size
    resize(images, {'bboxes_labels': boxes})
    assert resize._target_hw == (64, 32 * int(2 * images.shape[3] / images.shape[2]))


@pytest.mark.parametrize('size', 'nsmlx')
def test_state_dicts_of_the_shipped_configs(size: str) -> None:
    recorded = json.loads(shared_path('golden/state_dict_shapes.json').read_text())
    for kind, name in (
        ('det80', f'yolov5_{size}-v61_syncbn_fast_8xb16-300e_coco.py'),
        ('ins80', f'ins_seg/yolov5_ins_{size}-v61_syncbn_fast_8xb16-300e_coco_instance.py'),
    ):
        config = load_config(REPO / 'configs/yolov5' / name)
        with torch.device('meta'):
            model = MODELS.build(config.model)
        shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
        assert list(shapes.items()) == [
            (k, list(v)) for k, v in recorded['shapes'][f'{kind}_{size}'].items()
        ]
        counts = recorded['counts'][f'{kind}_{size}']
        for part in ('backbone', 'neck', 'bbox_head'):
            if part in counts:
                assert sum(p.numel() for p in getattr(model, part).parameters()) == counts[part]
