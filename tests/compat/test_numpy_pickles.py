"""Numbers and log histories load under the names of either NumPy; forged ones never reach NumPy."""

import pickle
import re
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from mmyolo_lite.compat.checkpoints import load_from_local
from mmyolo_lite.compat.numpy_pickles import STAND_INS, unwrap
from mmyolo_lite.errors import CheckpointError

PLAIN = (3, '<', None, None, None, -1, -1, 0)
RECONSTRUCT = np.arange(2).__reduce__()[0]
SCALAR = np.float64(0).__reduce__()[0]


class Forged:
    """Pickles as a call, and as the state set on its result."""

    def __init__(self, function: Any, arguments: tuple, *state: Any) -> None:
        self.parts = (function, arguments, *state)

    def __reduce__(self) -> tuple:
        return self.parts


def dtype(code: str = 'f8', state: tuple = PLAIN) -> Forged:
    return Forged(np.dtype, (code, False, True), state)


def array(kind: Any, shape: tuple = (1,), raw: Any = b'A' * 8) -> Forged:
    return Forged(RECONSTRUCT, (np.ndarray, (0,), b'b'), (1, shape, kind, False, raw))


def history(**attributes: Any) -> HistoryBuffer:
    log = HistoryBuffer([1.0], [1])
    log.__dict__.update(attributes)
    return log


def objects(flags: int) -> Forged:
    """Return float64 that claims to hold an object reference, which NumPy would follow."""
    fields = {'a': (Forged(np.dtype, ('O', False, True), (3, '|', *PLAIN[2:7], 63)), 0)}
    return dtype(state=(3, '<', None, ('a',), fields, -1, -1, flags))


