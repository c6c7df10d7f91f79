"""The page docs/messages.md: every message that a user can meet, read from the source.

    python -m tests.docs.messages

writes the page anew; the test compares the two.

    python -m tests.docs.messages --unraised FILE

prints the messages that are missing in a file that :mod:`tests.docs.recorder` has written.
"""

import argparse
import ast
import contextlib
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.shared_data import REPO

PAGE = REPO / 'docs/messages.md'
PACKAGE = REPO / 'mmyolo_lite'
# by the start of the path in the package, the first that fits
PARTS = {
    'compat/mmcv_ext': 'Installed packages',
    'compat/albu': 'Installed packages',
    'compat/foreign': 'Weights of other projects',
    'compat': 'Checkpoints',
    'engine/hooks/checkpoint': 'Checkpoints',
    'engine/newest_checkpoint': 'Checkpoints',
    'engine/loop_position': 'Checkpoints',
    'engine/published': 'Checkpoints',
    'apis/convert_weights': 'Weights of other projects',
    'engine/run_errors': 'During a run',
    'engine/hooks/finite_loss': 'During a run',
    'engine/train_loop': 'During a run',
    'engine/processes': 'During a run',
    'engine': 'Configs and options of trainings and tests',
    'datasets/converters': 'Converters of annotations',
    'datasets/download': 'Downloads of data sets',
    'datasets/sample': 'The painted sample set',
    'datasets/doctor': 'Checks and repairs of data sets',
    'datasets/transforms': 'Transforms',
    'datasets/image_': 'The cache of images',
    'datasets': 'Data sets',
    'models': 'Models',
    'ops': 'Models',
    'evaluation': 'Scores',
    'visualization': 'Pictures, feature maps, activation maps',
    'deploy': 'Export and exported files',
    'apis/predict': 'Predictions',
    'apis/media': 'Predictions',
    'apis/tiles': 'Predictions',
    'apis/model': 'Predictions',
    'apis/cam': 'Pictures, feature maps, activation maps',
    'apis/look_inside': 'Pictures, feature maps, activation maps',
    'apis': 'Tools',
    '': 'Any output file',
}
PLACES, LETTERS = re.compile(r'{[^}]*}'), re.compile('[a-z]')
LEAST_LETTERS = 6
"""A message with fewer hands on the text of another one."""

HEAD = """\
# All messages

Every message that ends a command in `error: ...`, and that a program gets as an exception of
[mmyolo_lite.errors](api/errors.md): {count} of them; a few stand inside others. Words in braces
stand for what differs. What to do stands in the message; what people meet most is explained in
[troubleshooting.md](troubleshooting.md), mistakes in configs in
[config_errors.md](config_errors.md). To find yours, search this page for words of it that are no
names or numbers.

The page is read from the source (`python -m tests.docs.messages` writes it anew).
"""


@dataclass(frozen=True)
class Message:
    """A message of the package.

    Attributes:
        file: path from the root of the repository.
        line: where the error is made.
        kind: name of the exception.
        text: the message with placeholders.
    """

    file: str
    line: int
    kind: str
    text: str

    @property
    def part(self) -> str:
        """The heading that it stands under."""
        inside = self.file.removeprefix('mmyolo_lite/')
        return next(title for start, title in PARTS.items() if inside.startswith(start))


def user_errors() -> set[str]:
    """Return the names of the classes of errors that users see."""
    nodes = (node for tree in trees().values() for node in tree.body)
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    names = {'UserError'}
    while True:
        more = {c.name for c in classes if names & {_last(base) for base in c.bases}} - names
        if not more:
            return names
        names |= more


def _last(node: ast.AST) -> str:
    return ast.unparse(node).split('.')[-1].split('(')[0]


@functools.cache
def constants() -> dict[str, Any]:
    """Return the values of the package's constants that are literals, by name.

    A name that has several values in different modules is left out.
    """
    found: dict[str, list[Any]] = defaultdict(list)
    for tree in trees().values():
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).isupper():
                with contextlib.suppress(ValueError):
                    found[ast.unparse(node.targets[0])].append(ast.literal_eval(node.value))
    return {name: values[0] for name, values in found.items() if len(values) == 1}


@functools.cache
def trees() -> dict[Path, ast.Module]:
    """Return the modules of the package, parsed."""
    return {path: ast.parse(path.read_text('utf-8')) for path in sorted(PACKAGE.rglob('*.py'))}


def known(node: ast.expr) -> str:
    """Return the text of a constant, or of several with commas; '' for what differs."""
    if (
        isinstance(node, ast.Call)
        and _last(node.func) == 'join'
        and isinstance(node.args[0], ast.Name)
    ):
        value = constants().get(node.args[0].id)
        if isinstance(value, tuple | list | dict) and all(isinstance(part, str) for part in value):
            return ', '.join(value)
    if isinstance(node, ast.Name):
        value = constants().get(node.id)
        if isinstance(value, str | int | float):
            return str(value)
    return ''


