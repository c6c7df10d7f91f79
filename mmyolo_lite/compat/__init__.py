"""Fences around dependencies: the only place that patches anything, and only what a test shows to be broken.

One file per fence, each saying what breaks, why, and when the fence can go. :func:`install` is idempotent and runs
at ``import mmyolo_lite``, before mmdet is imported.
"""

from mmyolo_lite.compat import albu, checkpoints, mmcv_ext

_installed = False


def install() -> None:
    """Install every fence that the environment needs, once."""
    global _installed
    if _installed:
        return
    mmcv_ext.install()
    checkpoints.install()
    albu.install()
    _installed = True
