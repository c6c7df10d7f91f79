"""The first rows of a JPEG file, without decoding the others.

A mosaic shows the lower two of its tiles from their tops down to where the output ends. The header
of a JPEG file says how many rows it has, and decoders stop there, so a smaller number in it makes
them decode less: time falls with the number of rows, and pixels stay the same.
"""

import re
from collections.abc import Iterator

_BASELINE = (0xC0, 0xC1)
"""Marks of frames in which rows follow each other: Huffman coded, not progressive."""
_OTHER_FRAMES = (*range(0xC2, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_RESTARTS, _SCAN, _EXIF, _MORE, _END = 0xDD, 0xDA, 0xE1, 0xE2, b'\xff\xd9'
_ORIENTATION = re.compile(rb'\x12\x01\x03\x00|\x01\x12\x00\x03')
"""Tag and type of EXIF's orientation, in both orders of bytes, ..."""
_UPRIGHT = re.compile(rb'\x12\x01\x03\x00\x01\0\0\0\x01\0|\x01\x12\x00\x03\0\0\0\x01\0\x01')
"""... and with the value of pictures that are not to be turned."""


def first_rows(content: bytes, rows: int, size_wh: tuple[int, int]) -> bytearray | None:
    """Return a JPEG file that decodes to the first rows of another.

    Its decoded image has at least `rows` rows, of which the first `rows` are those of the whole
    image, pixel for pixel; those after them may differ, as chroma is interpolated across rows.

    Args:
        content: The whole file.
        rows: How many are needed, at least 1.
        size_wh: Width and height that the file must have.

    Returns:
        The shorter file; None where the whole one has to be decoded: it is no plain JPEG file
        (progressive, in several scans, with restart marks, turned by EXIF, of another size,
        of several pictures, with something behind its end), or nearly all rows are needed.
    """
    if content[:2] != b'\xff\xd8':
        return None
    frame = None
    for mark, start, stop in _segments(content):
        if mark in _OTHER_FRAMES or (mark == _RESTARTS and content[start:stop] != b'\0\0'):
            return None
        if mark == _EXIF and _is_turned(content[start:stop]):
            return None
        if mark == _MORE and content.startswith(b'MPF', start):  # of several pictures
            return None
        if mark in _BASELINE:
            frame = start, content[start:stop]
        if mark == _SCAN:
            return _cut(content, frame, stop, rows, size_wh) if frame is not None else None
    return None


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield mark, start and stop of the parts up to the first scan's header."""
    place = 2
    while content[place : place + 1] == b'\xff':
        while content[place + 1 : place + 2] == b'\xff':  # fill bytes
            place += 1
        length = int.from_bytes(content[place + 2 : place + 4], 'big')
        stop = place + 2 + length
        if length < 2 or stop > len(content):
            return
        yield content[place + 1], place + 4, stop
        place = stop


def _is_turned(segment: bytes) -> bool:
    """Say whether EXIF data may tell to turn or mirror the picture."""
    return len(_ORIENTATION.findall(segment)) != len(_UPRIGHT.findall(segment))


def _cut(
    content: bytes, frame: tuple[int, bytes], scan: int, rows: int, size_wh: tuple[int, int]
) -> bytearray | None:
    """Cut a file whose only scan begins at `scan`; `frame` is the place and content of its frame's
    header: precision, height, width, number of components, three bytes for each of them.
    """
    place, header = frame
    components = header[5] if len(header) > 5 else 0
    fits = len(header) == 6 + 3 * components and components in (1, 3)
    if not fits or header[0] != 8 or header[1:5] != _as_size(size_wh):
        return None
    # the scan's header: number of components, two bytes for each, three more
    if content[scan - 4 - 2 * components] != components or not content.endswith(_END):
        return None
    block = 8 * max(header[7 + 3 * index] & 15 for index in range(components))
    if not block:
        return None
    height = (-(-rows // block) + 1) * block  # one more, whose chroma reaches upwards
    if height >= size_wh[1]:
        return None
    # Without the mark of the end a decoder does not complain of what lies before it.
    cut = bytearray(memoryview(content)[: -len(_END)])
    cut[place + 1 : place + 3] = height.to_bytes(2, 'big')
    return cut


def _as_size(size_wh: tuple[int, int]) -> bytes:
    """Return height and width as in a frame's header; empty if they are too large for it."""
    if max(size_wh) > 0xFFFF:
        return b''
    return size_wh[1].to_bytes(2, 'big') + size_wh[0].to_bytes(2, 'big')
