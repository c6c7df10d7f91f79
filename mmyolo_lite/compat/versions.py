"""Which versions of the dependencies are tested, and one line of warning outside them."""

import warnings
from importlib import metadata

from packaging.version import InvalidVersion, Version

TESTED = {
    # distribution: first version that works, first version not tried
    'torch': ('2.4', '2.15'),
    'torchvision': ('0.19', '0.30'),
    'numpy': ('1.26', '2.6'),
    'opencv-python': ('4.9', '6'),
    'scipy': ('1.15', '1.19'),
    'mmengine': ('0.10.5', '0.11'),
    'mmcv': ('2.1', '2.2'),
    'mmcv-lite': ('2.1', '2.2'),
    'mmdet': ('3.3', '3.4'),
    'albumentations': ('2.0.3', '2.1'),
    # maintained forks under the same import names
    'onedl-mmengine': ('0.10.12', '0.11'),
    'onedl-mmcv': ('2.3.6', '2.4'),
    'onedl-mmdetection': ('3.5.1', '3.6'),
}


def untested_versions() -> list[str]:
    """Return ``'name version (tested: from low to below high)'`` of what is installed and out of
    range.
    """
    found = []
    for name, (low, high) in TESTED.items():
        try:
            version = Version(metadata.version(name))
        except (metadata.PackageNotFoundError, InvalidVersion):
            continue
        if not Version(low) <= Version(version.base_version) < Version(high):
            found.append(f'{name} {version} (tested: from {low} to below {high})')
    return found


def install() -> None:
    """Warn, in one line, about versions out of the tested ranges."""
    found = untested_versions()
    if found:
        warnings.warn(
            f'mmyolo_lite is not tested with {", ".join(found)}; it may work all the same.',
            stacklevel=2,
        )
