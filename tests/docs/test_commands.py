"""Every command of the pages is run, in little where it is long, or parsed, or has a reason."""

import re
import shutil
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.docs.blocks import Command, commands, inline_commands
from tests.docs.rules import RULES, VARIABLES, Way, rule_of
from tests.docs.shell import Shell
from tests.shared_data import REPO

COMMANDS = commands()
EXECUTED = (Way.RUN, Way.LITTLE)


def expanded(command: Command) -> str:
    """Return the text with the page's variables in place, by which equal commands are found."""
    text = command.text
    for line in reversed(command.variables):
        for name, value in re.findall(r'(\w+)=(\S+)', line):
            text = re.sub(rf'\$(?:{name}\b|{{{name}}})', lambda _, value=value: value, text)
    return text


def unique(ways: tuple[Way, ...]) -> list[Command]:
    """Return the commands of some ways, equal ones once."""
    found: dict[str, Command] = {}
    for command in COMMANDS:
        rule = rule_of(command.text)
        if rule and rule.way in ways:
            found.setdefault(rule.script(expanded(command)), command)
    return list(found.values())


def parameters(chosen: list[Command]) -> list:
    """Return parameters of a test, with marks."""
    slow = pytest.mark.slow
    return [
        pytest.param(command, id=str(command), marks=[slow] if is_slow(command) else [])
        for command in chosen
    ]


def is_slow(command: Command) -> bool:
    rule = rule_of(command.text)
    return rule is not None and rule.is_slow


def test_every_command_has_a_rule() -> None:
    unknown = [f'{c}: {c.text}' for c in COMMANDS if rule_of(c.text) is None]
    assert not unknown, 'add a rule in tests/docs/rules.py:\n' + '\n'.join(unknown)
    assert len(COMMANDS) > 30


def test_what_is_not_executed_has_a_reason_and_is_needed() -> None:
    used = {id(rule_of(command.text)) for command in [*COMMANDS, *inline_commands()]}
    for rule in RULES:
        if rule.way in EXECUTED:
            assert not rule.why
        else:
            assert rule.why, rule.pattern
            assert id(rule) in used, f'no page has a command of this rule: {rule.pattern}'


@pytest.mark.parametrize('command', parameters(unique(EXECUTED)))
def test_command_runs(command: Command, here: Path, shell: Shell, server: str) -> None:
    rule = rule_of(command.text)
    assert rule is not None
    if 'boxam_vis_demo.py' in command.text:
        pytest.importorskip('pytorch_grad_cam', reason='pip install grad-cam')
    for path in (found for pattern in rule.removed for found in here.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    lines = [*command.variables, rule.script(command.text)]
    done = shell.run(here, '\n'.join(lines), **VARIABLES, SERVER=server, **SETTINGS)
    assert done.code in rule.codes, f'{lines[-1]}\nexit code {done.code}\n{done.err[-3000:]}'
    assert 'Traceback' not in done.err, done.err[-3000:]


SETTINGS = {'WANDB_MODE': 'offline', 'WANDB_SILENT': 'true', 'NO_PROXY': '127.0.0.1'}


@pytest.fixture
def parser(shell: Shell):
    shell.parse = True
    yield shell
    shell.parse = False


@pytest.mark.parametrize('command', parameters(unique((Way.PARSED,))))
def test_command_line_is_understood(command: Command, here: Path, parser: Shell) -> None:
    text = command.text
    if re.search(r'\bpip install', text):
        for part in text.split('&&'):
            check_pip(part.split())
    elif text.startswith('make'):
        (target,) = re.findall(r'^make (\w+)', text)
        assert re.search(rf'^{target}:', (REPO / 'Makefile').read_text(), re.MULTILINE)
    else:
        rule = rule_of(text)
        assert rule is not None
        parser.run(here, '\n'.join([*command.variables, rule.script(text)]), **VARIABLES).check()


def check_pip(arguments: list[str]) -> None:
    """Check that the files of a pip command exist and that its requirements are some."""
    rest = iter(arguments[arguments.index('install') + 1 :])
    for argument in rest:
        if argument in ('-r', '-e'):
            path = next(rest)
            assert (REPO / re.sub(r'\[.*\]', '', path)).exists(), path
        elif argument in ('--index-url', '--extra-index-url'):
            assert next(rest).startswith('https://')
        elif not argument.startswith('-'):
            Requirement(argument.strip('"\''))


@pytest.mark.parametrize('command', parameters(inline_commands()))
def test_command_in_the_text_is_understood(command: Command, here: Path, parser: Shell) -> None:
    rule = rule_of(command.text)
    assert rule is not None, f'{command}: add a rule in tests/docs/rules.py for {command.text}'
    if command.text.split()[2:]:
        parser.run(here, rule.script(command.text), **VARIABLES, SERVER='http://localhost').check()
