"""Unpacks an archive beside its place and moves it there when it is whole."""

import filecmp
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from mmyolo_lite.datasets.download.archives import (
    CHUNK_BYTES,
    BrokenArchive,
    Member,
    entries,
    list_members,
)
from mmyolo_lite.datasets.download.disk import check_free_space
from mmyolo_lite.errors import DataError
from mmyolo_lite.whole_files import disk_errors

RESOURCE_FORK_FOLDER = '__MACOSX'
Tick = Callable[[int], object]


def unpack(
    archive: Path,
    target: Path,
    *,
    strips_top: bool = False,
    kept_tops: Collection[str] = (),
    overwrite: bool = False,
    verify: Callable[[Path], None] = lambda staging: None,
    tick: Tick = lambda count: None,
) -> dict[str, int]:
    """Unpack an archive into a folder, all of it or nothing.

    Everything is written to a hidden folder below the target first, checked, and moved into place
    by renaming. Only regular files with default permissions are made.

    Args:
        archive: A zip or tar file.
        target: An existing folder; the caller lets no other process unpack this archive there.
        strips_top: Drop ``__MACOSX`` and a single common top folder.
        kept_tops: Top folders that are not dropped though.
        overwrite: Replace files of the target that differ from those of the archive.
        verify: Called with the hidden folder before anything is moved; raises DataError to refuse.
        tick: Called with the number of bytes of each piece written.

    Returns:
        Size in bytes of each file by its path below the target, with ``/``.

    Raises:
        DataError: The archive is damaged, unsafe or empty, the disk lacks space or refuses, or
            other files are in the way.
    """
    members = list_members(archive)
    paths = layout(members, kept_tops) if strips_top else [member.parts for member in members]
    files = _file_sizes(archive, members, paths)
    check_free_space(target, sum(files.values()), f'unpacking {archive.name}')
    staging = target / f'.{archive.name}.unpacking'
    try:
        with disk_errors(staging):
            _remove(staging)  # left by a run that was killed
            staging.mkdir()
        _extract(archive, members, paths, staging, tick)
        verify(staging)
        with disk_errors(target):
            _refuse_conflicts(staging, target, overwrite)
            _merge(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return files


def _file_sizes(
    archive: Path, members: Sequence[Member], paths: Sequence[tuple[str, ...] | None]
) -> dict[str, int]:
    """Return the bytes of each file to be written; BrokenArchive when there is none."""
    files = {
        '/'.join(path): member.size
        for member, path in zip(members, paths, strict=True)
        if path and not member.is_dir
    }
    if not files:
        raise BrokenArchive(f'{archive}: holds no files')
    return files


def layout(members: Sequence[Member], kept_tops: Collection[str]) -> list[tuple[str, ...] | None]:
    """Return the path of each member after dropping ``__MACOSX`` and a single common top folder.

    None stands for a member that is left out.
    """
    tops = {member.parts[0] for member in members if member.parts} - {RESOURCE_FORK_FOLDER}
    top = next(iter(tops), '')
    has_files_on_top = any(len(member.parts) == 1 and not member.is_dir for member in members)
    strip = int(len(tops) == 1 and top not in kept_tops and not has_files_on_top)
    return [
        None if member.parts[:1] == (RESOURCE_FORK_FOLDER,) else member.parts[strip:]
        for member in members
    ]


def _extract(
    archive: Path,
    members: Sequence[Member],
    paths: Sequence[tuple[str, ...] | None],
    staging: Path,
    tick: Tick,
) -> None:
    """Write the files of an archive below the hidden folder."""
    made: set[Path] = set()
    with entries(archive) as content:
        for (member, opened), planned, path in zip(content, members, paths, strict=True):
            if member != planned:
                raise BrokenArchive(f'{archive}: changed while it was read')
            if path is None:
                continue
            target = staging.joinpath(*path)
            folder = target if member.is_dir else target.parent
            if folder not in made:  # archives hold many files and few folders
                with disk_errors(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                made.add(folder)
            if member.is_dir:
                continue
            with opened() as stream:
                written = _write(stream, target, tick)
            if written != member.size:
                raise BrokenArchive(f'{archive}: {"/".join(path)!r} is cut short')


def _write(stream: IO[bytes], target: Path, tick: Tick) -> int:
    """Copy a member to a new file and return the number of bytes."""
    written = 0
    with ExitStack() as stack:
        with disk_errors(target):
            file = stack.enter_context(open(target, 'xb'))
        while chunk := stream.read(CHUNK_BYTES):
            with disk_errors(target):
                file.write(chunk)
                file.flush()
            written += len(chunk)
            tick(len(chunk))
    return written


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _refuse_conflicts(staging: Path, target: Path, overwrite: bool) -> None:
    """Raise DataError when moving would destroy something of the user's."""
    blocking: list[Path] = []
    differing: list[Path] = []
    for folder, subfolders, files in os.walk(staging):
        there = target / Path(folder).relative_to(staging)
        blocking += [
            there / name
            for name in subfolders
            if os.path.lexists(there / name) and not (there / name).is_dir()
        ]
        blocking += [there / name for name in files if (there / name).is_dir()]
        differing += [
            there / name
            for name in files
            if (there / name).is_file()
            and not filecmp.cmp(Path(folder, name), there / name, shallow=False)
        ]
        subfolders[:] = [name for name in subfolders if (there / name).is_dir()]
    if blocking:
        raise DataError(
            f'{blocking[0]}: a file and a folder of one name; move the one that is there'
        )
    if differing and not overwrite:
        raise DataError(
            f'{differing[0]}: exists and differs from the archive, and so do '
            f'{len(differing) - 1} others; move them away, or pass --overwrite to replace them'
        )


def _merge(source: Path, target: Path) -> None:
    """Move the content of a folder into another by renaming, whole folders where it can."""
    with os.scandir(source) as content:
        found = sorted(content, key=lambda entry: entry.name)
    for entry in found:
        there = target / entry.name
        if entry.is_dir() and there.is_dir():
            _merge(Path(entry.path), there)
        else:
            os.replace(entry.path, there)
