"""Checkpoints of strangers: damaged, forged, malicious ones, and those of other projects."""

import builtins
import io
import os
import pickle
import struct
import subprocess
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

COUNT = 500
_LEGACY = bytes.fromhex('80028a0a6cfc9c46f920 6aa850192e'.replace(' ', ''))


class Call:
    """Pickles as a call, maybe with a state."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.call


def saved(content: Any, legacy: bool = False) -> bytes:
    """Return what ``torch.save`` writes."""
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def zipped(entries: dict[str, bytes] | list[tuple[str, bytes]], **options: Any) -> bytes:
    """Return a zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', **options) as archive:
        for name, content in entries.items() if isinstance(entries, dict) else entries:
            archive.writestr(name, content)
    return stream.getvalue()


def around(content: bytes) -> bytes:
    """Return a checkpoint around a pickle."""
    return zipped({'archive/data.pkl': content, 'archive/version': b'3\n'})


def entries_of(good: bytes) -> dict[str, bytes]:
    """Return the content of a zip."""
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def flipped(good: bytes, random: Random) -> bytes:
    """Flip bits, in the pickle and the directory more than among the numbers."""
    content = bytearray(good)
    pickled = good.find(b'data.pkl')
    regions = [(0, len(good)), (pickled, pickled + 4000), (len(good) - 2000, len(good))]
    start, end = random.choice(regions)
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        content[random.randrange(max(start, 0), min(end, len(good)))] ^= 1 << random.randrange(8)
    return bytes(content)


def cut(good: bytes, random: Random) -> bytes:
    """Cut an end, a beginning or a middle off, or put bytes in."""
    at, length = random.randrange(len(good)), random.randrange(1, 3000)
    return random.choice(
        [
            good[:at],
            good[at:],
            good[:at] + good[at + length :],
            good[:at] + random.randbytes(length) + good[at:],
            good[:at] + bytes(length) + good[at + length :],
            good + random.randbytes(length),
            good + good,
        ]
    )


def _forged_sizes(good: bytes, random: Random) -> bytes:
    """Write other sizes, offsets or names into headers of a zip."""
    content = bytearray(good)
    central = [i for i in range(len(good)) if good.startswith(b'PK\x01\x02', i)]
    at = random.choice(central) + random.choice((10, 16, 20, 24, 28, 30, 42))
    struct.pack_into('<I', content, at, random.choice((0, 1, 7, 2**31 - 1, 2**32 - 1)))
    return bytes(content)


def zip_tricks(good: bytes, random: Random, canary: Path) -> bytes:
    """Swap, drop, double, rename and forge the entries of a zip."""
    inside = entries_of(good)
    names = list(inside)
    first, second = random.sample(names, 2)
    prefix = names[0].split('/')[0]
    swapped = {**inside, first: inside[second], second: inside[first]}
    tricks: list[Callable[[], bytes]] = [
        lambda: zipped(swapped),
        lambda: zipped({name: part for name, part in inside.items() if name != first}),
        lambda: doubled(inside, first),
        lambda: zipped({f'../../{name}': part for name, part in inside.items()}),
        lambda: zipped({**inside, str(canary): b'x', f'../{canary.name}': b'x'}),
        lambda: zipped({f'{canary}/{name}': part for name, part in inside.items()}),
        lambda: bomb(f'{prefix}/data/0', 50_000_000, good),
        lambda: zipped({**inside, f'{prefix}/code/__torch__.py': b'def f(): pass\n'}),
        lambda: zipped({**inside, f'{prefix}/constants.pkl': b'\x80\x02).'}),
        lambda: zipped({**inside, f'{prefix}/byteorder': b'big'}),
        lambda: zipped({f'{prefix}/data.pkl': good, f'{prefix}/version': b'3\n'}),
        lambda: bomb(f'{prefix}/data.pkl', 30_000_000, good),
        lambda: zipped(inside, compression=8),
        lambda: b'#!/bin/sh\n' + good,
        lambda: tarred({'data.pkl': good, 'storages': good, 'tensors': good, 'pickle': good}),
        lambda: tarred({f'../{canary.name}': b'x', 'archive.tar': tarred({'a.pth': good})}),
        lambda: _forged_sizes(good, random),
        lambda: _forged_sizes(good, random),
    ]
    return random.choice(tricks)()


