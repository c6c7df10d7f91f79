"""mmyolo_lite: YOLOv5 detection and instance segmentation, driven by configs.

Importing the package installs the fences of :mod:`mmyolo_lite.compat` first, so that mmengine, mmcv
and mmdet work on the PyTorch and NumPy versions found.
"""

from mmyolo_lite import compat
from mmyolo_lite.version import __version__

compat.install()

__all__ = ['__version__']
