"""Losses, gradients and matches of the recorded cases are reproduced (spec: loss.md)."""

from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from mmyolo_lite.models.heads import loss_mixin, yolov5_ins_head
from mmyolo_lite.ops.assign import assign_level, normalize_targets
from tests.models import golden_models as gm

pytestmark = pytest.mark.filterwarnings('ignore')


def head_of(kind: str, case: str) -> tuple[Any, int]:
    """Build the head with the settings of a case; returns it with the world size."""
    z, prefix = gm.archive(kind), f'loss/{case}/'
    overrides = gm.text(z[prefix + 'overrides']) if prefix + 'overrides' in z.files else {}
    world = (
        int(z[prefix + 'world_size'])
        if prefix + 'world_size' in z.files
        else overrides.pop('world', 1)
    )
    base = gm.text(z['config'])['bbox_head']
    head: dict[str, Any] = {}
    for name in ('prior_match_thr', 'near_neighbor_thr', 'obj_level_weights'):
        if name in overrides:
            head[name] = overrides[name]
    for name in ('cls', 'obj'):
        if f'class_weight_{name}' in overrides:
            head[f'loss_{name}'] = {
                **base[f'loss_{name}'],
                'class_weight': overrides[f'class_weight_{name}'],
            }
    if prefix + 'ignore_iof_thr' in z.files:
        head['ignore_iof_thr'] = float(z[prefix + 'ignore_iof_thr'])
    if prefix + 'mask_overlap' in z.files:
        head['mask_overlap'] = bool(z[prefix + 'mask_overlap'])
    return gm.build(kind, **head), world


def losses_of(model: Any, maps: Any, targets: dict, world: int) -> dict[str, torch.Tensor]:
    with (
        mock.patch.object(loss_mixin, 'get_world_size', lambda: world),
        mock.patch.object(yolov5_ins_head, 'get_world_size', lambda: world),
    ):
        return model.bbox_head.loss_by_feat(maps, targets)


def all_cases() -> list[tuple[str, str]]:
    return [(kind, case) for kind in ('det', 'ins') for case in gm.cases(kind, 'loss')]


@pytest.mark.parametrize(('kind', 'case'), all_cases())
def test_losses_from_recorded_maps(kind: str, case: str) -> None:
    model, world = head_of(kind, case)
    targets = gm.batch(kind, case)
    before = targets['bboxes_labels'].clone()
    losses = losses_of(model, gm.maps(kind, 'train'), targets, world)
    z = gm.archive(kind)
    assert set(losses) == {
        name
        for name in ('loss_cls', 'loss_obj', 'loss_bbox', 'loss_mask')
        if f'loss/{case}/{name}' in z.files
    }
    for name, value in losses.items():
        assert value.shape == (1,)
        np.testing.assert_allclose(
            value.detach().numpy(), z[f'loss/{case}/{name}'], rtol=1e-5, atol=1e-7
        )
    assert torch.equal(targets['bboxes_labels'], before), 'the batch must not change'


@pytest.mark.parametrize('kind', ['det', 'ins'])
def test_losses_and_gradients_end_to_end(kind: str) -> None:
    z, case = gm.archive(kind), {'det': 'plain', 'ins': 'overlap'}[kind]
    model = gm.build(kind).train()
    images = gm.tensor(z['img_u8'])
    data = model.data_preprocessor({'inputs': images, 'data_samples': gm.batch(kind, case)}, True)
    losses = model(data['inputs'], data['data_samples'], mode='loss')
    sum(losses.values()).backward()
    for name, value in losses.items():
        np.testing.assert_allclose(value.detach().numpy(), z[f'loss/{case}/{name}'], rtol=1e-4)
    for name, norm in zip(z['param_names'], z[f'loss/{case}/gradnorm_per_param'], strict=True):
        gradient = dict(model.named_parameters())[str(name)].grad
        assert float(gradient.norm()) == pytest.approx(float(norm), rel=1e-3, abs=1e-6), name
    for key in (k for k in z.files if k.startswith(f'loss/{case}/grad/')):
        recorded = gm.tensor(z[key])
        gradient = dict(model.named_parameters())[key.split('/grad/')[1]].grad
        assert float((gradient - recorded).norm()) <= 1e-3 * float(recorded.norm()) + 1e-9, key
    for key in (k for k in z.files if k.startswith('train/bn/')):
        np.testing.assert_allclose(
            model.state_dict()[key[len('train/bn/') :]].numpy(), z[key], atol=1e-4
        )


