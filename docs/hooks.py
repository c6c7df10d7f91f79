"""What the site adds to the pages in docs/: files from elsewhere in the repository.

A page links to a config or to CONTRIBUTING.md as it lies in the repository, so that the link works
where the files are read; here each such file becomes a page of the site, and the link is turned to
it.
"""

import html
import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
# pages that stand in the navigation; README.md has its counterpart in docs/
NAMED = {'CONTRIBUTING.md': 'contributing.md', 'CHANGELOG.md': 'changelog.md'}
COUNTERPARTS = {'README.md': 'index.md', 'README_zh-CN.md': 'zh/index.md', **NAMED}
WIDE = ('config_errors.md',)  # one table, which takes the room of the table of contents
LINK = re.compile(r'(\]\()([^)\s#]+)(#[^)\s]*)?(\))')
FENCE = re.compile(r'^( *)(`{3,}|~{3,}).*?^\1\2 *$', re.MULTILINE | re.DOTALL)
LANGUAGES = {'.py': 'python', '.yml': 'yaml', '.yaml': 'yaml', '.sh': 'bash', '.toml': 'toml'}

_repository_path: dict[str, str] = {}  # of the pages that are made here, by their place in the site


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make a page of every file of the repository that a page links to."""
    _repository_path.clear()
    waiting = list(NAMED)
    for file in files.documentation_pages():
        waiting += _linked_files(f'docs/{file.src_uri}', file.content_string)
    while waiting:
        path = waiting.pop()
        place = _place(path)
        if files.get_file_from_path(place):
            continue
        text = _as_markdown(path)
        _repository_path[place] = path
        made = File.generated(config, place, content=text)
        made.inclusion = InclusionLevel.INCLUDED if path in NAMED else InclusionLevel.NOT_IN_NAV
        files.append(made)
        waiting += _linked_files(path, text)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository to the pages made of them; settings of pages."""
    here = page.file.src_uri
    if here.startswith('repository/'):
        page.meta['search'] = {'exclude': True}
    if here in WIDE:
        page.meta['hide'] = ['toc']
    if here.startswith('api/'):
        page.meta['search'] = {'boost': 0.5}
    path = _repository_path.get(here, f'docs/{here}')

    def turned(match: re.Match[str]) -> str:
        target = _target(path, match[2])
        if target is None:
            return match[0]
        link = posixpath.relpath(_place(target), posixpath.dirname(here) or '.')
        return f'{match[1]}{link}{match[3] or ""}{match[4]}'

    return _outside_fences(markdown, lambda text: LINK.sub(turned, text))


def _target(path: str, link: str) -> str | None:
    """Return the file of the repository that a link in the file at ``path`` leads to, or None."""
    if ':' in link or link.startswith('/'):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def _linked_files(path: str, text: str) -> list[str]:
    """Return the files outside docs/ that a text links to; a link to nothing ends the build."""
    found = []
    for match in LINK.finditer(FENCE.sub('', text)):
        target = _target(path, match[2])
        if target is None or target.startswith('docs/') or target in COUNTERPARTS:
            continue
        if not (ROOT / target).is_file():
            raise PluginError(f'{path}: the link to {match[2]} leads to no file')
        found.append(target)
    return found


def _place(path: str) -> str:
    """Return where in the site the page of a file of the repository is."""
    if path.startswith('docs/'):
        return path.removeprefix('docs/')
    folder, name = posixpath.split(path)
    suffix = '' if name.endswith('.md') else '.md'
    # a README.md would become the index of its folder
    return COUNTERPARTS.get(path, posixpath.join('repository', folder, name.lower() + suffix))


def _as_markdown(path: str) -> str:
    """Return a file of the repository as a page."""
    text = (ROOT / path).read_text(encoding='utf-8')
    if path.endswith('.md'):
        return text
    if path.endswith('.ipynb'):
        return '\n\n'.join(_cell(cell) for cell in json.loads(text)['cells'])
    language = LANGUAGES.get(posixpath.splitext(path)[1], 'text')
    return f'# {posixpath.basename(path)}\n\n`{path}`\n\n~~~~{language}\n{text.rstrip()}\n~~~~\n'


def _cell(cell: dict[str, Any]) -> str:
    """Return a cell of a notebook with the text that it printed, without its pictures."""
    source = ''.join(cell['source'])
    if cell['cell_type'] == 'markdown':
        return source
    printed = ''.join(''.join(output.get('text', '')) for output in cell['outputs'])
    shown = f'~~~~python\n{source}\n~~~~'
    return f'{shown}\n\n~~~~text\n{html.unescape(printed).rstrip()}\n~~~~' if printed else shown


def _outside_fences(markdown: str, change: Any) -> str:
    """Apply a change to what is not in a fenced block."""
    parts, end = [], 0
    for match in FENCE.finditer(markdown):
        parts += [change(markdown[end : match.start()]), match[0]]
        end = match.end()
    return ''.join([*parts, change(markdown[end:])])
