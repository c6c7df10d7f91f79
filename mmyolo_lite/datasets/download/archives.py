"""Reads zip and tar archives from strangers: what is inside, and whether it may be unpacked."""

import bz2
import gzip
import lzma
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mmyolo_lite.errors import DataError

MAX_MEMBERS = 2_000_000
MAX_TOTAL_BYTES = 1 << 40
# Pictures hardly shrink, annotations shrink to a twentieth; a bomb of one deflate layer reaches
# 1000. Small archives may unpack to MIN_SUSPECT_BYTES whatever the ratio.
MAX_RATIO = 200
MIN_SUSPECT_BYTES = 256 << 20
MAX_DEPTH = 64
MAX_PART_BYTES = 255
MAX_HEADER_BYTES = 16 << 20
# tar pads its end to 10 KiB, some writers to more
MAX_PADDING_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20
SHOWN_BYTES = 60
TAR_BLOCK = 512

ZIP_STARTS = (b'PK\x03\x04', b'PK\x05\x06')
COMPRESSIONS: tuple[tuple[bytes, Callable[..., Any]], ...] = (
    (b'\x1f\x8b', gzip.open),
    (b'BZh', bz2.open),
    (b'\xfd7zXZ\x00', lzma.open),
)


class BrokenArchive(DataError):
    """The file is no archive, or a damaged one: fetching it again may help."""


class UnsafeArchive(DataError):
    """The archive is readable, and unpacking it could do harm."""


@dataclass(frozen=True)
class Member:
    """An entry of an archive that may be unpacked.

    Attributes:
        parts: Path below the target, free of ``..``; empty for the target itself.
        size: Bytes when unpacked.
        is_dir: A folder, else a regular file.
    """

    parts: tuple[str, ...]
    size: int
    is_dir: bool


Entries = Iterator[tuple[Member, Callable[[], IO[bytes]]]]


def archive_kind(path: Path) -> str | None:
    """Return ``'zip'``, ``'tar'`` (plain or compressed) or None, by the first bytes alone.

    A compressed file counts as tar; :func:`list_members` finds out whether it is one.
    """
    try:
        with open(path, 'rb') as file:
            head = file.read(TAR_BLOCK)
    except OSError as error:
        raise BrokenArchive(f'{path}: cannot be read ({error.strerror})') from error
    if head.startswith(ZIP_STARTS):
        return 'zip'
    is_compressed = head.startswith(tuple(start for start, _ in COMPRESSIONS))
    return 'tar' if is_compressed or _is_tar_header(head) else None


def _is_tar_header(block: bytes) -> bool:
    """Whether a block of 512 bytes is a tar header by its checksum, with the magic or from before
    there was one.
    """
    try:
        tarfile.TarInfo.frombuf(block, 'utf-8', 'surrogateescape')
    except (tarfile.TarError, ValueError):
        return False
    return True


def list_members(path: Path) -> list[Member]:
    """Return what an archive holds, after checking that every entry may be unpacked.

    Nothing is written. Entries must be regular files and folders whose paths stay below the target
    (stricter than the ``data`` filter of tarfile, which lets some links pass); their number, total
    size, and size in relation to the archive are limited by the constants of this module.

    Raises:
        BrokenArchive: Not an archive, damaged or cut short.
        UnsafeArchive: An entry is outside these rules.
    """
    members: list[Member] = []
    total = 0
    files: set[tuple[str, ...]] = set()
    folders: set[tuple[str, ...]] = set()
    with entries(path) as content:
        archive_bytes = path.stat().st_size
        for member, _ in content:
            members.append(member)
            total += member.size
            _check_limits(path, len(members), total, archive_bytes)
            _check_collision(path, member, files, folders)
    return members


def check_archive(path: Path, thorough: bool = True) -> None:
    """Raise BrokenArchive unless an archive is whole, UnsafeArchive if it must not be unpacked.

    Args:
        path: The archive.
        thorough: Read every file of a zip and compare its checksum. A plain tar has none: its chain
            of headers up to the end mark is all there is, and is always followed.
    """
    if not list_members(path):
        raise BrokenArchive(f'{path}: holds no files')
    if thorough and archive_kind(path) == 'zip':
        with entries(path) as content:
            for _, opened in content:
                with opened() as stream:
                    while stream.read(CHUNK_BYTES):
                        pass


@contextmanager
def entries(path: Path) -> Iterator[Entries]:
    """Open an archive and yield an iterator over ``(member, function that opens its bytes)``.

    Raises:
        BrokenArchive: As :func:`list_members`; also for what the body of the ``with`` finds.
        UnsafeArchive: As :func:`list_members`, entry by entry.
    """
    kind = archive_kind(path)
    if kind is None:
        raise BrokenArchive(f'{path}: {what_it_is(path)}')
    try:
        with _open_zip(path) if kind == 'zip' else _open_tar(path) as content:
            yield content
    except DataError:
        raise
    # On damaged input these parsers raise a score of types from zlib.error to RecursionError.
    except Exception as error:
        text = str(error) or type(error).__name__
        raise BrokenArchive(f'{path}: damaged archive ({text[:200]})') from error


def what_it_is(path: Path) -> str:
    """Return a phrase on a file that is no archive: its size and its first characters."""
    with open(path, 'rb') as file:
        head = file.read(SHOWN_BYTES)
    start = ascii(head.decode('ascii', errors='replace').replace('\ufffd', '?'))
    guess = ''
    if head.lstrip()[:1] == b'<':
        guess = ', probably a web page'
    elif head.startswith(b'version https://git-lfs'):
        guess = ', a git-lfs pointer and not the file itself'
    return f'no zip or tar archive: {path.stat().st_size} bytes that begin {start}{guess}'


