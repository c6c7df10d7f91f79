"""The note that an archive was unpacked completely, so that a second run has nothing to do."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmyolo_lite.datasets.download.sources import Checksum, fingerprint
from mmyolo_lite.datasets.file_io import read_json, write_json
from mmyolo_lite.errors import DataError

READ_BYTES = 1 << 20


def file_digest(path: Path, algorithm: str) -> str:
    """Return the hexadecimal digest of a file.

    Raises:
        DataError: It cannot be read.
    """
    digest = hashlib.new(algorithm, usedforsecurity=algorithm != 'md5')
    try:
        with open(path, 'rb') as file:
            while chunk := file.read(READ_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error.strerror})') from error
    return digest.hexdigest()


def check_digest(path: Path, checksum: Checksum) -> None:
    """Raise DataError unless a file has the digest."""
    found = file_digest(path, checksum.algorithm)
    if found != checksum.digest:
        raise DataError(
            f'{path}: wrong checksum, {checksum.algorithm} {found} instead of {checksum.digest}'
        )


def marker_path(folder: Path, archive_name: str) -> Path:
    """Return where the note on an archive unpacked into a folder is kept."""
    return folder / f'.{archive_name}.unpacked.json'


def write_marker(
    folder: Path, archive: Path, location: str, strips_top: bool, files: Mapping[str, int]
) -> None:
    """Note that an archive was unpacked completely.

    Args:
        folder: The target.
        archive: The archive, still there.
        location: URL or path it came from; kept as a fingerprint, for it may hold a token.
        strips_top: Whether its top folder was dropped.
        files: Size in bytes of each unpacked file by its path below the target.
    """
    content = {
        'archive': _stamp(archive),
        'sha256': file_digest(archive, 'sha256'),
        'location': fingerprint(location),
        'strips_top': strips_top,
        'files': dict(files),
    }
    write_json(content, marker_path(folder, archive.name))


def is_unpacked(
    folder: Path, archive: Path, location: str, strips_top: bool, checksum: Checksum | None
) -> bool:
    """Whether this archive was unpacked into the folder, and all its files are still there.

    Args:
        folder: The target.
        archive: The archive, which may be deleted by now.
        location: Where it comes from.
        strips_top: Whether its top folder is to be dropped.
        checksum: What it must have, if known.
    """
    note = _read(marker_path(folder, archive.name))
    if note is None or note.get('strips_top') is not strips_top:
        return False
    if not _all_there(folder, note['files']):
        return False
    sha256 = note.get('sha256')
    if checksum is not None and checksum.algorithm == 'sha256' and checksum.digest != sha256:
        return False
    if archive.is_file():
        return note.get('archive') == _stamp(archive) or file_digest(archive, 'sha256') == sha256
    return note.get('location') == fingerprint(location)


def _read(path: Path) -> dict[str, Any] | None:
    """Return a note, or None when there is none or somebody spoilt it."""
    try:
        note = read_json(path)
    except DataError:
        return None
    is_sound = isinstance(note, dict) and isinstance(note.get('files'), dict) and note['files']
    return note if is_sound else None


def _all_there(folder: Path, files: Mapping[str, Any]) -> bool:
    """Whether files exist; their owner may have edited them, so that sizes do not count."""
    try:
        return all((folder / name).is_file() for name in files)
    except (OSError, ValueError):
        return False


def _stamp(path: Path) -> list[int]:
    """Return size and time of change, which tell a replaced file without reading it."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
