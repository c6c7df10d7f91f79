"""Foreign checkpoints are read without running anything; what would run is refused in one line."""

import io
import os
import pickle
import subprocess
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path, PurePosixPath
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from mmyolo_lite.apis.convert_weights_sources import read_source
from mmyolo_lite.compat import foreign_pickle
from mmyolo_lite.compat.foreign_checkpoint import open_foreign
from mmyolo_lite.compat.foreign_objects import Foreign, Name, StoredTensor
from mmyolo_lite.errors import CheckpointError
from tests import official_layout as layout


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.call


def refused(path: Path, message: str = '') -> str:
    with pytest.raises(CheckpointError, match=message) as caught, open_foreign(path):
        pass
    assert '\n' not in str(caught.value)
    assert path.name in str(caught.value)
    return str(caught.value)


def with_pickle(path: Path, content: bytes, **options: Any) -> Path:
    """Write a checkpoint in the form of a zip around a pickle."""
    with zipfile.ZipFile(path, 'w', **options) as archive:
        archive.writestr('archive/data.pkl', content)
        archive.writestr('archive/version', '3\n')
    return path


def evil(target: Path) -> list[Any]:
    """Return objects that make a file when they are unpickled."""
    command = f'touch {target}'
    touch = Call(os.system, command)
    return [
        touch,
        Call(eval, f'open({str(target)!r}, "w").close()'),
        Call(exec, f'open({str(target)!r}, "w").close()'),
        Call(subprocess.check_output, ['touch', str(target)]),
        Call(Path.touch, target),
        Call(open, str(target), 'w'),
        {'model': {'deep': [({'er': touch},)]}},
        OrderedDict(a=touch),
        Call(OrderedDict, state={'hidden': touch}),
        Call(PurePosixPath, 'a', state=touch),
        {frozenset({1}): touch},
    ]


@pytest.mark.parametrize('index', range(11))
@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
def test_calls_are_refused_and_not_made(index: int, legacy: bool, tmp_path: Path) -> None:
    target = tmp_path / 'made'
    one = evil(target)[index]
    path = tmp_path / 'evil.pt'
    torch.save({'model': one}, path, _use_new_zipfile_serialization=not legacy)
    refused(path, 'is refused: it holds .*Nothing of it was run')
    assert not target.exists()


@pytest.mark.parametrize('protocol', range(6))
def test_calls_are_refused_in_every_protocol(protocol: int, tmp_path: Path) -> None:
    target = tmp_path / 'made'
    for one in evil(target):
        path = with_pickle(tmp_path / 'evil.pt', pickle.dumps({'model': one}, protocol))
        refused(path, 'is refused')
    assert not target.exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'cos\nsystem\n(S"touch made"\ntR.', 'os.system'),
        (b'cposix\nsystem\n.', 'posix.system'),
        (b'(S"touch made"\nios\nsystem\n.', 'os.system'),
        (b'(cos\nsystem\nS"touch made"\no.', 'os.system'),
        (b'c__builtin__\neval\n.', '__builtin__.eval'),
        (b'cbuiltins\ngetattr\n(cmodels.yolo\nModel\nS"x"\ntR.', 'builtins.getattr'),
        (b'cmodels.yolo\nparse\n(tR.', 'a call of models.yolo.parse'),
        (b'cmodels.yolo\nModel\n}b.', 'the state of a Name'),
        (b'ctorch\nload\n(tR.', 'torch.load'),
        (b'ctorch.hub\nload\n(tR.', 'torch.hub.load'),
        (b'ctorch._utils\n_rebuild_x\n(tR.', 'torch._utils._rebuild_x'),
        (b'cnumpy\nfromfile\n(tR.', 'numpy.fromfile'),
        (b'ccopyreg\n_reconstructor\n(cos\nsystem\n.', 'os.system'),
        (b'c\nsystem\n.', 'system'),
        (b'cos\x1b[31m\nsystem\n.', r'x1b'),
        (b'\x82\x01.', 'pickle operation EXT1'),
        (b'\x97.', 'pickle operation NEXT_BUFFER'),
    ],
)
def test_names_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    assert '\x1b' not in refused(with_pickle(tmp_path / 'evil.pt', content), message)


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'.',
        b'(.',
        b'}(.',
        b'ja.',
        b'jaaaa.',
        b'r\xff\xff\xff\xff.',
        b'Nb.',
        b'N)R.',
        b'N)\x81.',
        b']N' + b's.',
        b'}N.' * 3 + b'\x00',
        b'N' * 100,
        b'\x8e\xff\xff\xff\xff\xff\xff\xff\x7fab.',
        b'\x96\xff\xff\xff\xff\xff\xff\xff\x7fab.',
        b'I' + b'9' * 10_000 + b'\n.',
        b'X\x02\x00\x00\x00\xff\xfe.',
        b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQctorch._utils\n"
        b'_rebuild_tensor_v2\n(I0\n.',
        b"(S'a'\ntQ.",
        b'NQ.',
        b"S'0'\nQ.",
    ],
)
def test_damaged_pickles_are_explained(content: bytes, tmp_path: Path) -> None:
    path = with_pickle(tmp_path / 'a.pt', content)
    with pytest.raises(CheckpointError, match='a.pt') as caught:
        read_source(path)
    assert '\n' not in str(caught.value)


