"""IoU variants and their gradients equal the recorded ones, and obey their laws."""

import numpy as np
import pytest
import torch

from mmyolo_lite.ops.boxes import cxcywh_to_xyxy
from mmyolo_lite.ops.iou import IOU_MODES, bbox_overlaps
from tests.shared_data import golden


def recorded_boxes(bbox_format: str) -> tuple[torch.Tensor, torch.Tensor]:
    z = golden('golden_iou.npz')
    boxes = [torch.from_numpy(z[name]) for name in ('pred_xywh', 'target_xywh')]
    if bbox_format == 'xyxy':
        boxes = [cxcywh_to_xyxy(b) for b in boxes]
    return boxes[0], boxes[1]


@pytest.mark.parametrize('bbox_format', ['xywh', 'xyxy'])
@pytest.mark.parametrize('mode', IOU_MODES)
def test_values(mode: str, bbox_format: str) -> None:
    values = bbox_overlaps(*recorded_boxes(bbox_format), mode, bbox_format)
    np.testing.assert_allclose(
        values.numpy(), golden('golden_iou.npz')[f'{bbox_format}/{mode}'], atol=2e-5
    )


@pytest.mark.parametrize('bbox_format', ['xywh', 'xyxy'])
@pytest.mark.parametrize('mode', ['giou', 'ciou'])
def test_gradients(mode: str, bbox_format: str) -> None:
    z = golden('golden_iou.npz')
    pred, target = recorded_boxes(bbox_format)
    pred.requires_grad_()
    (1 - bbox_overlaps(pred, target, mode, bbox_format)).sum().backward()
    rows = slice(int(z['n_random']))
    assert pred.grad is not None
    np.testing.assert_allclose(
        pred.grad[rows].numpy(), z[f'{bbox_format}/{mode}/grad_pred'][rows], atol=1e-4
    )


@pytest.mark.parametrize('mode', IOU_MODES)
def test_degenerate_pairs_have_finite_values_and_gradients(mode: str) -> None:
    point, line = [5.0, 5, 0, 0], [5.0, 5, 4, 0]
    pred = torch.tensor([point, point, line, [5.0, 5, 2, 2]], requires_grad=True)
    target = torch.tensor([point, [9.0, 9, 2, 2], line, [5.0, 5, 2, 2]])
    values = bbox_overlaps(pred, target, mode)
    values.sum().backward()
    assert torch.isfinite(values).all()
    assert pred.grad is not None
    assert torch.isfinite(pred.grad).all()


@pytest.mark.parametrize('mode', IOU_MODES)
def test_equal_boxes_give_one_and_no_value_is_larger(mode: str) -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand((50, 4), generator=generator) * 20 + 1
    torch.testing.assert_close(bbox_overlaps(boxes, boxes, mode), torch.ones(50), atol=1e-5, rtol=0)
    values = bbox_overlaps(boxes, boxes.flip(0), mode)
    assert values.max() <= 1
    assert values.min() >= (0 if mode == 'iou' else -1)


def test_shape_is_kept() -> None:
    boxes = torch.rand((2, 3, 4)) + 1
    assert bbox_overlaps(boxes, boxes).shape == (2, 3)
