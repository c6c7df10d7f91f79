"""The tiny recorded models of the fixtures, built and loaded, and their recorded maps as
tensors.
"""

import json
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from mmyolo_lite.registry import MODELS
from tests.shared_data import golden

MAPS = {'det': ('cls', 'bbox', 'obj'), 'ins': ('cls', 'bbox', 'obj', 'coeff')}
INPUT_HW = (128, 160)


@cache
def archive(kind: str) -> Any:
    """Return the fixture archive of the detector ('det') or the instance-segmentation model
    ('ins').
    """
    return golden(f'golden_{kind}_tiny.npz')


def tensor(value: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(value))


def text(value: np.ndarray) -> Any:
    return json.loads(str(value))


def build(kind: str, **head: Any) -> nn.Module:
    """Build the recorded model, with fields of its head replaced, and load its weights."""
    z = archive(kind)
    config = text(z['config'])
    config['bbox_head'].update(head)
    model = MODELS.build(config)
    state = {key[3:]: tensor(z[key]) for key in z.files if key.startswith('sd/')}
    model.load_state_dict(state, strict=True)
    return model


def maps(kind: str, mode: str) -> list[Any]:
    """Return the recorded head maps of 'eval' or 'train' mode, as leaves that want gradients."""
    z = archive(kind)
    found: list[Any] = [
        [tensor(z[f'{mode}/{name}{level}']).requires_grad_() for level in range(3)]
        for name in MAPS[kind]
    ]
    if kind == 'ins':
        found.append(tensor(z[f'{mode}/proto']).requires_grad_())
    return found


def cases(kind: str, group: str) -> list[str]:
    return sorted({key.split('/')[1] for key in archive(kind).files if key.startswith(f'{group}/')})


def batch(kind: str, case: str) -> dict[str, Any]:
    """Return the recorded targets of a loss case in the model's form."""
    z, prefix = archive(kind), f'loss/{case}/'
    names = {'bboxes_labels', 'masks', 'ignored'}
    found: dict[str, Any] = {
        name: tensor(z[prefix + name]) for name in names if prefix + name in z.files
    }
    found['img_metas'] = [{'batch_input_shape': INPUT_HW}] * 2
    return found
