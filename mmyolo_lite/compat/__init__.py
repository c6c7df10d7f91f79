"""Fences around dependencies: the only place that patches anything, and only what a test shows to
be broken.

One file per fence, each saying what breaks, why, and when the fence can go. :func:`install` is
idempotent and runs at ``import mmyolo_lite``, before mmdet is imported.
"""

from mmyolo_lite.compat import (
    albu,
    checkpoints,
    config_text,
    installed_packages,
    mmcv_ext,
    versions,
)

_installed = False


def install() -> None:
    """Install every fence that the environment needs, once."""
    global _installed
    if _installed:
        return
    versions.install()
    mmcv_ext.install()
    installed_packages.install()
    checkpoints.install()
    albu.install()
    config_text.install()
    # from here on the alias scope answers too, which no import by mmengine would reach
    from mmyolo_lite import registry  # noqa: F401

    _installed = True