@contextmanager
def _open_zip(path: Path) -> Iterator[Entries]:
    with zipfile.ZipFile(path) as archive:

        def walk() -> Entries:
            for info in archive.infolist():
                name = info.orig_filename
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise UnsafeArchive(f'{path}: {name!r} is a link or a special file')
                if info.flag_bits & 1:
                    raise UnsafeArchive(f'{path}: {name!r} is encrypted')
                is_dir = name.endswith(('/', '\\'))
                member = _member(path, name, info.file_size, is_dir)
                yield member, lambda info=info: archive.open(info)  # type: ignore[misc]

        yield walk()


@contextmanager
def _open_tar(path: Path) -> Iterator[Entries]:
    with open(path, 'rb') as file:
        head = file.read(8)
    opener: Callable[..., Any] = next(
        (opener for start, opener in COMPRESSIONS if head.startswith(start)), open
    )
    with opener(path, 'rb') as raw:
        bounded: Any = _BoundedReads(raw)
        with tarfile.open(fileobj=bounded, mode='r:') as archive:

            def walk() -> Entries:
                for info in archive:
                    if not (info.isreg() or info.isdir()) or info.issparse():
                        raise UnsafeArchive(f'{path}: {info.name!r} is a link or a special file')
                    member = _member(path, info.name, info.size, info.isdir())
                    yield member, lambda info=info: archive.extractfile(info)  # type: ignore[misc]
                _check_tar_end(path, bounded.last, raw)

            yield walk()


def _check_tar_end(path: Path, last: bytes, raw: IO[bytes]) -> None:
    """Raise BrokenArchive unless the last block read was one of zeros: tarfile takes a damaged
    header for the end as well.

    Reading on to the end of the stream makes the decompressor compare its own checksum.
    """
    if last != bytes(TAR_BLOCK):
        raise BrokenArchive(f'{path}: damaged or cut short, its end mark is missing')
    if len(raw.read(MAX_PADDING_BYTES + 1)) > MAX_PADDING_BYTES:
        raise UnsafeArchive(f'{path}: more than {MAX_PADDING_BYTES} bytes follow its end mark')


class _BoundedReads:
    """A file whose single reads are bounded: tarfile reads a whole extended header at once, and
    its size comes from the archive.

    Attributes:
        last: What the last read returned.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self.seek, self.tell = raw.seek, raw.tell
        self._read = raw.read
        self.last = b''

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes; UnsafeArchive when that is more than a header takes."""
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise UnsafeArchive(f'a tar header claims {size} bytes')
        self.last = self._read(size)
        return self.last


def _member(path: Path, name: str, size: int, is_dir: bool) -> Member:
    """Return an entry with its path checked."""
    fault = _fault(name, is_dir)
    if size < 0:
        fault = 'has a negative size'
    if fault:
        raise UnsafeArchive(f'{path}: {name[:200]!r} {fault}; nothing was unpacked')
    return Member(_parts(name), size, is_dir)


def _parts(name: str) -> tuple[str, ...]:
    """Split a path at both kinds of slashes, for an archive from Windows may hold either."""
    return tuple(part for part in name.replace('\\', '/').split('/') if part not in ('', '.'))


def _fault(name: str, is_dir: bool) -> str | None:
    """Say why the path of an entry is refused, or return None."""
    parts = _parts(name)
    if name.startswith(('/', '\\')) or re.match('[A-Za-z]:', name):
        return 'is an absolute path'
    if '..' in parts:
        return 'leads to a parent folder'
    if not parts and not is_dir:
        return 'names no file'
    if any(ord(character) < 32 for character in name):
        return 'holds control characters'
    if len(parts) > MAX_DEPTH:
        return f'is more than {MAX_DEPTH} folders deep'
    try:
        if any(len(os.fsencode(part)) > MAX_PART_BYTES for part in parts):
            return f'holds a name longer than {MAX_PART_BYTES} bytes'
    except UnicodeEncodeError:
        return 'is no valid Unicode'
    return None


def _check_limits(path: Path, count: int, total: int, archive_bytes: int) -> None:
    """Raise UnsafeArchive when an archive unpacks to absurdly much."""
    if count > MAX_MEMBERS:
        raise UnsafeArchive(f'{path}: more than {MAX_MEMBERS} entries')
    if total > MAX_TOTAL_BYTES or total > max(MAX_RATIO * archive_bytes, MIN_SUSPECT_BYTES):
        raise UnsafeArchive(
            f'{path}: {archive_bytes} bytes that would unpack to {total} or more, a decompression '
            'bomb; nothing was unpacked'
        )


def _check_collision(
    path: Path,
    member: Member,
    files: set[tuple[str, ...]],
    folders: set[tuple[str, ...]],
) -> None:
    """Raise UnsafeArchive when two entries want one path; add the entry to the sets."""
    parts = member.parts
    above = parts if member.is_dir else parts[:-1]
    prefixes = [above[: depth + 1] for depth in range(len(above))]
    if not files.isdisjoint(prefixes):
        raise UnsafeArchive(f'{path}: {"/".join(parts)!r} lies below a file')
    folders.update(prefixes)
    if not member.is_dir:
        if parts in files or parts in folders:
            raise UnsafeArchive(f'{path}: {"/".join(parts)!r} is there twice')
        files.add(parts)
