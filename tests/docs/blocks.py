"""The fenced blocks of the pages, and the commands in those of a shell."""

import re
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.shared_data import REPO

SHELLS = ('bash', 'sh', 'shell')
FENCE = re.compile(r'^(?P<indent>\s*)(?P<fence>`{3,})\s*(?P<language>[\w+-]*).*$')
ASSIGNMENT = re.compile(r'^(export )?\w+=(\S*|"[^"]*"|\'[^\']*\'|\$\(.*\))( \w+=\S*)*$')
INLINE = re.compile(r'`(python (?:tools|demo|benchmarks|examples)/[^`\n]+)`')
# what an untagged block of commands begins with
PROGRAMS = re.compile(r'(python|pip|make|tensorboard|tools/\w+\.sh)\b')
COMMENT = re.compile(r'(^|\s)#\s.*$')


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path of the page in the repository.
        line: number of its first line.
        language: as tagged; '' for none.
        text: its lines, without the indentation of the fence.
        before: the line before the fence, where marks stand.
    """

    page: str
    line: int
    language: str
    text: str
    before: str

    @property
    def is_shell(self) -> bool:
        """Whether it holds commands."""
        return self.language in SHELLS or not self.language and bool(PROGRAMS.match(self.text))


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Attributes:
        page: path of the page in the repository.
        line: number of its first line.
        text: the command in one or several lines, without a comment behind it.
        variables: the assignments that stand above it on the page.
    """

    page: str
    line: int
    text: str
    variables: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f'{self.page}:{self.line}'


def pages() -> list[Path]:
    """Return the pages that a reader types commands from."""
    readmes = [REPO / name for name in ('README.md', 'README_zh-CN.md')]
    return [path for path in readmes if path.exists()] + sorted((REPO / 'docs').rglob('*.md'))


def blocks(path: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    lines = path.read_text('utf-8').splitlines()
    page, number = path.relative_to(REPO).as_posix(), 0
    while number < len(lines):
        opening = FENCE.match(lines[number])
        number += 1
        if not opening:
            continue
        start = number
        while lines[number].strip() != opening['fence']:
            number += 1
        text = textwrap.dedent('\n'.join(lines[start:number])) + '\n'
        before = lines[start - 2].strip() if start > 1 else ''
        yield Block(page, start + 1, opening['language'], text, before)
        number += 1


def is_complete(text: str) -> bool:
    """Tell whether a shell could run the text, or waits for more lines."""
    if text.rstrip().endswith('\\'):
        return False
    done = subprocess.run(['bash', '-n', '-c', text], capture_output=True, text=True)
    # a document that is not ended yet is a warning, and no error
    return done.returncode == 0 and not done.stderr


def commands_of(block: Block) -> Iterator[tuple[int, str]]:
    """Yield the line number and the text of each command in a shell's block."""
    waiting, start = '', 0
    for number, line in enumerate(block.text.splitlines(), block.line):
        if not waiting:
            line = COMMENT.sub('', line)
            start = number
        waiting += line.rstrip() + '\n'
        if is_complete(waiting):
            if waiting.strip():
                yield start, waiting.strip()
            waiting = ''
    assert not waiting, f'{block.page}, line {start}: a command without an end: {waiting}'


def commands() -> list[Command]:
    """Return the commands of all pages; assignments go to those that follow them."""
    found = []
    for path in pages():
        variables: tuple[str, ...] = ()
        for block in blocks(path):
            if not block.is_shell:
                continue
            for line, text in commands_of(block):
                if ASSIGNMENT.match(text):
                    variables += (text,)
                else:
                    found.append(Command(block.page, line, text, variables))
    return found


def inline_commands() -> list[Command]:
    """Return the command lines of this project that stand in the text and in tables."""
    found = {}
    for path in pages():
        page, fenced = path.relative_to(REPO).as_posix(), False
        for number, line in enumerate(path.read_text('utf-8').splitlines(), 1):
            if FENCE.match(line):
                fenced = not fenced
            for text in () if fenced else INLINE.findall(line):
                found.setdefault(text, Command(page, number, text))
    return list(found.values())