def test_nested_keys_do_not_take_for_ever(tmp_path: Path) -> None:
    """A tuple of a tuple twice, and so on, as the key of a dict."""
    deep = b'}()' + b'2\x86' * 60 + b'Nu.'
    path = with_pickle(tmp_path / 'a.pt', deep)
    with pytest.raises(CheckpointError):
        read_source(path)


def tensor_pickle(size: str, stride: str, offset: int = 0) -> bytes:
    reference = b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQ"
    numbers = f'I{offset}\n({size}t({stride}tI00\nN'.encode()
    return b"}S'a'\nctorch._utils\n_rebuild_tensor_v2\n(" + reference + numbers + b'tRs.'


@pytest.mark.parametrize(
    ('size', 'stride', 'offset'),
    [
        ('I5\n', 'I1\n', 0),
        ('I4\n', 'I1\n', 1),
        ('I1000000\nI1000000\n', 'I0\nI0\n', 0),
        ('I2\n', 'I-1\n', 1),
        ('I-2\n', 'I1\n', 0),
        ('I2\n', 'I1\nI1\n', 0),
        ('I1\n', 'I1\n', -4),
        ('F1\n', 'I1\n', 0),
    ],
)
def test_tensors_beyond_their_storage_are_refused(
    size: str, stride: str, offset: int, tmp_path: Path
) -> None:
    refused(with_pickle(tmp_path / 'a.pt', tensor_pickle(size, stride, offset)), 'damaged')


def test_tricks_with_zips(tmp_path: Path) -> None:
    good = tensor_pickle('I4\n', 'I1\n')
    refused(with_pickle(tmp_path / 'deflated.pt', good, compression=8), 'compressed')
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / 'twice.pt', 'w') as archive:
        warnings.simplefilter('ignore')
        archive.writestr('archive/data.pkl', good)
        archive.writestr('archive/data.pkl', b'cos\nsystem\n.')
    refused(tmp_path / 'twice.pt', 'two entries')
    with zipfile.ZipFile(tmp_path / 'two.pt', 'w') as archive:
        archive.writestr('a/data.pkl', good)
        archive.writestr('b/data.pkl', b'cos\nsystem\n.')
    refused(tmp_path / 'two.pt', '2 entries data.pkl')
    with zipfile.ZipFile(tmp_path / 'script.pt', 'w') as archive:
        archive.writestr('a/data.pkl', good)
        archive.writestr('a/code/__torch__.py', 'import os')
    refused(tmp_path / 'script.pt', 'TorchScript')
    with zipfile.ZipFile(tmp_path / 'big.pt', 'w') as archive:
        archive.writestr('a/data.pkl', good)
        archive.writestr('a/byteorder', 'big')
    refused(tmp_path / 'big.pt', 'highest byte first')
    with zipfile.ZipFile(tmp_path / 'short.pt', 'w') as archive:
        archive.writestr('a/data.pkl', good)
        archive.writestr('a/data/0', b'123')
    with open_foreign(tmp_path / 'short.pt') as opened, pytest.raises(CheckpointError, match='3 b'):
        opened.tensor(opened.root['a'])
    path = with_pickle(tmp_path / 'absent.pt', good)
    with open_foreign(path) as opened, pytest.raises(CheckpointError, match='data/0'):
        opened.tensor(opened.root['a'])


def test_what_is_no_file(tmp_path: Path) -> None:
    refused(tmp_path / 'absent.pt', 'no such file')
    refused(tmp_path, 'folder')
    for name, content in {'text.pt': b'hello', 'empty.pt': b'', 'number.pt': b'I3\n.'}.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, 'damaged or no checkpoint')


