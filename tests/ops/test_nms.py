"""Suppression keeps the recorded boxes, in the recorded order."""

import json

import numpy as np
import pytest
import torch

from mmyolo_lite.ops.nms import batched_nms
from tests.shared_data import golden


@pytest.mark.parametrize('case', ['two_class', 'negative_coords', 'agnostic', 'split', 'single'])
def test_recorded_sets(case: str) -> None:
    z = golden('golden_nms_tta.npz')
    cfg = json.loads(str(z[f'{case}/cfg']))
    boxes, scores, labels = (
        torch.from_numpy(z[f'{case}/{name}']) for name in ('boxes', 'scores', 'labels')
    )
    kept = batched_nms(
        boxes, scores, labels, cfg['iou_threshold'], cfg.get('class_agnostic', False)
    )
    np.testing.assert_array_equal(kept.numpy(), z[f'{case}/keep'])
    np.testing.assert_array_equal(
        torch.cat((boxes[kept], scores[kept, None]), dim=1).numpy(), z[f'{case}/dets']
    )


def test_equal_scores_keep_their_order() -> None:
    boxes = torch.arange(100.0)[:, None] * 20 + torch.tensor([0.0, 0, 5, 5])
    assert batched_nms(
        boxes, torch.full((100,), 0.5), torch.zeros(100, dtype=torch.long), 0.5
    ).tolist() == list(range(100))
    same = boxes[:1].repeat(100, 1)
    assert batched_nms(
        same, torch.full((100,), 0.5), torch.zeros(100, dtype=torch.long), 0.5
    ).tolist() == [0]


def test_threshold_is_strict() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 5]])  # IoU one half
    labels = torch.zeros(2, dtype=torch.long)
    assert len(batched_nms(boxes, torch.tensor([0.9, 0.8]), labels, 0.5)) == 2
    assert len(batched_nms(boxes, torch.tensor([0.9, 0.8]), labels, 0.49)) == 1


def test_classes_do_not_meet_whatever_the_coordinates() -> None:
    box = torch.tensor([-5000.3, -4000.1, 60000.7, 30000.2])
    labels = torch.tensor([0, 79, 1, 79])
    kept = batched_nms(box.repeat(4, 1), torch.tensor([0.1, 0.2, 0.3, 0.4]), labels, 0.5)
    assert kept.tolist() == [3, 2, 0]
    assert batched_nms(
        box.repeat(4, 1), torch.tensor([0.1, 0.2, 0.3, 0.4]), labels, 0.5, True
    ).tolist() == [3]


def test_a_shift_between_classes_costs_no_precision() -> None:
    # IoU is 0.65 + 1e-4 in class 79, where a float32 shift would lose it
    first = torch.tensor([0.0, 0, 100, 100])
    second = torch.tensor([0.0, 0, 100, 65.01])
    far = torch.tensor([0.0, 0, 4000, 4000])
    kept = batched_nms(
        torch.stack((first, second, far)),
        torch.tensor([0.9, 0.8, 0.7]),
        torch.tensor([79, 79, 0]),
        0.65,
    )
    assert kept.tolist() == [0, 2]


def test_boxes_without_area_stay() -> None:
    boxes = torch.tensor([[5.0, 5, 5, 5], [5.0, 5, 5, 5], [0.0, 0, 10, 10]])
    assert batched_nms(
        boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3, dtype=torch.long), 0.1
    ).tolist() == [0, 1, 2]


def test_no_boxes() -> None:
    kept = batched_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), 0.5)
    assert kept.shape == (0,) and kept.dtype == torch.long
