"""The command ``mmyolo-lite``, or ``python -m mmyolo_lite``: every script of ``tools/`` and
``demo/`` by a short name, in a checkout and in an installed wheel alike.
"""

import ast
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from mmyolo_lite import __version__, shipped

PROGRAM = 'mmyolo-lite'
EXIT_USAGE = 2  # argparse's

SHORT = {
    'image-demo': 'predict',
    'video-demo': 'predict-video',
    'large-image-demo': 'predict-tiles',
    'deploy-demo': 'predict-exported',
    'collect-env': 'doctor',
}
"""Commands whose name is another one than that of the script."""

FIRST = ('train', 'test', 'predict', 'export', 'doctor')
"""Commands that the help names first."""


def commands() -> dict[str, Path]:
    """Return the script of every command by its name, those that are used most first."""
    found = {}
    for folder in ('tools', 'demo'):
        for path in sorted((shipped.root() / folder).rglob('*.py')):
            name = path.stem.replace('_', '-')
            found[SHORT.get(name, name)] = path
    return {name: found[name] for name in sorted(found, key=_rank)}


def _rank(name: str) -> tuple[int, str]:
    return (FIRST.index(name) if name in FIRST else len(FIRST)), name


def overview() -> Iterator[str]:
    """Yield the lines of the help: every command with the first sentence of its script."""
    yield f'usage: {PROGRAM} COMMAND ...     ({PROGRAM} COMMAND --help says more)'
    yield ''
    found = commands()
    width = max(map(len, found)) + 2
    for name, path in found.items():
        text = ast.get_docstring(ast.parse(path.read_text('utf-8'))) or ''
        sentence = ' '.join(text.split('\n\n')[0].split())
        yield f'  {name:{width}}{sentence}'
    yield ''
    yield f'Configs: {shipped.root() / "configs"}'
    yield f'A command takes one of them as {shipped.PREFIX}yolov5/NAME.py; your own config inherits'
    yield f"from it with _base_ = '{shipped.PREFIX}yolov5/NAME.py'."


def main() -> None:
    """Run the script of the command that the command line names.

    Raises:
        SystemExit: with the script's exit code, or 2 where there is no such command.
    """
    name, *arguments = sys.argv[1:] or ['--help']
    if name in ('-h', '--help'):
        print('\n'.join(overview()))
        return
    if name == '--version':
        print(__version__)
        return
    found = commands()
    if name not in found:
        similar = difflib.get_close_matches(name, found, n=1)
        hint = f'Did you mean {similar[0]}?' if similar else f'{PROGRAM} --help lists them.'
        print(f'error: there is no command {name!r}. {hint}', file=sys.stderr)
        sys.exit(EXIT_USAGE)
    sys.argv = [f'{PROGRAM} {name}', *map(_shipped, arguments)]
    _run_as_main(found[name])


def _run_as_main(script: Path) -> None:
    """Run a script as if it had been started itself, but for its name in messages: ``runpy`` would
    put the path there. What data-loading workers import anew is the script, too.
    """
    main_module = ModuleType('__main__')
    main_module.__file__ = str(script)
    sys.modules['__main__'] = main_module
    exec(compile(script.read_bytes(), script, 'exec'), vars(main_module))


def _shipped(argument: str) -> str:
    """Put its path in place of the name of a shipped config."""
    if not argument.startswith(shipped.PREFIX):
        return argument
    return str(shipped.config_path(argument))


if __name__ == '__main__':
    main()
