"""Fences around dependencies: the only place that patches anything, and only what a test shows to
be broken.

One file per fence, each saying what breaks, why, and when the fence can go. ``import mmyolo_lite``
calls :func:`install_with_mmengine`: the fences go up as soon as mmengine is imported, by whomever,
and so before mmcv and mmdet, which both import it first. Until then nothing heavy is imported, and
a command line answers ``--help`` at once.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_FIRST = 'mmengine'
_installed = False


def install() -> None:
    """Install every fence that the environment needs, once.

    Raises:
        DependencyError: mmcv is not installed.
    """
    global _installed
    if _installed:
        return
    from mmyolo_lite.compat import (
        albu,
        checkpoints,
        config_text,
        installed_packages,
        mmcv_ext,
        own_configs,
        versions,
        whole_files,
    )

    versions.install()
    mmcv_ext.install()
    installed_packages.install()
    checkpoints.install()
    albu.install()
    config_text.install()
    own_configs.install()
    whole_files.install()
    # from here on the alias scope answers too, which no import by mmengine would reach
    from mmyolo_lite import registry  # noqa: F401

    _installed = True


def install_with_mmengine() -> None:
    """Install the fences now if mmengine is imported, else right after it is."""
    if _FIRST in sys.modules:
        install()
    elif not any(isinstance(finder, _AfterMMEngine) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterMMEngine())


class _AfterMMEngine(MetaPathFinder):
    """Calls :func:`install` when mmengine has been executed, and steps aside."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname != _FIRST:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            sys.meta_path.insert(0, self)
            return None
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_and_install(module: ModuleType) -> None:
            try:
                execute(module)
                install()
            except BaseException:
                sys.meta_path.insert(0, self)  # the next import tries again
                raise

        loader.exec_module = execute_and_install
        return spec
