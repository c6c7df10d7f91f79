"""Bases of other packages in configs (``_base_ = 'mmdet::…'``) without ``pkg_resources``.

mmengine 0.10.7 asks ``pkg_resources`` where a package is installed. That module belongs to
setuptools before 81, which environments of Python 3.12 and later do not bring by themselves. Where
it is missing, the import system answers. Can go when mmengine asks ``importlib``.
"""

import importlib.util
import os.path as osp


def is_installed(package: str) -> bool:
    """Say whether a package of this import name can be imported."""
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None


def get_installed_path(package: str) -> str:
    """Return the folder of an installed package.

    Raises:
        ModuleNotFoundError: there is none of this import name.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f'The package {package!r} is not installed: pip install {package}'
        )
    return osp.dirname(spec.origin)


def install() -> None:
    """Answer for mmengine where ``pkg_resources`` is missing."""
    if importlib.util.find_spec('pkg_resources') is not None:
        return
    import mmengine.config.config
    import mmengine.utils
    import mmengine.utils.package_utils

    for module in (mmengine.config.config, mmengine.utils, mmengine.utils.package_utils):
        module.is_installed = is_installed
        module.get_installed_path = get_installed_path
