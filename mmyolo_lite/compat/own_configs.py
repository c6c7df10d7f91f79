"""``_base_ = 'mmyolo_lite::yolov5/...'`` in configs.

mmengine 0.10.7 knows the packages that may stand before ``::`` from a list of its own, and refuses
all others. The fence answers for this package, and for ``mmyolo::`` where no package of that name
is installed, so that configs of MMYOLO's users inherit from the file of the same name here. Can go
when mmengine looks for ``.mim`` in any package.
"""

import os.path as osp

from mmyolo_lite import shipped


def install() -> None:
    """Make ``Config`` find the package's own configs; idempotent."""
    from mmengine.config import Config

    original = Config._get_cfg_path
    if getattr(original, '_knows_own', False):
        return

    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        own = own_config(cfg_path)
        # without a scope, as if it had been named by its path
        return (own, None) if own else original(cfg_path, filename)

    get_cfg_path._knows_own = True  # type: ignore[attr-defined]
    Config._get_cfg_path = staticmethod(get_cfg_path)


def own_config(name: str) -> str:
    """Return the path of a config of this package by its name in ``_base_``; '' for any other.

    Raises:
        FileNotFoundError: the package has no such config.
    """
    from mmyolo_lite import registry

    package, separator, relative = name.partition('::')
    names = (registry.SCOPE, registry.ALIAS_SCOPE) if registry._ALIAS_IS_FREE else (registry.SCOPE,)
    if not separator or package not in names:
        return ''
    path = str(shipped.config_path(shipped.PREFIX + relative))
    if not osp.isfile(path):
        raise FileNotFoundError(f'mmyolo_lite has no config {relative}')
    return path
