"""The partial file of a download, and what is known of the version that it belongs to."""

import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from mmyolo_lite.datasets.download.sources import fingerprint
from mmyolo_lite.datasets.file_io import read_json, write_json
from mmyolo_lite.errors import DataError
from mmyolo_lite.whole_files import disk_errors


class PartialFile:
    """``<file>.part``, and ``<file>.part.json`` with the validators of the server.

    A crash between any two steps leaves either no validators, or those of bytes that were never
    mixed with another version.

    Attributes:
        final: The file when complete.
        path: The partial file.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(f'{final.name}.part')
        self._notes = final.with_name(f'{final.name}.part.json')
        for path in (final, self.path, self._notes):
            if path.exists() and not path.is_file():
                raise DataError(f'{path}: no regular file, and in the way of the download; move it')

    @property
    def size(self) -> int:
        """Number of bytes that are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _known(self, url: str) -> Mapping[str, Any]:
        """Return what was noted about the partial file of this URL; empty when nothing was."""
        try:
            notes = read_json(self._notes)
        except DataError:
            return {}
        return notes if isinstance(notes, dict) and notes.get('url') == fingerprint(url) else {}

    def validator(self, url: str) -> str | None:
        """Return the strong ETag or the date with which If-Range protects a resumed download."""
        known = self._known(url)
        etag, date = known.get('etag'), known.get('last_modified')
        if isinstance(etag, str) and etag.isprintable() and etag.startswith('"'):
            return etag
        return date if isinstance(date, str) and date.isprintable() and date else None

    def fits(self, url: str, headers: Mapping[str, str], total: int | None) -> bool:
        """Whether an answer belongs to the version that was begun, as far as one can tell.

        Servers that know ranges but not If-Range answer with the new version's bytes.
        """
        known, now = self._known(url), _describe(headers, total)
        return all(
            known.get(key) is None or value is None or known[key] == value
            for key, value in now.items()
        )

    def begin_anew(self, url: str, headers: Mapping[str, str], total: int | None) -> None:
        """Drop what is there and note the version that the bytes to come belong to."""
        self.discard()
        write_json({**_describe(headers, total), 'url': fingerprint(url)}, self._notes)

    def open(self, begin: int) -> FileIO:
        """Return the file opened for writing from a byte on; what lies behind it is cut off.

        It is unbuffered, so that a killed run leaves all that came.

        Raises:
            DataError: The folder does not allow it.
        """
        with disk_errors(self.path):
            file = FileIO(self.path, 'r+' if begin else 'w')
        file.seek(begin)
        file.truncate()
        return file

    def discard(self) -> None:
        """Remove the partial file, then its notes."""
        self.path.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the complete file its name.

        Raises:
            DataError: The system refuses.
        """
        with disk_errors(self.final):
            os.replace(self.path, self.final)
        self._notes.unlink(missing_ok=True)


def _describe(headers: Mapping[str, str], total: int | None) -> dict[str, Any]:
    return {
        'etag': headers.get('ETag'),
        'last_modified': headers.get('Last-Modified'),
        'total': total,
    }
