"""mmyolo_lite: YOLOv5 detection and instance segmentation, driven by configs.

Importing the package has the fences of :mod:`mmyolo_lite.compat` put up with the import of
mmengine, so that mmengine, mmcv and mmdet work on the PyTorch and NumPy versions found. By itself
it imports nothing heavy.
"""

from mmyolo_lite import compat
from mmyolo_lite.version import __version__

compat.install_with_mmengine()

__all__ = ['__version__']
