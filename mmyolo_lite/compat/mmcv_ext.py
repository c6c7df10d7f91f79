"""Stand-in for mmcv's compiled module ``mmcv._ext``, for mmcv-lite.

mmdet imports names from ``mmcv.ops`` in dozens of places, and ``mmcv.ops`` loads ``mmcv._ext`` on
import, which the pure-Python wheel mmcv-lite does not carry. The stand-in makes those imports
succeed, serves ``nms`` through torchvision, and raises a clear error for every other compiled op
when it is *called*. With the full mmcv nothing is replaced. Can go when mmdet no longer imports
``mmcv.ops`` on import.
"""

import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

import torch
from torch import Tensor

from mmyolo_lite.errors import DependencyError

_NAME = 'mmcv._ext'
PIP_LINE = "pip install 'mmcv-lite>=2.1.0,<2.2.0'"


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Greedy NMS, the contract of mmcv's compiled op.

    Args:
        boxes: (N, 4) xyxy, any unit.
        scores: (N,).
        iou_threshold: boxes whose IoU with a kept box is above it are dropped (strict).
        offset: 1 for pixel-inclusive corners, where a width is ``x2 - x1 + 1``.

    Returns:
        (M,) int64 indices of the kept boxes, by descending score.
    """
    from torchvision.ops import nms

    if offset:
        boxes = torch.cat((boxes[:, :2], boxes[:, 2:] + offset), dim=1)
    return nms(boxes.float(), scores.float(), iou_threshold)


def _missing_op(name: str) -> Callable[..., NoReturn]:
    def call(*args: Any, **kwargs: Any) -> NoReturn:
        raise DependencyError(
            f'The compiled operation "{name}" needs the full mmcv, but mmcv-lite is installed. '
            'Install a build of mmcv 2.1 that matches your PyTorch in its place '
            "(pip uninstall mmcv-lite, then pip install 'mmcv>=2.1.0,<2.2.0')."
        )

    call.__name__ = name
    return call


class _StandIn(ModuleType):
    """A module in which every name is an op: `nms` works, all others raise when called."""

    nms = staticmethod(_nms)

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith('__'):
            raise AttributeError(name)
        return _missing_op(name)


def install() -> None:
    """Put the stand-in in place if mmcv is there without its compiled module.

    Raises:
        DependencyError: there is no mmcv at all.
    """
    if importlib.util.find_spec('mmcv') is None:
        raise DependencyError(
            'mmyolo_lite needs mmcv 2.1 (the pure-Python mmcv-lite is enough), and none is '
            f'installed: {PIP_LINE}'
        )
    if _NAME in sys.modules or importlib.util.find_spec(_NAME) is not None:
        return
    stand_in = _StandIn(_NAME, 'Stand-in for the compiled operations of mmcv.')
    # mmengine takes a module without loader for "no full mmcv", which is right
    stand_in.__spec__ = ModuleSpec(_NAME, loader=None)
    sys.modules[_NAME] = stand_in
