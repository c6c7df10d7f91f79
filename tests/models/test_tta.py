"""Augmented views: mmdet's merging of boxes, as the shipped config names it, gives the recorded
result; masks are merged with their boxes.
"""

import json
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask
from torch import nn

from mmyolo_lite.engine.config import load_config
from mmyolo_lite.ops.run_length_masks import RunLengthMasks
from mmyolo_lite.registry import MODELS, TRANSFORMS
from tests.shared_data import REPO, golden


class Silent(BaseModel):
    """Stands in for the detector, whose predictions are recorded."""

    def forward(
        self, inputs: torch.Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> list:
        return []


def tta_model(**tta_cfg: object) -> nn.Module:
    config = Config.fromfile(str(REPO / 'configs/_base_/det_p5_tta.py'))
    config.tta_model.tta_cfg.update(tta_cfg)
    return MODELS.build({**config.tta_model, 'module': Silent()})


def view(flip: bool, ori_shape: tuple[int, int], **instances: torch.Tensor) -> DetDataSample:
    sample = DetDataSample(
        metainfo={
            'ori_shape': ori_shape,
            'flip': flip,
            'flip_direction': 'horizontal' if flip else None,
        }
    )
    sample.pred_instances = InstanceData(**instances)
    return sample


def test_recorded_views_merge() -> None:
    z = golden('golden_nms_tta.npz')
    cfg = json.loads(str(z['tta/cfg']))
    model = tta_model(max_per_img=cfg['max_per_img'])
    assert dict(model.tta_cfg.nms) == cfg['nms']
    shape = tuple(int(side) for side in z['tta/ori_shape'])
    views = [
        view(
            bool(z[f'tta/view{i}/flip']),
            shape,
            **{
                name: torch.from_numpy(z[f'tta/view{i}/{name}'])
                for name in ('bboxes', 'scores', 'labels')
            },
        )
        for i in range(6)
    ]
    merged = model.merge_preds([views])[0].pred_instances
    for name in ('bboxes', 'scores', 'labels'):
        np.testing.assert_allclose(
            merged[name].numpy(), z[f'tta/merged/{name}'], atol=1e-4, err_msg=name
        )


def test_views_without_boxes_merge_to_nothing() -> None:
    none = {
        'bboxes': torch.zeros(0, 4),
        'scores': torch.zeros(0),
        'labels': torch.zeros(0, dtype=torch.long),
    }
    merged = tta_model().merge_preds([[view(flip, (10, 20), **none) for flip in (True, False)]])
    assert len(merged[0].pred_instances) == 0


def test_masks_are_refused() -> None:
    one = {
        'bboxes': torch.zeros(1, 4),
        'scores': torch.zeros(1),
        'labels': torch.zeros(1, dtype=torch.long),
        'masks': torch.zeros(1, 10, 20, dtype=torch.bool),
    }
    model = tta_model()
    with pytest.raises(AssertionError, match='instance segmentation'):
        model.merge_preds([[view(False, (10, 20), **one)]])


def circle(x: float) -> np.ndarray:
    rows, columns = np.mgrid[:20, :30]
    return (columns - x) ** 2 + (rows - 10) ** 2 < 16


def masked_view(flip: bool, as_runs: bool, *objects: tuple[float, float]) -> DetDataSample:
    """Objects are circles at x, in the view, with their scores."""
    masks = np.array([circle(x) for x, _ in objects], dtype=np.bool_).reshape(-1, 20, 30)
    encoded = [coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
    return view(
        flip,
        (20, 30),
        bboxes=torch.tensor([[x - 4.0, 6.0, x + 4.0, 14.0] for x, _ in objects]).reshape(-1, 4),
        scores=torch.tensor([score for _, score in objects]),
        labels=torch.zeros(len(objects), dtype=torch.long),
        masks=RunLengthMasks(encoded, (20, 30)) if as_runs else torch.from_numpy(masks),
    )


@pytest.mark.parametrize('as_runs', [True, False])
def test_masks_go_with_the_boxes_that_stay(as_runs: bool) -> None:
    model: Any = MODELS.build(
        dict(
            type='YOLOTTAModel',
            tta_cfg=dict(nms=dict(iou_threshold=0.6), max_per_img=3),
            module=Silent(),
        )
    )
    plain = masked_view(False, as_runs, (8, 0.9), (22, 0.5))
    # mirrored, pixel x lies at 29 - x: the same two, the second one better, and another one
    mirror = masked_view(True, as_runs, (29 - 8, 0.7), (29 - 22, 0.8), (29 - 15, 0.4))
    merged = model.merge_preds([[plain, mirror]])[0].pred_instances
    np.testing.assert_allclose(merged.scores, [0.9, 0.8, 0.4])
    np.testing.assert_allclose(merged.bboxes[:, 0], [4, 19, 12])  # boxes: x1' = 30 - x2
    masks = merged.masks.numpy()
    for mask, x in zip(masks, (8, 22, 15), strict=True):
        np.testing.assert_array_equal(mask, circle(x))


@pytest.mark.parametrize('as_runs', [True, False])
def test_no_objects_at_all(as_runs: bool) -> None:
    model: Any = MODELS.build(
        dict(type='YOLOTTAModel', tta_cfg=dict(nms=dict(iou_threshold=0.6)), module=Silent())
    )
    views = [masked_view(flip, as_runs) for flip in (False, True)]
    merged = model.merge_preds([views])[0].pred_instances
    assert len(merged) == 0 and tuple(merged.masks.shape) == (0, 20, 30)


def test_views_of_a_segmenter_lie_alike() -> None:
    """Mirrored before padding, both views see the same pixels, whatever the size."""
    config = load_config(
        REPO / 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_150e_balloon_instance.py'
    )
    image = np.random.default_rng(0).integers(0, 255, (75, 121, 3), dtype=np.uint8)
    sample = dict(img=image, img_shape=(75, 121), ori_shape=(75, 121), img_id=0, img_path='')
    with DefaultScope.overwrite_default_scope(config.default_scope):
        found = TRANSFORMS.build(config.tta_pipeline[1])(sample)
    assert len(found['inputs']) == 6
    shapes = {tuple(one.shape[1:]) for one in found['inputs']}
    assert shapes == {(side, side) for side in (320, 256, 384)}
    for plain, mirror in zip(found['inputs'][:3], found['inputs'][3:], strict=True):
        assert torch.equal(plain, mirror.flip(-1))
    flips = [one.metainfo['flip'] for one in found['data_samples']]
    assert flips == [False] * 3 + [True] * 3
