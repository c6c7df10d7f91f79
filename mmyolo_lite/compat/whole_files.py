"""Files that mmengine writes appear whole or not at all.

mmengine 0.10.7 opens the final name and writes into it: a kill, or a full disk, leaves half a
checkpoint under the name that resuming looks for. Here bytes and text go beside it first, are
flushed to the disk, and renamed. Can go when mmengine does so.
"""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmyolo_lite.whole_files import replacing


class WholeFilesBackend(LocalBackend):
    """mmengine's backend of the local disk, whose writing replaces files in one step."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes.

        Raises:
            OSError: they cannot be written; what was there stays.
        """
        with replacing(Path(filepath)) as part:
            part.write_bytes(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text.

        Raises:
            OSError: it cannot be written; what was there stays.
        """
        self.put(obj.encode(encoding), filepath)


def install() -> None:
    """Make mmengine write local files through this module."""
    register_backend('local', WholeFilesBackend, force=True, prefixes='')