@cache
def bomb(name: str, size: int, good: bytes) -> bytes:
    """Return a checkpoint with an entry of zeros that is packed small."""
    return zipped({**entries_of(good), name: bytes(size)}, compression=zipfile.ZIP_DEFLATED)


def doubled(inside: dict[str, bytes], name: str) -> bytes:
    """Return a zip with all entries twice."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # of the module that writes it
        return zipped([*inside.items(), (f'{name}x', b''), *inside.items()])


def tarred(entries: dict[str, bytes]) -> bytes:
    """Return a tar, which the oldest PyTorch wrote."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as archive:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def calls(canary: Path) -> list[Any]:
    """Return objects that make a file or folder when a pickle of them is executed."""
    text = str(canary)
    code = f'open({text!r}, "w").close()'
    mkdir = Call(os.mkdir, text)
    return [
        mkdir,
        Call(os.system, f'touch {text}'),
        Call(os.makedirs, text),
        Call(eval, code),
        Call(exec, code),
        Call(builtins.open, text, 'w'),
        Call(subprocess.check_output, ['touch', text]),
        Call(Path.touch, canary),
        Call(np.save, text, np.zeros(1)),
        Call(torch.save, torch.zeros(1), text),
        Call(OrderedDict, state={'hidden': mkdir}),
        Call(dict, [('a', mkdir)]),
        Call(type, 'Made', (), {'made': mkdir}),
        Call(torch.hub.load_state_dict_from_url, f'file://{text}'),
    ]


def texts(canary: Path) -> list[bytes]:
    """Return pickles that do so by the operations GLOBAL, INST, OBJ, STACK_GLOBAL and others."""
    text = str(canary).encode()
    string = b"S'" + text + b"'\n"
    short = b'\x8c' + bytes([len(text)]) + text
    return [
        b'cos\nmkdir\n(' + string + b'tR.',
        b'cposix\nmkdir\n(' + string + b'tR.',
        b'(' + string + b'ios\nmkdir\n.',
        b'(cos\nmkdir\n' + string + b'o.',
        b'\x80\x04\x8c\x02os\x8c\x05mkdir\x93' + short + b'\x85R.',
        b'\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x02os\x85R.',
        b'\x80\x02cos\nmkdir\n' + string + b'\x85\x81.',
        b'\x80\x04cos\nmkdir\n' + string + b'\x85}\x92.',
        b'\x80\x02}cos\nmkdir\nb.',
        b'(' + string + b'tQ.',
        b'\x80\x02(\x8c\x07storagecos\nmkdir\n' + string + b'\x8c\x03cpuK\x01tQ.',
        b'Pos.mkdir\n.',
        b'\x82\x01.',
        b'ctorch._utils\n_rebuild_tensor_v2\n(cos\nmkdir\n' + string + b'(I1\nt(I1\nttR.',
        b'ctorch._utils\n_rebuild_device_tensor_from_numpy\n(' + string + b'tR.',
        b'cmmengine.fileio\ndump\n(}' + string + b'tR.',
        b'cmmyolo_lite.whole_files\nwrite_bytes\n(' + string + b"S'x'\ntR.",
        b'(' * 5000 + b'l' * 5000 + b'.',
        b'\x80\x04' + b']\x94' * 20_000 + b'a' * 19_999 + b'.',
        b'\x8e' + struct.pack('<Q', 2**40) + b'x.',
        b'\x8b' + struct.pack('<I', 2**31 - 1) + b'x.',
        b'I' + b'9' * 20_000 + b'\n.',
    ]