@pytest.mark.parametrize(
    ('kind', 'case'),
    [('det', c) for c in ('plain', 'edges', 'shared_cells', 'near03')] + [('ins', 'overlap')],
)
def test_matches(kind: str, case: str) -> None:
    model, _ = head_of(kind, case)
    z, head = gm.archive(kind), model.bbox_head
    targets = normalize_targets(gm.batch(kind, case)['bboxes_labels'], gm.INPUT_HW)
    for level, obj_map in enumerate(gm.maps(kind, 'train')[2]):
        found = assign_level(
            targets,
            head.anchors[level],
            obj_map.shape[-2:],
            head.prior_match_thr,
            head.near_neighbor_thr,
        )
        prefix = f'loss/{case}/match{level}/'
        names = {
            'img': found.image,
            'prior': found.prior,
            'gy': found.row,
            'gx': found.column,
            'cls': found.label,
            'gt': found.target,
        }
        for name, value in names.items():
            np.testing.assert_array_equal(value.numpy(), z[prefix + name], err_msg=name)
        np.testing.assert_allclose(found.box.numpy(), z[prefix + 'pos_target_xywh'], atol=1e-6)


@pytest.mark.parametrize('case', ['overlap', 'separate', 'image_without_gt', 'overlap_masks_2x'])
def test_mask_terms_of_each_level_and_image(case: str) -> None:
    model, _ = head_of('ins', case)
    head, maps, targets = model.bbox_head, gm.maps('ins', 'train'), gm.batch('ins', case)
    table = normalize_targets(targets['bboxes_labels'], gm.INPUT_HW)
    positives = [
        assign_level(table, anchors, m.shape[-2:])
        for anchors, m in zip(head.anchors, maps[2], strict=True)
    ]
    terms = head.mask_terms(maps, targets, table, positives)
    np.testing.assert_allclose(
        terms.detach().numpy(), gm.archive('ins')[f'loss/{case}/mask_terms'], rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize('case', ['plain', 'no_gt'])
def test_one_class(case: str) -> None:
    z = gm.archive('det')
    from mmyolo_lite.registry import MODELS

    head = MODELS.build(gm.text(z['one_class/config'])['bbox_head'])
    maps = [
        [gm.tensor(z[f'train/{name}{level}']) for level in range(3)]
        for name in ('cls', 'bbox', 'obj')
    ]
    maps[0] = [m[:, :3] for m in maps[0]]
    prefix = f'one_class/loss/{case}/'
    losses = head.loss_by_feat(
        maps,
        {
            'bboxes_labels': gm.tensor(z[prefix + 'bboxes_labels']),
            'img_metas': [{'batch_input_shape': gm.INPUT_HW}] * 2,
        },
    )
    assert float(losses['loss_cls']) == 0 == float(z[prefix + 'loss_cls'])


@pytest.mark.parametrize('case', ['no_gt', 'no_gt_separate', 'image_without_gt'])
def test_every_parameter_has_a_gradient_for_every_batch(case: str) -> None:
    model, _ = head_of('ins', case)
    model.train()
    images = gm.tensor(gm.archive('ins')['img_u8']).float() / 255
    sum(model(images, gm.batch('ins', case), mode='loss').values()).backward()
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert missing == []


def test_loss_twice_is_the_same() -> None:
    model, _ = head_of('ins', 'overlap')
    targets, maps = gm.batch('ins', 'overlap'), gm.maps('ins', 'train')
    first, second = (model.bbox_head.loss_by_feat(maps, targets) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_bfloat16_is_within_one_percent_and_extreme_maps_stay_finite() -> None:
    model, _ = head_of('ins', 'overlap')
    targets, maps = gm.batch('ins', 'overlap'), gm.maps('ins', 'train')
    low = [[m.bfloat16() for m in level] for level in maps[:4]] + [maps[4].bfloat16()]
    reference = model.bbox_head.loss_by_feat(maps, targets)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.bbox_head.loss_by_feat(low, targets)
    for name, value in losses.items():
        assert value.dtype == torch.float32
        assert float(value) == pytest.approx(float(reference[name]), rel=1e-2)
    extreme = [[(m.sign() * 100).half() for m in level] for level in maps[:4]] + [
        (maps[4].sign() * 100).half()
    ]
    assert all(
        torch.isfinite(v).all() for v in model.bbox_head.loss_by_feat(extreme, targets).values()
    )
