"""Augmented views of boxes: mmdet's merging, as the shipped config names it, gives the recorded
result.
"""

import json

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import nn

from mmyolo_lite.registry import MODELS
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