def renamed(source: Path, target: Path, core: str) -> None:
    """Copy a checkpoint without tensors as if NumPy 1 (``core``) or 2 (``_core``) had written
    it.
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, 'w') as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith('data.pkl'):
                content, count = re.subn(
                    rb'numpy\._?core\.multiarray', f'numpy.{core}.multiarray'.encode(), content
                )
                assert count
            new.writestr(name, content)


ATTACKS = {
    'array, flags 0': lambda: array(objects(0)),
    'array, flags 1': lambda: array(objects(1)),
    'array, flags 63': lambda: array(objects(63)),
    'scalar, flags 1': lambda: Forged(SCALAR, (objects(1), b'A' * 8)),
    'flags alone': lambda: array(dtype(state=(*PLAIN[:7], 1))),
    'subarray': lambda: array(dtype(state=(3, '<', (dtype(), (2,)), *PLAIN[3:]))),
    'called directly': lambda: Forged(np.ndarray, ((1,), dtype(), b'A' * 8)),
    'raw array of objects': lambda: array(Forged(np.dtype, ('O', False, True)), (1,), [b'A']),
    'strings': lambda: array(dtype('U2')),
    'several types': lambda: array(dtype('f4,O')),
    'shape': lambda: array(dtype(), (-1,)),
    'not bytes': lambda: array(dtype(), (1,), torch.ones(8)),
    'no dtype': lambda: array('f8'),
    'no state': lambda: Forged(RECONSTRUCT, (np.ndarray, (0,), b'b')),
    'scalar too short': lambda: Forged(SCALAR, (dtype(), b'A')),
    'history called': lambda: Forged(HistoryBuffer, ([1.0], [1])),
    'history of lists': lambda: history(_log_history=[1.0]),
    'history of nothing': lambda: history(_count_history=None),
}
CHILD = """
import sys
import mmyolo_lite
from mmyolo_lite.compat.checkpoints import load_from_local
for path in sys.argv[1:]:
    try:
        print('loaded', repr(load_from_local(path)), flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
"""


def test_forged_numbers_are_refused_without_reaching_numpy(tmp_path: Path) -> None:
    paths = []
    for number, make in enumerate(ATTACKS.values()):
        paths.append(tmp_path / f'{number}.pth')
        torch.save({'state_dict': {'x': make()}}, paths[-1])
    # another process: what is tested for would end it
    child = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', CHILD, *map(str, paths)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    lines = child.stdout.splitlines()
    assert child.returncode == 0, child.stderr
    assert len(lines) == len(ATTACKS)
    for name, line in zip(ATTACKS, lines, strict=True):
        assert re.match(r'CheckpointError .*is not allowed in a checkpoint\)', line), (name, line)


@pytest.mark.parametrize('core', ['core', '_core'])
def test_files_of_numpy_1_and_2_load(core: str, tmp_path: Path) -> None:
    log = HistoryBuffer([1.0, 3.0], [1, 1])
    torch.save({'value': np.float32(2.5), 'x': np.arange(3), 'log': log}, tmp_path / 'a.pth')
    renamed(tmp_path / 'a.pth', tmp_path / 'b.pth', core)
    loaded = load_from_local(str(tmp_path / 'b.pth'))
    assert type(loaded['value']) is np.float32 and loaded['value'] == 2.5
    assert type(loaded['x']) is np.ndarray and loaded['x'].tolist() == [0, 1, 2]
    assert type(loaded['log']) is HistoryBuffer and loaded['log'].mean() == 2.0


@pytest.mark.parametrize(
    'value',
    [
        np.arange(6, dtype='>i2').reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([]),
        np.array(True),
        np.zeros((0, 4), np.uint8),
        np.arange(3).astype(np.float16),
    ],
    ids=lambda value: f'{value.dtype.str}{value.shape}',
)
def test_arrays_come_back_as_they_were(value: np.ndarray, tmp_path: Path) -> None:
    torch.save([value, (value, [value])], tmp_path / 'a.pth')
    first, (second, [third]) = load_from_local(str(tmp_path / 'a.pth'))
    assert first is second is third  # shared before, shared after
    assert type(first) is np.ndarray and first.dtype == value.dtype
    np.testing.assert_array_equal(first, value)
    assert first.flags.writeable and first.flags.f_contiguous == value.flags.f_contiguous


def test_an_empty_history_loads_and_grows(tmp_path: Path) -> None:
    torch.save(HistoryBuffer(), tmp_path / 'a.pth')
    log = load_from_local(str(tmp_path / 'a.pth'))
    log.update(2.0)
    assert log.mean() == 2.0 and log.statistics('max') == 2.0


def test_a_file_cannot_change_the_methods_of_all_histories(tmp_path: Path) -> None:
    methods = {'mean': OrderedDict}  # every PyTorch loads that name
    torch.save(history(_statistics_methods=methods, mean=3), tmp_path / 'a.pth')
    before = dict(HistoryBuffer._statistics_methods)
    assert load_from_local(str(tmp_path / 'a.pth')).mean() == 1.0
    assert HistoryBuffer._statistics_methods == before


def test_containers_that_hold_themselves_end() -> None:
    cyclic: list = [1]
    cyclic.append({'again': cyclic})
    assert unwrap(cyclic) is cyclic
    laughs: tuple = ()
    for _ in range(200):  # 2 ** 200 paths to the same tuples
        laughs = laughs, laughs
    unwrap(laughs)
    deep: list = []
    for _ in range(5 * sys.getrecursionlimit()):
        deep = [deep]
    with pytest.raises(pickle.UnpicklingError, match='nesting'):
        unwrap(deep)


def test_a_shadowed_method_of_a_dict_is_not_called() -> None:
    weights = torch.nn.Linear(1, 1).state_dict()
    # a file can set attributes of an OrderedDict
    vars(weights).update(keys='no method', items='no method')
    assert unwrap(weights) is weights


def test_the_refusal_is_what_the_message_shows(tmp_path: Path) -> None:
    torch.save({'x': array(dtype('U2'))}, tmp_path / 'a.pth', _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"\(numpy.dtype 'U2' is not allowed in a check"):
        load_from_local(str(tmp_path / 'a.pth'))


ENCODE = next(one for one in STAND_INS if one.__name__ == 'encode')


def test_bytes_are_made_of_text_as_pickles_write_them():
    # PyTorch 2.4 has no entry of its own, and checkpoints hold arrays
    assert f'{ENCODE.__module__}.{ENCODE.__name__}' == '_codecs.encode'
    content = bytes(range(256))
    assert ENCODE(content.decode('latin1'), 'latin1') == content
    assert ENCODE('', 'latin1') == b''


@pytest.mark.parametrize(
    'arguments', [(), ('a',), ('a', 'utf-8'), ('a', 'zlib'), (b'a', 'latin1'), ('\u0100', 'latin1')]
)
def test_nothing_else_is_encoded(arguments):
    with pytest.raises(pickle.UnpicklingError, match='not allowed in a checkpoint'):
        ENCODE(*arguments)
