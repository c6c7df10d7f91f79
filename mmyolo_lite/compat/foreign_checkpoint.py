"""The two containers of ``torch.save``, zip and legacy, read without running what they hold."""

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from mmyolo_lite.compat.foreign_objects import (
    ITEMSIZES,
    Foreign,
    Storage,
    StoredTensor,
    UnsafePickleError,
)
from mmyolo_lite.compat.foreign_pickle import read_pickle
from mmyolo_lite.errors import CheckpointError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {
    'Float': torch.float32,
    'Half': torch.float16,
    'BFloat16': torch.bfloat16,
    'Double': torch.float64,
    'Bool': torch.bool,
    'Long': torch.int64,
    'Int': torch.int32,
    'Short': torch.int16,
    'Char': torch.int8,
    'Byte': torch.uint8,
}


class ForeignCheckpoint:
    """An open checkpoint.

    Attributes:
        root: what it holds, as :func:`~mmyolo_lite.compat.foreign_pickle.read_pickle` gives it.
    """

    def __init__(self, root: Any, read: Callable[[Storage], bytearray], name: str) -> None:
        self.root = root
        self._read, self._name = read, name
        # the last of every kind: tensors that share a storage lie one after another
        self._open: dict[str, tuple[Storage, Tensor]] = {}

    def tensor(self, stored: StoredTensor, widen: bool = False) -> Tensor:
        """Read a tensor, contiguous.

        Args:
            stored: where it lies.
            widen: give floating-point numbers of any kind in float32.

        Raises:
            CheckpointError: its bytes are damaged.
        """
        with explained(self._name):
            kind = stored.storage.kind
            dtype = _DTYPES[kind]
            wanted = torch.float32 if widen and dtype.is_floating_point else dtype
            if not prod(stored.shape):
                return torch.empty(stored.shape, dtype=wanted)
            if kind not in self._open or self._open[kind][0] != stored.storage:
                flat = torch.frombuffer(self._read(stored.storage), dtype=dtype)
                self._open[kind] = stored.storage, flat
            view = self._open[kind][1].as_strided(stored.shape, stored.stride, stored.offset)
            return view.to(wanted, copy=True, memory_format=torch.contiguous_format)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what reading raises into a ``CheckpointError`` of one line.

    Damaged bytes fail in many ways: IndexError, KeyError, BadZipFile, struct.error, ZlibError ...
    """
    try:
        yield
    except UnsafePickleError as error:
        raise CheckpointError(
            f'{name} is refused: it holds {error}, which weights have no need of and which could '
            'run code when loaded. Nothing of it was run.'
        ) from error
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        raise CheckpointError(f'{name}: there is no such file.') from error
    except IsADirectoryError as error:
        raise CheckpointError(f'{name} is a folder; give a file.') from error
    except Exception as error:
        reason = ' '.join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(
            f'{name} is damaged or no checkpoint at all ({reason}). Copy or download it again.'
        ) from error


@contextmanager
def open_foreign(path: str | Path) -> Iterator[ForeignCheckpoint]:
    """Open a checkpoint that ``torch.save`` has written, in either of its formats.

    Raises:
        CheckpointError: it is missing, damaged, unsafe, or of another kind.
    """
    name = str(path)
    with ExitStack() as stack:
        with explained(name):
            stream = stack.enter_context(Path(path).open('rb'))
            opened = (_open_zip if zipfile.is_zipfile(stream) else _open_legacy)(stream)
        yield ForeignCheckpoint(*opened, name)


Opened = tuple[Any, Callable[[Storage], bytearray]]


def _open_zip(stream: BinaryIO) -> Opened:
    archive = zipfile.ZipFile(stream)
    entries = {entry.filename: entry for entry in archive.infolist()}
    if len(entries) != len(archive.infolist()):
        raise ValueError('two entries of one name')
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
        raise ValueError('compressed entries, which torch.save never writes')
    if any('/code/' in name for name in entries):
        raise CheckpointError(
            f'{stream.name} is a TorchScript program, not a checkpoint. Give the .pt file that it '
            'was exported from.'
        )
    pickles = [name for name in entries if name.endswith('/data.pkl')]
    if len(pickles) != 1:
        raise ValueError(f'{len(pickles)} entries data.pkl')
    prefix = pickles[0].removesuffix('data.pkl')
    order = entries.get(f'{prefix}byteorder')
    if order is not None and archive.read(order) not in (b'', b'little'):
        raise ValueError('numbers with the highest byte first')
    root = read_pickle(io.BytesIO(archive.read(pickles[0])))

    def read(storage: Storage) -> bytearray:
        entry = entries[f'{prefix}data/{storage.key}']
        size = storage.numel * ITEMSIZES[storage.kind]
        if entry.file_size != size:
            raise ValueError(f'{entry.file_size} bytes in place of {size}')
        content = bytearray(archive.read(entry))
        if len(content) != size:
            raise ValueError('a tensor is cut')
        return content

    return root, read


def _open_legacy(stream: BinaryIO) -> Opened:
    """Read the format before PyTorch 1.6: magic number, version, system, pickle, keys, numbers."""
    stream.seek(0)
    try:
        magic = read_pickle(stream)
    except UnsafePickleError:
        raise
    except Exception as error:  # as in `explained`: anything may be in there
        raise ValueError('neither zip nor pickle') from error
    if magic != _LEGACY_MAGIC:
        raise ValueError('not written by torch.save')
    _, system = read_pickle(stream), read_pickle(stream)
    if type(system) is not dict or system.get('little_endian') is not True:
        raise ValueError('numbers with the highest byte first')
    root = read_pickle(stream)
    keys = read_pickle(stream)
    start = stream.tell()
    sizes = _itemsizes(root)
    end = stream.seek(0, 2)
    places: dict[str, tuple[int, int]] = {}
    for key in keys:
        stream.seek(start)
        (count,) = struct.unpack('<q', stream.read(8))
        size = count * sizes[key]
        if not 0 <= size <= end - start - 8:
            raise ValueError('a tensor is cut')
        places[key] = start + 8, size
        start += 8 + size

    def read(storage: Storage) -> bytearray:
        place, size = places[storage.key]
        if size != storage.numel * ITEMSIZES[storage.kind]:
            raise ValueError('a tensor of another size than its storage')
        stream.seek(place)
        return bytearray(stream.read(size))

    return root, read


def _itemsizes(root: Any) -> dict[str, int]:
    """Return the bytes of an element of every storage, by its key."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    rest = [root]
    while rest:
        part = rest.pop()
        if isinstance(part, StoredTensor):
            found[part.storage.key] = ITEMSIZES[part.storage.kind]
        if id(part) in seen:
            continue
        seen.add(id(part))
        if type(part) is dict:
            rest.extend(part.values())
        elif type(part) in (list, tuple):
            rest.extend(part)
        elif isinstance(part, Foreign):
            rest.extend((part.state, part.arguments))
    return found
