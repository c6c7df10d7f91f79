"""Checkpoints in the official YOLOv5 layout, made of weights of this project by the inverse of the
mapping, written here anew (spec: weights.md).
"""

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

NAMES = [f'class {label}' for label in range(3)]
ANCHORS = [
    [(10, 13), (16, 30), (33, 23)],
    [(30, 61), (62, 45), (59, 119)],
    [(116, 90), (156, 198), (373, 326)],
]
INVERSE = [
    ('backbone.stem.', 'model.0.'),
    ('backbone.stage4.2.conv', 'model.9.cv'),
    *[(f'backbone.stage{n}.0.', f'model.{2 * n - 1}.') for n in (1, 2, 3, 4)],
    *[(f'backbone.stage{n}.1.', f'model.{2 * n}.') for n in (1, 2, 3, 4)],
    ('neck.reduce_layers.2.', 'model.10.'),
    ('neck.top_down_layers.0.0.', 'model.13.'),
    ('neck.top_down_layers.0.1.', 'model.14.'),
    ('neck.top_down_layers.1.', 'model.17.'),
    ('neck.downsample_layers.0.', 'model.18.'),
    ('neck.bottom_up_layers.0.', 'model.20.'),
    ('neck.downsample_layers.1.', 'model.21.'),
    ('neck.bottom_up_layers.1.', 'model.23.'),
    ('bbox_head.head_module.convs_pred.', 'model.24.m.'),
    ('bbox_head.head_module.proto_pred.conv', 'model.24.proto.cv'),
]
CSP = [('main_conv.', 'cv1.'), ('short_conv.', 'cv2.'), ('final_conv.', 'cv3.')]


def official_name(name: str) -> str:
    """Return the official name of a weight of this project."""
    (place,) = [(own, other) for own, other in INVERSE if name.startswith(own)]
    name = name.replace(*place, 1)
    for own, other in CSP:
        name = name.replace(own, other)
    if '.blocks.' in name:
        name = name.replace('.blocks.', '.m.').replace('.conv1.', '.cv1.')
        name = name.replace('.conv2.', '.cv2.')
    return name


def official_weights(
    own: Mapping[str, Tensor], anchors: Any = ANCHORS, half: bool = False
) -> dict[str, Tensor]:
    """Return weights under official names, with the anchors in units of cells."""
    weights = {official_name(name): tensor for name, tensor in own.items()}
    strides = torch.tensor([8.0, 16.0, 32.0])[:, None, None]
    weights['model.24.anchors'] = torch.tensor(anchors, dtype=torch.float32) / strides
    if half:
        return {n: t.half() if t.is_floating_point() else t for n, t in weights.items()}
    return weights


def filled(expected: Mapping[str, Tensor], half: bool = False) -> dict[str, Tensor]:
    """Give tensors without content some: views into one random storage, which keeps files small."""
    size = max(tensor.numel() for tensor in expected.values()) + len(expected)
    storage = torch.randn(size, generator=torch.Generator().manual_seed(0)).abs()
    storage = storage.half() if half else storage
    return {
        name: torch.tensor(7)
        if not tensor.dim()
        else storage[place : place + tensor.numel()].view(tensor.shape)
        for place, (name, tensor) in enumerate(expected.items())
    }


def _define_classes() -> tuple[ModuleType, ModuleType]:
    package, module = ModuleType('models'), ModuleType('models.yolo')
    package.yolo = module  # type: ignore[attr-defined]
    for name in ('Model', 'Conv', 'Detect', 'Plain'):
        base = object if name == 'Plain' else nn.Module
        kind = type(name, (base,), {'__module__': 'models.yolo', '__qualname__': name})
        setattr(module, name, kind)
    return package, module


_PACKAGE, _MODULE = _define_classes()


@contextmanager
def foreign_classes() -> Iterator[Any]:
    """Let the classes of another project be imported, until the end of the block."""
    names = {'models': _PACKAGE, 'models.yolo': _MODULE}
    with mock.patch.dict(sys.modules, names):
        yield _MODULE


def module_tree(weights: Mapping[str, Tensor], classes: Any) -> nn.Module:
    """Return foreign modules that hold weights under their dotted names."""
    root = classes.Model()
    for name, tensor in weights.items():
        *path, leaf = name.split('.')
        node = root
        for part in path:
            if part not in node._modules:
                node.add_module(part, classes.Conv())
            node = node._modules[part]  # type: ignore[assignment]
        if leaf in ('weight', 'bias'):
            node.register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
        else:
            node.register_buffer(leaf, tensor)
    return root


def save_official(
    path: Path,
    weights: Mapping[str, Tensor],
    names: Any = NAMES,
    part: str = 'model',
    legacy: bool = False,
    **extra: Any,
) -> Path:
    """Write a checkpoint with a pickled model of foreign classes."""
    with foreign_classes() as classes:
        model: Any = module_tree(weights, classes)
        model.names, model.nc, model.yaml = names, len(names), {'nc': len(names)}
        model.stride = torch.tensor([8.0, 16.0, 32.0])
        model.detect = classes.Detect
        content = {'epoch': -1, 'model': None, 'ema': None, 'date': '2022-02-22', part: model}
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # legacy files hold the classes' source
            torch.save(content | extra, path, _use_new_zipfile_serialization=not legacy)
    return path