def malicious(random: Random, canary: Path) -> bytes:
    """Return a file with a payload."""
    if random.random() < 0.5:
        content = random.choice(texts(canary))
    else:
        call = random.choice(calls(canary))
        place = random.choice(
            [call, [call], {'state_dict': call}, {'meta': {'cfg': call}}, {'a': {'b': (call,)}}]
        )
        if random.random() < 0.3:
            return saved(place, legacy=random.random() < 0.5)
        content = pickle.dumps(place, random.randrange(6))
    return random.choice(
        [
            lambda: content,
            lambda: around(content),
            lambda: _LEGACY + content,
            lambda: _LEGACY + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + content,
            lambda: tarred({'pickle': content, 'storages': content, 'tensors': content}),
        ]
    )()


def structures(good: dict[str, Any]) -> list[Any]:
    """Return what other projects save, and states of a training that cannot be."""
    weights, meta = good['state_dict'], good['meta']
    name = next(iter(weights))
    wide = torch.zeros(1).expand(10**11)
    numbers = {key: value.numpy() for key, value in list(weights.items())[:5]}
    deep: list = []
    for _ in range(400):
        deep = [deep]
    return [
        *(0, 3.5, None, True, 'text', [], {}, (), [1, 2], {'epoch': 3}, b'bytes', {1: 2}),
        torch.zeros(3),
        weights,
        list(weights.values()),
        {'model': numbers, '__author__': 'someone', 'matching_heuristics': True},
        {'model': weights, 'optimizer': None, 'epoch': -1, 'ema': None},
        {'state_dict': {'conv1.weight': torch.zeros(4, 3, 3, 3)}, 'arch': 'resnet50'},
        {'state_dict': numbers},
        {'state_dict': {name: 3}},
        {'state_dict': {3: torch.zeros(1)}},
        {**good, 'state_dict': {**weights, name: wide}},
        {**good, 'state_dict': {**weights, name: wide[:10]}},
        {**good, 'state_dict': {k: v.to_sparse() for k, v in weights.items()}},
        {**good, 'state_dict': {k: v.to(torch.complex64) for k, v in weights.items()}},
        {**good, 'state_dict': {k: v.to('meta') for k, v in weights.items()}},
        {**good, 'state_dict': {k: torch.full_like(v, 7) for k, v in weights.items()}},
        *({**good, 'meta': value} for value in (3, [], {}, 'x', {**meta, 'epoch': 'x'}, deep)),
        *(
            {**good, 'meta': {**meta, 'dataset_meta': value}}
            for value in (3, [1], {'classes': 3}, {'classes': [[], 3]}, {'palette': 'x'})
        ),
        *(
            {**good, 'meta': {**meta, 'cfg': value}}
            for value in (3, 'import os\n', 'a = 1\n' * 50, 'model = dict(', 'model = dict()', '{')
        ),
        *(
            {**good, 'meta': {**meta, 'published': value}}
            for value in (3, {'config': 3}, {'config': '{'}, {'config': '[]'}, {'config': '{}'})
        ),
        {**good, 'message_hub': 3},
        {**good, 'optimizer': 3},
        {**good, 'ema_state_dict': 3},
    ]


def mutations(good: dict[str, Any], canary: Path, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield :data:`COUNT` files as bytes, each with the kind of what was done."""
    random, whole = Random(seed), saved(good)
    others = [saved(one, legacy) for one in structures(good) for legacy in (False, True)]
    kinds: list[tuple[str, int, Callable[[], bytes]]] = [
        ('flipped', 120, lambda: flipped(whole, random)),
        ('cut', 60, lambda: cut(whole, random)),
        ('zip', 90, lambda: zip_tricks(whole, random, canary)),
        ('malicious', 150, lambda: malicious(random, canary)),
    ]
    for kind, count, make in kinds:
        for _ in range(count):
            yield kind, make()
    rest = COUNT - sum(count for _, count, _ in kinds)
    heads = [b'', b'PK\x03\x04', b'PK\x05\x06', b'\x80\x02', b'\x80\x05\x95', _LEGACY, b'<html>']
    for index in range(rest - min(len(others), rest - 15)):
        yield 'random', heads[index % len(heads)] + random.randbytes(random.randrange(3000))
    random.shuffle(others)
    for content in others[: rest - 15]:
        yield 'other', content
