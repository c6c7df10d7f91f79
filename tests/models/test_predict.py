"""Prediction gives what the plain way gives, with a fraction of its work, for 513 instances too."""

from typing import Any

import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from mmyolo_lite.models.heads.results import measured_letterbox
from mmyolo_lite.ops.boxes import clip_boxes
from mmyolo_lite.ops.masks import MaskSettings
from mmyolo_lite.ops.nms import batched_nms
from mmyolo_lite.registry import MODELS
from tests.models import tiny
from tests.models.plain_predict import (
    CFG,
    count_work,
    crowded_maps,
    difference,
    plain_candidates,
    plain_nms,
    plain_predict,
)
from tests.ops.plain_masks import plain_masks

SIDE = 256


def predict(head: Any, maps: list, side: int = SIDE, **options: Any) -> InstanceData:
    meta = {'ori_shape': (side, side), 'batch_input_shape': (side, side)}
    return head.predict_by_feat(maps, [meta], options.pop('cfg', CFG), rescale=False, **options)[0]


def assert_equal(found: InstanceData, plain: InstanceData) -> None:
    plain.bboxes = clip_boxes(plain.bboxes, (SIDE, SIDE))
    assert difference(found, plain) < 1e-4
    torch.testing.assert_close(found.scores, plain.scores, rtol=1e-6, atol=0)


@pytest.mark.parametrize('cfg', [{}, {'nms_pre': 50}, {'score_thr': 0.3}, {'score_thr': 0.9999}])
@pytest.mark.parametrize(('objects', 'classes'), [(0, 80), (5, 80), (60, 80), (60, 2)])
def test_equal_to_decoding_everything_first(objects: int, classes: int, cfg: dict) -> None:
    head, cfg = MODELS.build(tiny.head('det', classes)), {**CFG, **cfg}
    maps = crowded_maps(objects, classes, SIDE)
    candidates = plain_candidates(head, maps, cfg)
    assert (len(candidates) > 0) == (objects > 0 and cfg['score_thr'] < 0.9)
    assert_equal(predict(head, maps, cfg=cfg, with_nms=False), candidates)
    assert_equal(predict(head, maps, cfg=cfg), plain_predict(head, maps, cfg))


@pytest.mark.parametrize('objects', [10, 100, 300])
def test_at_least_five_times_less_work_with_80_classes(objects: int) -> None:
    head, maps = MODELS.build(tiny.head('det', 80)), crowded_maps(objects, 80, 640)
    plain = count_work(head, lambda: plain_candidates(head, maps, CFG))
    work = count_work(head, lambda: predict(head, maps, 640, with_nms=False))
    assert plain == {'sigmoids': 25200 * 85, 'boxes': 25200}
    assert 0 < 5 * work['sigmoids'] <= plain['sigmoids']
    assert 0 < 5 * work['boxes'] <= plain['boxes']


@pytest.mark.parametrize('classes', [1, 3, 80])
@pytest.mark.parametrize('count', [0, 1, 300, 3000])
def test_suppression_keeps_what_class_by_class_keeps(count: int, classes: int) -> None:
    generator = torch.Generator().manual_seed(count)
    corners = torch.rand((count, 2), generator=generator) * 200 - 50
    sizes = 20 + 60 * torch.rand((count, 2), generator=generator)
    boxes = torch.cat((corners, corners + sizes), dim=1)
    # few different scores, so that many are equal
    scores = torch.randint(1, 50, (count,), generator=generator).sort(descending=True).values / 50
    labels = torch.randint(0, classes, (count,), generator=generator)
    kept = batched_nms(boxes, scores, labels, 0.5)
    assert torch.equal(kept, plain_nms(boxes, labels, 0.5))
    assert count < 2 or 0 < len(kept) < count


# ---- 513 instances, more than OpenCV takes channels

META = {
    'ori_shape': (128, 96),
    'img_shape': (SIDE, SIDE),
    'scale_factor': (2.0, 2.0),
    'batch_input_shape': (SIDE, SIDE),
    'pad_param': [0.0, 0.0, 32.0, 32.0],
}


def full_maps(count: int) -> list[Any]:
    """Return maps with an object at `count` of the cells of stride 8, too far apart to suppress one
    another.
    """
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, channels, side, side) for side in (32, 16, 8) for channels in (2, 4, 1, 4)]
    flat = [torch.randn(shape, generator=generator) / 4 for shape in shapes]
    maps = [list(kind) for kind in (flat[::4], flat[1::4], flat[2::4], flat[3::4])]
    for level in maps[2]:
        level -= 12
    cells = torch.randperm(1024, generator=generator)[:count]
    maps[0][0].sub_(12)[0, cells % 2, cells // 32, cells % 32] += 14
    maps[2][0][0, 0, cells // 32, cells % 32] += 13
    maps[3][0] *= 12
    batches = [[level.flatten(0, 1)[None] for level in kind] for kind in maps]
    return [*batches, torch.randn((1, 4, 64, 64), generator=generator)]


def test_513_instances_of_one_image() -> None:
    head, maps = MODELS.build(tiny.head('ins', 2)), full_maps(513)
    cfg = {**CFG, 'score_thr': 0.05, 'max_per_img': 600, 'fast_test': True}
    plain, letterbox = plain_predict(head, maps, cfg), measured_letterbox(META)
    settings = MaskSettings((SIDE, SIDE), letterbox)
    masks = plain_masks(plain.coeffs, maps[4][0], plain.bboxes, settings)
    expected = torch.from_numpy(coco_mask.decode(masks)).permute(2, 0, 1).bool()
    assert expected.shape == (513, 128, 96) and expected.flatten(1).any(dim=1).sum() > 300
    plain.bboxes = clip_boxes(letterbox.to_original(plain.bboxes), META['ori_shape'])
    for as_rle in (False, True):
        found = head.predict_by_feat(maps, [META], {**cfg, 'masks_as_rle': as_rle})[0]
        assert difference(found, plain) < 1e-4
        torch.testing.assert_close(found.coeffs, plain.coeffs)
        found_masks = found.masks.to_tensor() if as_rle else found.masks
        assert found_masks.shape == expected.shape
        # rounding at the threshold
        assert (found_masks != expected).flatten(1).sum(dim=1).max() <= 1
