"""The file and line that set a value are found through variables, lists and inherited files."""

from pathlib import Path

import pytest

from mmyolo_lite.engine.config import load_config
from mmyolo_lite.engine.config_places import Places, keys_of_path, parse
from tests.shared_data import REPO

BASE = """\
size = 3
steps = [
    dict(type='A', size=size),
    dict(type='B'),
]
model = dict(
    neck=dict(width=size, deep=dict(a=1, b=2)),
    steps=steps)
loaders = [dict(n=1), dict(n=2)]
"""
CHILD = """\
_base_ = 'base.py'
width = 8
more = dict(_base_.steps[1], extra=5)
steps = [*_base_.steps[:1], more, *[dict(type='C')], dict(type='D')]
steps[2]['late'] = 7
model = dict(
    neck=dict(width=width,
              deep=dict(_delete_=True, c=3)),
    steps=steps)
other = model
shared = dict(p=1)
sum = dict(**shared, q=2)
if True:
    sum['r'] = 3
computed = [dict(x=i) for i in range(3)]
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'base.py').write_text(BASE)
    (tmp_path / 'child.py').write_text(CHILD)
    return Places(load_config('child.py', {'model.neck.given': 1}))


@pytest.mark.parametrize(
    ('path', 'value', 'place'),
    [
        ('model.neck.width', 8, 'Config child.py, line 2'),
        ('model.neck.deep.c', 3, 'Config child.py, line 8'),
        ('model.neck.deep.a', None, 'Config child.py'),
        ('model.steps[0].size', 3, 'Config base.py, line 1'),
        ('model.steps[1].type', 'B', 'Config base.py, line 4'),
        ('model.steps[1].extra', 5, 'Config child.py, line 3'),
        ('model.steps[2].late', 7, 'Config child.py, line 5'),
        ('model.steps[3].type', 'D', 'Config child.py, line 4'),
        ('other.neck.width', 8, 'Config child.py, line 2'),
        ('loaders[1].n', 2, 'Config base.py, line 9'),
        ('loaders[1].n', 'other', 'Config child.py'),
        ('sum.p', 1, 'Config child.py, line 11'),
        ('sum.r', 3, 'Config child.py, line 14'),
        ('computed[1].x', 1, 'Config child.py, line 15'),
        ('nowhere.at.all', 1, 'Config child.py'),
        ('model.neck.given', 1, '--cfg-options'),
    ],
)
def test_values(path: str, value: object, place: str, places: Places) -> None:
    assert places.text(path, value) == place


def test_the_line_of_a_field_is_that_of_its_name(places: Places) -> None:
    assert places.text('model.neck.width', is_key=True) == 'Config child.py, line 7'
    assert places.text('model.steps', is_key=True) == 'Config child.py, line 9'


def test_paths() -> None:
    assert keys_of_path('a.b[2][0].c') == ('a', 'b', 2, 0, 'c')


def test_every_config_here_can_be_searched() -> None:
    for path in sorted((REPO / 'configs').rglob('*.py')):
        found = Places(load_config(path))
        for field in ('model.type', 'train_dataloader.dataset.pipeline[2].type'):
            if found.file and found.find('model'):
                assert 'line' in found.text(field), (path, field)


@pytest.mark.parametrize(
    'text', ['x = (', "_base_ = 'a.py'\n", 'x = x\n', 'a = b\nb = a\nc = a[b]\n', '_base_ = 3\n']
)
def test_odd_files_are_no_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / 'a.py'
    path.write_text(text)
    file = parse(path)
    for keys in (('x', 'y'), ('c', 0), ('a', 'b')):
        if file is not None:
            file.find(keys)
