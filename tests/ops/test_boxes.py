"""Box formats undo each other; clipping and coverage."""

import pytest
import torch

from mmyolo_lite.ops.boxes import clip_boxes, cxcywh_to_xyxy, pairwise_iof, xyxy_to_cxcywh


@pytest.mark.parametrize('shape', [(4,), (0, 4), (7, 4), (2, 3, 4)])
def test_formats_undo_each_other(shape: tuple[int, ...]) -> None:
    boxes = torch.rand(shape, dtype=torch.float64) * 100
    torch.testing.assert_close(cxcywh_to_xyxy(xyxy_to_cxcywh(boxes)), boxes)
    torch.testing.assert_close(xyxy_to_cxcywh(cxcywh_to_xyxy(boxes)), boxes)


def test_centre_and_size() -> None:
    assert xyxy_to_cxcywh(torch.tensor([10.0, 20, 30, 60])).tolist() == [20, 40, 20, 40]


def test_clipping_leaves_its_input_alone() -> None:
    boxes = torch.tensor([[-5.0, -1, 700, 30], [650.0, 10, 660, 20]])
    before = boxes.clone()
    assert clip_boxes(boxes, (25, 640)).tolist() == [[0, 0, 640, 25], [640, 10, 640, 20]]
    assert torch.equal(boxes, before)
    assert clip_boxes(torch.zeros(0, 4), (5, 5)).shape == (0, 4)


def test_coverage_is_relative_to_the_first_box() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [20.0, 20, 24, 24]])
    regions = torch.tensor([[5.0, 0, 50, 50], [0.0, 0, 100, 100], [60.0, 60, 70, 70]])
    assert pairwise_iof(boxes, regions).tolist() == [[0.5, 1, 0], [1, 1, 0]]
    assert pairwise_iof(boxes, torch.zeros(0, 4)).shape == (2, 0)
