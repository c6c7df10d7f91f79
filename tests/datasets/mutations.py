"""Damaged annotation files: any value of a parsed file replaced, any byte of a written one."""

import copy
import functools
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

FOLDER = None
"""In place of a file's bytes: a folder of its name."""
Files = dict[str, bytes | None]
"""What a data set's text files hold, by relative path."""

NASTY: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 3, 7, 8, 9, 0.5, -0.5, 1.0, -0.0, 2.5),
    *(1e308, -1e308, 1e-320, 1e15, 1e16, 2**31, 2**53 + 1, 2**63, 2**64, 10**400, -(10**400)),
    *(float('nan'), float('inf'), float('-inf')),
    *('', ' ', '0', '1', '1e5', 'nan', 'a', 'a.png', 'cat', 'x' * 1000, '\ud800', '\0', '\n'),
    *(
        '../../etc',
        '/etc/passwd',
        'C:\\a.png',
        '.',
        'sub/..',
        'a' * 255 + '.png',
        'ä ö.png',
        '\x1b[2J',
    ),
    *('polygon', 'rectangle', 'circle', 'mask', 'rect', 'ellipse', 'point', 'linestrip'),
    *('aGVsbG8=', '0' * 50, '~~~~', 'o' * 40, '1000000', '04l1'),
    *([], {}, [[]], [{}], [None], [[[[[[1]]]]]], [0, 0], [0, 0, 1, 1], [1, 2, 3, 4, 5, 6]),
    *([[1, 1, 6, 1, 6, 6, 1, 6]], [[1, 1, 6, 6, 6, 1, 1, 6]], [[0, 0, 0, 0, 0, 0]], [[1e308] * 8]),
    *([[1, 1], [6, 1], [6, 6]], [[float('nan')] * 6], [[1e15, -1e15, 3, 4, 5, 6]], ['1', '2']),
    *({'id': 1}, {'size': [8, 8], 'counts': [64]}, {'size': [8, 8], 'counts': [0, 64]}),
    *({'size': [8, 8], 'counts': []}, {'size': [8, 8], 'counts': 'PP\\'}, {'counts': '0'}),
    *({'size': [8, 8], 'counts': [-1, 65]}, {'size': [2**31, 2**31], 'counts': [2**62]}),
    *('deep 300', 'deep 900', 'deep 1900'),
    *({'0': {}}, {'name': 'circle', 'cx': 1, 'cy': 1, 'r': 1e308}),
)
NUMBERS = [one for one in NASTY if type(one) in (int, float) and abs(one) <= 1e15]
_DEEP = re.compile('"deep ([0-9]+)"')
"""What stands for lists nested so deeply; Python could not copy them."""
SUFFIXES = {'.json': 'json', '.xml': 'xml', '.txt': 'words', '.yaml': 'json'}


def damaged(files: dict[str, Any]) -> st.SearchStrategy[Files]:
    """Return a strategy for the files of a data set of which one is damaged.

    Args:
        files: by relative path what JSON and YAML files hold, elements for XML, and lists of lists
            of words for text files.
    """
    whole = {name: _written(name, content) for name, content in files.items()}

    @st.composite
    def draw_files(draw: Callable) -> Files:
        name = draw(st.sampled_from(sorted(files)))
        how = draw(st.integers(0, 9))
        if how < 7:
            data: bytes | None = _written(name, draw(_structures(name, files[name])))
            data = draw(_doubled_keys(data)) if how == 6 else data
        else:
            data = draw(_damaged_bytes(whole[name]))
        return {**whole, name: data}

    return draw_files()


