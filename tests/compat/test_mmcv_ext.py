"""The stand-in for mmcv's compiled module."""

import importlib.util
import sys
from pathlib import Path

import mmcv
import pytest
import torch
from torchvision.ops import nms

from mmyolo_lite.compat import mmcv_ext
from mmyolo_lite.errors import DependencyError

FULL_MMCV = any(Path(mmcv.__file__).parent.glob('_ext*'))
pytestmark = pytest.mark.skipif(FULL_MMCV, reason='the full mmcv is installed: nothing stands in')


def boxes_and_scores() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand((60, 2), generator=generator) * 50
    boxes = torch.cat((corner, corner + torch.rand((60, 2), generator=generator) * 30 + 1), dim=1)
    return boxes, torch.rand(60, generator=generator)


def test_mmdet_imports_without_compiled_operations() -> None:
    import mmdet.models
    from mmcv.ops import RoIAlign

    assert mmdet.models.RetinaNet is not None and RoIAlign is not None


def test_nms_of_mmcv_keeps_the_right_boxes() -> None:
    from mmcv.ops import nms as mmcv_nms

    boxes, scores = boxes_and_scores()
    dets, kept = mmcv_nms(boxes, scores, iou_threshold=0.3)
    expected = nms(boxes, scores, 0.3)
    assert 0 < len(expected) < 60
    assert torch.equal(kept, expected)
    torch.testing.assert_close(dets, torch.cat((boxes, scores[:, None]), dim=1)[expected])


def test_pixel_inclusive_corners() -> None:
    # 10 x 10 against 10 x 5 pixels: IoU one half when a width is x2 - x1 + 1, less without
    boxes = torch.tensor([[0.0, 0, 9, 9], [0.0, 0, 9, 4]])
    scores = torch.tensor([0.9, 0.8])
    assert mmcv_ext._nms(boxes, scores, 0.49, offset=1).tolist() == [0]
    assert mmcv_ext._nms(boxes, scores, 0.49, offset=0).tolist() == [0, 1]


def test_other_operations_say_what_to_install_when_called() -> None:
    from mmcv.ops import deform_conv2d

    ext = sys.modules['mmcv._ext']
    with pytest.raises(
        DependencyError, match='"roi_align_forward" needs the full mmcv.*pip install'
    ):
        ext.roi_align_forward(torch.zeros(1))
    convolution = torch.zeros(1, 1, 4, 4), torch.zeros(1, 18, 2, 2), torch.zeros(1, 1, 3, 3)
    with pytest.raises(DependencyError, match='needs the full mmcv'):
        deform_conv2d(*convolution)


def test_installing_again_changes_nothing() -> None:
    before = sys.modules['mmcv._ext']
    mmcv_ext.install()
    assert sys.modules['mmcv._ext'] is before


def test_a_missing_mmcv_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, package=None: None)
    with pytest.raises(DependencyError, match='mmcv-lite'):
        mmcv_ext.install()


def test_it_has_the_marks_of_no_real_module() -> None:
    # mmengine tells the full mmcv from the lite one by the loader
    ext = sys.modules['mmcv._ext']
    assert ext.__spec__ is not None and ext.__spec__.loader is None
    assert not hasattr(ext, '__file__')
