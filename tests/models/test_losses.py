"""The IoU loss: reductions, weights and what it returns."""

import numpy as np
import pytest
import torch

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import MODELS
from tests.shared_data import golden

PAIR = (
    torch.tensor([[5.0, 5, 4, 4], [8.0, 8, 2, 6]]),
    torch.tensor([[6.0, 5, 4, 4], [8.0, 9, 3, 6]]),
)


@pytest.mark.parametrize(
    ('case', 'reduction', 'loss_weight', 'weighted', 'avg_factor'),
    [
        ('mean', 'mean', 0.05, False, None),
        ('sum', 'sum', 1.0, False, None),
        ('none', 'none', 2.0, False, None),
        ('mean_weight', 'mean', 0.05, True, None),
        ('mean_weight_avg', 'mean', 0.05, True, 7.5),
    ],
)
def test_recorded_reductions(
    case: str, reduction: str, loss_weight: float, weighted: bool, avg_factor: float | None
) -> None:
    z = golden('golden_iou.npz')
    loss = MODELS.build(
        {
            'type': 'IoULoss',
            'iou_mode': 'ciou',
            'bbox_format': 'xywh',
            'reduction': reduction,
            'loss_weight': loss_weight,
            'return_iou': True,
        }
    )
    pred, target, weight = (
        torch.from_numpy(z[name]) for name in ('pred_xywh', 'target_xywh', 'weight')
    )
    value, iou = loss(pred, target, weight=weight if weighted else None, avg_factor=avg_factor)
    np.testing.assert_allclose(value.numpy(), z[f'loss/{case}'], rtol=2e-5, atol=2e-5 * loss_weight)
    np.testing.assert_allclose(iou.numpy(), z['xywh/ciou'], atol=2e-5)


@pytest.mark.parametrize('return_iou', [True, False])
def test_all_zero_weights_keep_the_return_type(return_iou: bool) -> None:
    loss = MODELS.build({'type': 'IoULoss', 'iou_mode': 'ciou', 'return_iou': return_iou})
    result = loss(*PAIR, weight=torch.zeros(2), avg_factor=1.0)
    value = result[0] if return_iou else result
    assert isinstance(result, tuple) == return_iou
    assert value.shape == () and float(value) == 0


def test_a_weight_for_each_side_counts_by_its_mean() -> None:
    loss = MODELS.build(
        {'type': 'IoULoss', 'iou_mode': 'ciou', 'return_iou': False, 'reduction': 'none'}
    )
    by_side = loss(*PAIR, weight=torch.tensor([[1.0, 1, 0, 0], [2.0, 0, 0, 0]]))
    torch.testing.assert_close(by_side, loss(*PAIR) * 0.5)


def test_reduction_of_one_call() -> None:
    loss = MODELS.build({'type': 'IoULoss', 'iou_mode': 'giou', 'return_iou': False})
    torch.testing.assert_close(loss(*PAIR, reduction_override='none').mean(), loss(*PAIR))


@pytest.mark.parametrize(
    ('field', 'value'), [('iou_mode', 'diou'), ('bbox_format', 'cxcywh'), ('reduction', 'max')]
)
def test_unknown_settings_are_refused(field: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} is '{value}'; choose one of"):
        MODELS.build({'type': 'IoULoss', 'iou_mode': 'ciou', field: value})
