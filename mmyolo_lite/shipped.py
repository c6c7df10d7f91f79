"""Where the configs and command lines that belong to the package lie: in a checkout beside it, in
an installed wheel under ``.mim``, where ``mim`` looks for them too.
"""

from pathlib import Path

PREFIX = 'mmyolo_lite::'
"""What a path of a shipped config begins with: ``mmyolo_lite::yolov5/…``."""

_PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """Return the folder that holds ``configs/``, ``tools/`` and ``demo/``.

    A checkout goes first: ``mim`` leaves links to it under ``.mim`` that may be old.
    """
    checkout = _PACKAGE.parent
    if (checkout / 'pyproject.toml').is_file() and (checkout / 'configs').is_dir():
        return checkout
    return _PACKAGE / '.mim'


def config_path(name: str) -> Path:
    """Return where the config of a name in the form ``mmyolo_lite::yolov5/NAME.py`` lies.

    The file need not exist. Any name without the prefix is taken for a path.
    """
    if not name.startswith(PREFIX):
        return Path(name)
    return root() / 'configs' / name.removeprefix(PREFIX)
