"""What the disk has to say of its free space."""

import shutil
from pathlib import Path

from mmyolo_lite.errors import DataError
from mmyolo_lite.whole_files import disk_errors


def check_free_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise DataError when the disk of a folder has less than ``needed`` bytes free."""
    with disk_errors(folder):
        free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f'{folder}: {purpose} needs {megabytes(needed)}, the disk has {megabytes(free)} free; '
            'make room or choose another --save-dir'
        )


def megabytes(count: int) -> str:
    """Return a number of bytes for people, rounded up so that nothing needed shows as 0."""
    return f'{-(-count // 100_000) / 10:,} MB'
