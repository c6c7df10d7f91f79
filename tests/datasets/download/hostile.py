"""Archives, good and bad, made in memory for tests."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping


def make_zip(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip; names that end in a slash become folders."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', compression) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def make_tar(files: Mapping[str, bytes], mode: str = 'w') -> bytes:
    """Return a tar, compressed as the mode says."""
    return tar_of([(file_info(name), content) for name, content in files.items()], mode)


def file_info(name: str, **fields) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def tar_of(entries: list[tuple[tarfile.TarInfo, bytes]], mode: str = 'w') -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for info, content in entries:
            info.size = info.size or len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_with_mode(mode: int) -> bytes:
    """Return a zip with an entry of a Unix file type, such as a link."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        info = zipfile.ZipInfo('entry')
        info.create_system, info.external_attr = 3, mode << 16
        archive.writestr(info, '/etc/passwd')
    return buffer.getvalue()


def tar_link(kind: bytes, target: str) -> bytes:
    return tar_of(
        [
            (file_info('link', type=kind, linkname=target), b''),
            (file_info('link/evil.txt'), b'evil'),
        ]
    )


def encrypted_zip() -> bytes:
    """Return a zip whose only entry says to be encrypted, in both places that say so."""
    content = bytearray(make_zip({'a': b'x'}))
    content[content.index(b'PK\x03\x04') + 6] |= 1
    content[content.index(b'PK\x01\x02') + 8] |= 1
    return bytes(content)


GOOD = {'good.txt': b'good'}
UNSAFE: dict[str, Callable[[], bytes]] = {
    **{
        f'{kind} {name}': lambda make=make, name=name: make({**GOOD, name: b'evil'})
        for kind, make in {'zip': make_zip, 'tar': make_tar}.items()
        for name in (
            '../evil.txt',
            'a/../../evil.txt',
            '/evil.txt',
            '..\\evil.txt',
            '\\evil.txt',
            'C:\\evil.txt',
            'C:evil.txt',
            'good.txt/evil.txt',
            './good.txt',
            'line\nbreak',
            'deep/' * 80 + 'evil.txt',
            'n' * 300,
            '.',
        )
    },
    'tar parent folder': lambda: tar_of([(file_info('../evil', type=tarfile.DIRTYPE), b'')]),
    'tar symbolic link': lambda: tar_link(tarfile.SYMTYPE, '..'),
    'tar absolute link': lambda: tar_link(tarfile.SYMTYPE, '/tmp'),
    'tar hard link': lambda: tar_link(tarfile.LNKTYPE, '../secret'),
    'tar fifo': lambda: tar_link(tarfile.FIFOTYPE, ''),
    'tar device': lambda: tar_link(tarfile.CHRTYPE, ''),
    'zip symbolic link': lambda: zip_with_mode(stat.S_IFLNK | 0o777),
    'zip fifo': lambda: zip_with_mode(stat.S_IFIFO | 0o666),
    'zip encrypted': encrypted_zip,
    'zip NUL': lambda: make_zip({**GOOD, 'name_evil': b''}).replace(b'name_evil', b'name\0evil'),
    'tar.gz bomb': lambda: tar_of([(file_info('zeros'), bytes(1 << 20))], 'w:gz'),
    'tar.xz bomb': lambda: tar_of([(file_info('zeros'), bytes(1 << 20))], 'w:xz'),
    'zip bomb': lambda: make_zip({'zeros': bytes(1 << 20)}),
    'zip of many': lambda: make_zip({str(index): b'' for index in range(40)}),
    'tar.gz zeros behind': lambda: gzip_of(make_tar(GOOD) + bytes(3 << 20)),
    'tar.gz huge header': lambda: gzip_of(huge_header()),
}


def gzip_of(content: bytes) -> bytes:
    import gzip

    return gzip.compress(content)


def huge_header() -> bytes:
    """Return a tar whose first extended header claims 1 GB."""
    info = file_info('header', type=tarfile.XHDTYPE, size=1 << 30)
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)