def placeholder(node: ast.expr) -> str:
    """Return a short name of a value in a message."""
    if isinstance(node, ast.IfExp):
        parts = [placeholder(part) for part in (node.body, node.orelse)]
        return ' or '.join(part for part in parts if part) or '...'
    if isinstance(node, ast.BoolOp):
        return placeholder(node.values[0])
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return node.id.strip('_').lower()
    if isinstance(node, ast.Attribute):
        return 'type' if node.attr == '__name__' else node.attr.strip('_').lower()
    if isinstance(node, ast.Subscript):
        return placeholder(node.value)
    if isinstance(node, ast.Call):
        return _of_call(node)
    if isinstance(node, ast.JoinedStr):
        return template(node).strip()
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return placeholder(node.generators[0].iter)
    if isinstance(node, ast.BinOp):
        return placeholder(node.left)
    return '...'


def _of_call(node: ast.Call) -> str:
    function = _last(node.func)
    if function == 'len':
        return 'number'
    if node.args and function in {'join', 'shortened', 'repr', 'str', 'tuple', 'sorted', 'list'}:
        return placeholder(node.args[0])
    if node.args and function in {'map', 'dict', 'type', 'few_letters', 'megabytes', 'max', 'min'}:
        return placeholder(node.args[-1])
    return function.strip('_').replace('_', ' ')


def template(node: ast.expr) -> str:
    """Return a message with what differs in braces; '' for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return ''.join(template(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return known(node.value) or f'{{{placeholder(node.value).strip()}}}'
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and template(node.left):
        return ''.join(template(p) or f'{{{placeholder(p)}}}' for p in (node.left, node.right))
    return ''


def texts(
    node: ast.expr, functions: dict[str, ast.FunctionDef], inside: ast.AST | None
) -> set[str]:
    """Return the messages that an argument can be, also of the function or variable it names."""
    direct = template(node)
    if direct:
        return {direct}
    if isinstance(node, ast.Call) and _last(node.func) in functions:
        found = functions[_last(node.func)]
        returned = [n.value for n in ast.walk(found) if isinstance(n, ast.Return) and n.value]
        return {text for value in returned for text in texts(value, {}, found)}
    if isinstance(node, ast.BinOp):
        return {f'{text}{{...}}' for text in texts(node.left, functions, inside)}
    if isinstance(node, ast.Name) and inside:
        values = [
            n.value
            for n in ast.walk(inside)
            if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == node.id
        ]
        return {text for value in values for text in texts(value, functions, None)}
    return set()


@functools.cache
def messages() -> list[Message]:
    """Return the messages of the package by file and line.

    Errors that hand on the text of another one are left out.
    """
    kinds = user_errors()
    found = []
    for path, tree in trees().items():
        functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        for node, inside in _calls(tree):
            kind = _last(node.func)
            if kind not in kinds or not node.args:
                continue
            # a Mistake says the field first
            argument = node.args[1 if kind == 'Mistake' else 0]
            for text in sorted(texts(argument, functions, inside)):
                if len(LETTERS.findall(PLACES.sub('', text))) < LEAST_LETTERS:
                    continue
                kind = 'ConfigError' if kind == 'Mistake' else kind
                file = path.relative_to(REPO).as_posix()
                found.append(Message(file, node.lineno, kind, ' '.join(text.split())))
    return sorted(found, key=lambda message: (message.file, message.line))


def _calls(
    node: ast.AST, inside: ast.AST | None = None
) -> Iterator[tuple[ast.Call, ast.AST | None]]:
    """Yield all calls below a node, each with the function around it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, inside
        yield from _calls(child, child if isinstance(child, ast.FunctionDef) else inside)


def page() -> str:
    """Return the text of the page."""
    parts: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for message in messages():
        parts[message.part].add((message.text, message.kind))
    lines = [HEAD.format(count=sum(map(len, parts.values())))]
    for title in dict.fromkeys(PARTS.values()):
        lines.append(f'## {title}\n')
        rows = sorted(parts[title], key=lambda row: (row[0].lower().lstrip("{'-"), row))
        lines += [f'- `{text.replace("`", "")}` ({kind})' for text, kind in rows]
        lines.append('')
    return '\n'.join(lines)


def unraised(record: Path) -> list[Message]:
    """Return the messages that are not in a file of the recorder."""
    raised = set(record.read_text().splitlines())
    return [message for message in messages() if f'{message.file}:{message.line}' not in raised]


def main() -> None:
    """Write the page, or print what no test raises."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--unraised', type=Path, metavar='FILE', help='of tests.docs.recorder')
    args = parser.parse_args()
    if args.unraised:
        for message in unraised(args.unraised):
            print(f'{message.file}:{message.line}: {message.kind}: {message.text}')
    else:
        PAGE.write_text(page(), 'utf-8')


if __name__ == '__main__':
    main()