def save(files: Files, folder: Path) -> None:
    """Write files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is FOLDER:
            path.mkdir()
        else:
            path.write_bytes(data)


def _written(name: str, content: Any) -> bytes:
    kind = SUFFIXES[Path(name).suffix]
    if kind == 'xml':
        return ElementTree.tostring(content)
    if kind == 'words':
        lines = content if isinstance(content, list) else [content]
        words = (line if isinstance(line, list) else [line] for line in lines)
        text = '\n'.join(' '.join(map(_spelt, line)) for line in words)
        return text.encode('utf-8', 'surrogatepass')
    return _json(content)


def _json(content: Any) -> bytes:
    text = json.dumps(content)
    return _DEEP.sub(lambda found: '[' * int(found[1]) + ']' * int(found[1]), text).encode()


def _spelt(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _structures(name: str, content: Any) -> st.SearchStrategy[Any]:
    change = _change_element if name.endswith('.xml') else _change_node

    @st.composite
    def draw_structure(draw: Callable) -> Any:
        changed = copy.deepcopy(content)
        for _ in range(draw(st.integers(1, 3))):
            changed = change(draw, changed)
        return changed

    return draw_structure()


def _change_node(draw: Callable, content: Any) -> Any:
    """Replace, delete, repeat, insert or exchange a value of parsed JSON."""
    places = list(_places(content))
    if not places:
        return draw(_nasty())
    holder, key = draw(st.sampled_from(places))
    what = draw(st.integers(0, 9))
    if what < 3 and type(holder[key]) in (int, float):  # gets further than a wrong type
        holder[key] = draw(st.sampled_from(NUMBERS))
    elif what < 5:
        holder[key] = draw(_nasty())
    elif what == 5:
        del holder[key]
    elif what == 6:
        other, other_key = draw(st.sampled_from(places))
        value = copy.deepcopy(holder[key])
        holder[key] = copy.deepcopy(other[other_key])
        other[other_key] = value
    elif isinstance(holder, list):
        again = copy.deepcopy(holder[key]) if what == 7 else draw(_nasty())
        holder.insert(key, again)
    else:
        holder[str(draw(_nasty()))] = holder[key] if what == 7 else draw(_nasty())
    return draw(_nasty()) if draw(st.integers(0, 99)) == 0 else content


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every value of parsed JSON as its list or dict and its place in that."""
    items: Any = ()
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content)
    for key, value in items:
        yield content, key
        yield from _places(value)


def _nasty() -> st.SearchStrategy[Any]:
    return st.sampled_from(NASTY).map(copy.deepcopy)


def _change_element(draw: Callable, root: ElementTree.Element) -> ElementTree.Element:
    """Retag, empty, rewrite, delete or repeat an element."""
    parents = [parent for parent in root.iter() if len(parent)]
    if not parents:
        return root
    parent = draw(st.sampled_from(parents))
    child = draw(st.sampled_from(list(parent)))
    what = draw(st.integers(0, 9))
    if what < 5:
        # what XML cannot hold at all is left to the damaged bytes
        child.text = re.sub('[\0-\x1f\ud800-\udfff]', '?', _spelt(draw(_nasty())))
    elif what == 5:
        parent.remove(child)
    elif what == 6:
        parent.append(copy.deepcopy(child))
    elif what == 7:
        child.tag = draw(st.sampled_from(['object', 'bndbox', 'polygon', 'x', 'name', 'pt', 'x1']))
    elif what == 8:
        child.clear()
    else:
        child.append(copy.deepcopy(draw(st.sampled_from(parents))))
    return root


def _doubled_keys(data: bytes) -> st.SearchStrategy[bytes]:
    """Give a key of a JSON object a second value."""
    keys = list(re.finditer(rb'"\w+": ', data))
    if not keys:
        return st.just(data)

    def insert(found: re.Match, value: Any) -> bytes:
        again = found.group() + _json(value) + b', '
        return data[: found.start()] + again + data[found.start() :]

    return st.builds(insert, st.sampled_from(keys), _nasty())


def _damaged_bytes(data: bytes) -> st.SearchStrategy[bytes | None]:
    place = st.integers(0, max(len(data) - 1, 0))
    text = data.decode('utf-8', 'surrogatepass')
    codecs = ('utf-8-sig', 'utf-16', 'utf-32', 'utf-7')
    whole: list[bytes | None] = [
        FOLDER,
        b'',
        b'\0' * 100,
        b'null',
        b'[' * 100_000,
        b'{"a":' * 100_000,
        b'[' * 400 + b']' * 400,
        b'1' * 5000,
        b'<a>' * 100_000,
        b'<annotation>' + b'<a>' * 5000 + b'</a>' * 5000 + b'</annotation>',
        b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>',
        b'<?xml version="1.0" encoding="klingon"?><annotation/>',
        b'a: &a [*a]',
        b'a: !!python/object/apply:os.system ["true"]',
        b'names: {? {a: b} : c, 2020-02-30: d, 1_0: e}',
        b'\xff\xfe' + data,
        b'\x89PNG\r\n\x1a\n' + data,
        *(text.encode(codec, 'replace') for codec in codecs),
        ('\u00e9' + text).encode('latin-1', 'replace'),
        data * 2,
        data.replace(b'\n', b'\r\n'),
        data.replace(b' ', b'\t'),
    ]
    return st.one_of(
        st.sampled_from(whole),
        place.map(lambda at: data[:at]),
        st.builds(functools.partial(_flipped, data), place, st.integers(1, 255)),
        st.builds(lambda at, more: data[:at] + more + data[at:], place, st.binary(max_size=9)),
        st.builds(lambda at, size: data[:at] + data[at + size :], place, st.integers(1, 40)),
    )


def _flipped(data: bytes, at: int, bits: int) -> bytes:
    return data[:at] + bytes(byte ^ bits for byte in data[at : at + 1]) + data[at + 1 :]
