"""Datasets, batch shapes, collating and worker seeding; tools for data beside them.

The names below come from :mod:`mmyolo_lite.datasets.registered` when they are asked for, so that
converters, which need no framework, start at once.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmyolo_lite.datasets.registered import (
        BatchShapePolicy,
        BatchShapePolicyDataset,
        YOLOv5CocoDataset,
        worker_init_fn,
        yolov5_collate,
        yolov5_worker_init,
    )

__all__ = [
    'BatchShapePolicy',
    'BatchShapePolicyDataset',
    'YOLOv5CocoDataset',
    'worker_init_fn',
    'yolov5_collate',
    'yolov5_worker_init',
]


def __getattr__(name: str) -> Any:
    """Return a name of :data:`__all__`."""
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from mmyolo_lite.datasets import registered

    return getattr(registered, name)
