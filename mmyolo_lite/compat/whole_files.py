"""Files that mmengine writes appear whole or not at all.

mmengine 0.10.7 opens the final name and writes into it: a kill, or a full disk, leaves half a
checkpoint under the name that resuming looks for. Here bytes and text go beside it first, are
flushed to the disk, and renamed. Can go when mmengine does so.
"""

import contextlib
import os
import uuid
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend


class WholeFilesBackend(LocalBackend):
    """mmengine's backend of the local disk, whose writing replaces files in one step."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes.

        Raises:
            OSError: they cannot be written; what was there stays.
        """
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f'.{path.name[:100]}.{uuid.uuid4().hex[:8]}.part')
        try:
            with part.open('wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink()

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text.

        Raises:
            OSError: it cannot be written; what was there stays.
        """
        self.put(obj.encode(encoding), filepath)


def install() -> None:
    """Make mmengine write local files through this module."""
    register_backend('local', WholeFilesBackend, force=True, prefixes='')