def test_what_training_scripts_leave_beside_weights_is_read(tmp_path: Path) -> None:
    path = layout.save_official(
        tmp_path / 'a.pt',
        {'weight': torch.ones(2)},
        best_fitness=np.array([0.5]),
        fitness=np.float64(0.5),
        opt={'save_dir': Path('runs/exp'), 'device': torch.device('cpu'), 'imgsz': 640},
        optimizer=torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1).state_dict(),
    )
    with open_foreign(path) as opened:
        root = opened.root
        assert root['optimizer']['param_groups'][0]['lr'] == 0.1
        assert root['opt']['imgsz'] == 640
        model = root['model']
        assert isinstance(model, Foreign)
        assert model.kind == Name('models.yolo', 'Model')
        stored = model.state['_parameters']['weight']
        assert isinstance(stored, StoredTensor)
        assert torch.equal(opened.tensor(stored), torch.ones(2))


def test_plain_objects_are_held(tmp_path: Path) -> None:
    with layout.foreign_classes() as classes:
        plain = classes.Plain()
        plain.numbers = {1, 2}
        for protocol in range(6):
            content = pickle.dumps([plain, plain], protocol)
            with open_foreign(with_pickle(tmp_path / 'a.pt', content)) as opened:
                first, second = opened.root
            assert first is second
            assert sorted(first.state['numbers']) == [1, 2]


@pytest.mark.parametrize('dtype', [*'bhilefd', 'bool', 'bfloat16'])
def test_tensors_of_every_kind(dtype: str, tmp_path: Path) -> None:
    names = {'b': 'int8', 'h': 'int16', 'i': 'int32', 'l': 'int64', 'e': 'float16', 'f': 'float32'}
    kind = getattr(torch, names.get(dtype, 'float64' if dtype == 'd' else dtype))
    expected = torch.arange(24).reshape(2, 3, 4).to(kind)
    for legacy in (False, True):
        torch.save(
            {'a': expected, 'turned': expected.permute(2, 0, 1)[1:], 'none': expected[:0]},
            tmp_path / 'a.pt',
            _use_new_zipfile_serialization=not legacy,
        )
        with open_foreign(tmp_path / 'a.pt') as opened:
            found = {name: opened.tensor(tensor) for name, tensor in opened.root.items()}
        assert torch.equal(found['a'], expected)
        assert torch.equal(found['turned'], expected.permute(2, 0, 1)[1:])
        assert found['none'].shape == (0, 3, 4)
        assert {tensor.dtype for tensor in found.values()} == {kind}


def test_no_name_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = layout.save_official(tmp_path / 'a.pt', {'weight': torch.ones(2)})
    monkeypatch.setattr('builtins.__import__', None)
    with path.open('rb') as stream, zipfile.ZipFile(stream) as archive:
        content = archive.read('a/data.pkl')
    monkeypatch.undo()
    assert isinstance(foreign_pickle.read_pickle(io.BytesIO(content))['model'], Foreign)


def mutated(content: bytes, random: Random) -> bytes:
    """Return content with bytes changed, cut out, put in, or its end missing."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 6)):
        place = random.randrange(len(changed))
        kind = random.randrange(4)
        if kind == 0:
            changed[place] = random.randrange(256)
        elif kind == 1:
            del changed[place : place + random.randint(1, 9)]
        elif kind == 2:
            changed[place:place] = random.randbytes(random.randint(1, 9))
        elif random.random() < 0.3:
            del changed[place:]
        if not changed:
            break
    return bytes(changed)


@pytest.mark.parametrize('form', ['zip', 'legacy', 'pickle'])
def test_mutated_files_end_in_one_line(form: str, tmp_path: Path) -> None:
    weights = {'model.0.conv.weight': torch.ones(2, 3), 'model.24.anchors': torch.ones(3, 3, 2)}
    path = layout.save_official(tmp_path / 'a.pt', weights, legacy=form == 'legacy')
    content = path.read_bytes()
    if form == 'pickle':  # behind the checksums of a zip
        with zipfile.ZipFile(path) as archive:
            content = archive.read('a/data.pkl')
    random = Random(form)
    outcomes = set()
    for _ in range(150):
        changed = mutated(content, random)
        if form == 'pickle':
            with_pickle(path, changed)
        else:
            path.write_bytes(changed)
        try:
            read_source(path)
            outcomes.add('read')
        except CheckpointError as error:
            assert '\n' not in str(error)
            outcomes.add('refused')
    assert 'refused' in outcomes
