"""Configs of tiny models, written out so that tests that record nothing need no fixtures."""

from typing import Any

import torch
from torch import nn

from mmyolo_lite.registry import MODELS

FACTORS = {'deepen_factor': 0.33, 'widen_factor': 0.125}
CHANNELS = [256, 512, 1024]
INPUT_HW = (64, 96)
TEST_CFG = {
    'multi_label': True,
    'nms_pre': 30000,
    'score_thr': 0.001,
    'min_bbox_size': 0,
    'nms': {'type': 'nms', 'iou_threshold': 0.6},
    'max_per_img': 20,
    'mask_thr_binary': 0.5,
    'fast_test': True,
}


def head(kind: str, num_classes: int = 3, **settings: Any) -> dict[str, Any]:
    """Return the config of a detection ('det') or instance-segmentation ('ins') head."""
    module = {'num_classes': num_classes, 'in_channels': CHANNELS, 'widen_factor': 0.125}
    if kind == 'det':
        return {
            'type': 'YOLOv5Head',
            'head_module': {'type': 'YOLOv5HeadModule', **module},
            **settings,
        }
    module |= {'type': 'YOLOv5InsHeadModule', 'mask_channels': 4, 'proto_channels': 64}
    return {'type': 'YOLOv5InsHead', 'head_module': module, **settings}


def detector(
    kind: str, num_classes: int = 3, model: dict | None = None, **head_settings: Any
) -> nn.Module:
    """Build a tiny detector; `model` holds further fields of the detector itself."""
    torch.manual_seed(0)
    built = MODELS.build(
        {
            'type': 'YOLODetector',
            'data_preprocessor': {
                'type': 'YOLOv5DetDataPreprocessor',
                'mean': [0.0] * 3,
                'std': [255.0] * 3,
                'bgr_to_rgb': True,
            },
            'backbone': {'type': 'YOLOv5CSPDarknet', **FACTORS},
            'neck': {
                'type': 'YOLOv5PAFPN',
                'in_channels': CHANNELS,
                'out_channels': CHANNELS,
                'num_csp_blocks': 3,
                **FACTORS,
            },
            'bbox_head': head(kind, num_classes, **head_settings),
            'test_cfg': TEST_CFG,
            **(model or {}),
        }
    )
    built.init_weights()
    return built


def images(count: int = 2, hw: tuple[int, int] = INPUT_HW) -> torch.Tensor:
    """Return (count, 3, H, W) uint8 noise."""
    return torch.randint(
        0, 256, (count, 3, *hw), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )
