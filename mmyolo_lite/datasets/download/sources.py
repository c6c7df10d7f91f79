"""The data sets that the downloader knows by name, and what a URL says about its file."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from mmyolo_lite.errors import ConfigError

ARCHIVE_SUFFIXES = (
    '.zip',
    '.tar',
    '.tar.gz',
    '.tgz',
    '.tar.bz2',
    '.tbz2',
    '.tar.xz',
    '.txz',
)
# leaves room for the prefixes and suffixes of partial files, locks and markers (255 bytes in all)
MAX_NAME_BYTES = 200
HEX_DIGITS = {'md5': 32, 'sha256': 64}


@dataclass(frozen=True)
class Checksum:
    """The digest that a file must have.

    Attributes:
        algorithm: ``'sha256'`` or ``'md5'``.
        digest: Hexadecimal, lower case.
    """

    algorithm: str
    digest: str

    @classmethod
    def parse(cls, algorithm: str, digest: str) -> 'Checksum':
        """Return the checksum a user typed; ConfigError when it is not one."""
        digits = HEX_DIGITS[algorithm]
        if not re.fullmatch(rf'[0-9a-fA-F]{{{digits}}}', digest):
            raise ConfigError(f'{digest!r} is no {algorithm}: {digits} hexadecimal digits expected')
        return cls(algorithm, digest.lower())


@dataclass(frozen=True)
class Source:
    """One file to fetch: an http(s) URL or the path of a local file, and its checksum if known."""

    location: str
    checksum: Checksum | None = None

    @property
    def is_local(self) -> bool:
        """Whether the location is a path on this machine."""
        return '://' not in self.location


@dataclass(frozen=True)
class DataSet:
    """A data set known by name.

    Attributes:
        name: What ``--dataset-name`` takes.
        sources: Its files.
        save_dir: Default folder.
        strips_top: Drop ``__MACOSX`` and a single common top folder of an archive, because the
            mirrors of this set differ in them.
        expected: Glob patterns below the folder and the least number of files each must match once
            everything is unpacked.
        note: What a user has to know besides.
    """

    name: str
    sources: tuple[Source, ...]
    save_dir: str
    strips_top: bool = False
    expected: Mapping[str, int] = field(default_factory=dict)
    note: str = ''


def _data_set(name: str, base: str, files: Mapping[str, str | None], **fields: Any) -> DataSet:
    """Return a data set of files below one URL, given as ``file -> md5 or None``."""
    sources = tuple(
        Source(base + file, Checksum('md5', md5) if md5 else None) for file, md5 in files.items()
    )
    return DataSet(name, sources, **{'save_dir': f'data/{name}', **fields})


# Checksums: none of these servers publishes SHA-256. The MD5 values of the VOC files are those that
# torchvision.datasets.voc checks. For the other files nothing is known beforehand: the length that
# the server announces and the checksums inside each archive are what is compared. Their sizes in
# words, as https://cocodataset.org/#download gives them: train2017 18 GB, val2017 1 GB, test2017
# 6 GB, train2014 13 GB, val2014 6 GB, test2014 6 GB, annotations of either year 241 MB.
# The certificate of the COCO server names another host, hence http.
_KNOWN = (
    _data_set(
        'coco2017',
        'http://images.cocodataset.org/',
        {
            'zips/train2017.zip': None,
            'zips/val2017.zip': None,
            'zips/test2017.zip': None,
            'annotations/annotations_trainval2017.zip': None,
        },
        save_dir='data/coco',
    ),
    _data_set(
        'coco2014',
        'http://images.cocodataset.org/',
        {
            'zips/train2014.zip': None,
            'zips/val2014.zip': None,
            'zips/test2014.zip': None,
            'annotations/annotations_trainval2014.zip': None,
        },
    ),
    _data_set(
        'lvis',
        'https://dl.fbaipublicfiles.com/LVIS/',
        {'lvis_v1_train.json.zip': None, 'lvis_v1_val.json.zip': None},
        note='these are annotations; their images are those of coco2017',
    ),
    _data_set(
        'voc2007',
        'http://host.robots.ox.ac.uk/pascal/VOC/voc2007/',
        {
            'VOCtrainval_06-Nov-2007.tar': 'c52e279531787c972589f7e41ab4ae64',
            'VOCtest_06-Nov-2007.tar': 'b6e924de25625d8de591ea690078ad9f',
        },
    ),
    _data_set(
        'voc2012',
        'http://host.robots.ox.ac.uk/pascal/VOC/voc2012/',
        {'VOCtrainval_11-May-2012.tar': '6cd6e144f989b92b3379bac3b3de84fd'},
    ),
    _data_set(
        'balloon',
        'https://github.com/matterport/Mask_RCNN/releases/download/v2.1/',
        {'balloon_dataset.zip': None},
        strips_top=True,
        expected={
            'train/*.jpg': 61,
            'train/via_region_data.json': 1,
            'val/*.jpg': 13,
            'val/via_region_data.json': 1,
        },
    ),
    _data_set('cat', 'https://download.openmmlab.com/mmyolo/data/', {'cat_dataset.zip': None}),
)
DATA_SETS: dict[str, DataSet] = {data_set.name: data_set for data_set in _KNOWN}


def file_name(url: str) -> str:
    """Return the name under which the file of a URL is kept: the last part of its path.

    Query and fragment do not count, percent signs are decoded first, so that no spelling of ``..``
    or ``/`` leads out of the target folder.

    Raises:
        ConfigError: The URL is not http(s), or its path ends in nothing that can name a file.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise ConfigError(f'{url!r} is no URL ({error})') from error
    if parts.scheme.lower() not in ('http', 'https') or not host:
        raise ConfigError(
            f'{shown(url)}: only http and https URLs and paths of local files are understood'
        )
    name = unquote(parts.path).replace('\\', '/').rpartition('/')[2]
    if not _names_a_file(name):
        raise ConfigError(
            f'{shown(url)}: its path does not end in a file name; use a URL that does, or fetch '
            'the file by hand and pass its path to --url'
        )
    return name


def _names_a_file(name: str) -> bool:
    """Whether a name is a plain visible file name on every system.

    Hidden names and ``.part`` are those of the downloader's own files.
    """
    return (
        0 < len(name.encode(errors='replace')) <= MAX_NAME_BYTES
        and name.isprintable()
        and not name.startswith('.')
        and not name.endswith(('.part', '.part.json', ' ', '.'))
        and not any(character in name for character in '<>:"|?*')
    )


def shown(url: str) -> str:
    """Return a URL for messages: in printable characters and without user name and password."""
    try:
        parts = urlsplit(url)
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition('@')[2]))
    except ValueError:
        pass
    return url if url.isprintable() else ascii(url)


def fingerprint(location: str) -> str:
    """Return a digest of a URL or path to be kept: the text itself may hold a password or token."""
    return hashlib.sha256(location.encode(errors='surrogatepass')).hexdigest()


def stem(name: str) -> str:
    """Return a file name without the suffix of an archive, or without its last suffix."""
    for suffix in sorted(ARCHIVE_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return PurePosixPath(name).stem


def is_archive_name(name: str) -> bool:
    """Whether the suffix of a file name promises a zip or tar archive."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)
