"""The command ``mmyolo-lite`` runs the scripts of tools/ and demo/."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmyolo_lite import __main__ as command
from mmyolo_lite import __version__
from tests.shared_data import REPO
from tests.tools import journey

SCRIPTS = sorted(path for folder in ('tools', 'demo') for path in (REPO / folder).rglob('*.py'))
CONFIG = 'mmyolo_lite::yolov5/yolov5_n-v61_syncbn_fast_8xb16-300e_coco.py'


def run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-m', 'mmyolo_lite', *arguments],
        cwd=cwd,
        env=journey.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_every_script_is_a_command_of_its_own() -> None:
    assert sorted(command.commands().values()) == SCRIPTS


def test_first_commands() -> None:
    assert tuple(command.commands())[: len(command.FIRST)] == command.FIRST


def test_renamed_scripts_exist() -> None:
    stems = {path.stem.replace('_', '-') for path in SCRIPTS}
    assert set(command.SHORT) <= stems
    assert not set(command.SHORT.values()) & stems


def test_help_names_all_and_where_configs_are(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    for name in command.commands():
        assert f'\n  {name} ' in done.stdout
    assert '  train                  Train a model from a config.\n' in done.stdout
    assert f'Configs: {REPO / "configs"}' in done.stdout


def test_version(tmp_path: Path) -> None:
    assert run(tmp_path, '--version').stdout == f'{__version__}\n'


def test_help_of_a_command_names_the_command(tmp_path: Path) -> None:
    assert run(tmp_path, 'train', '--help').stdout.startswith('usage: mmyolo-lite train [-h]')


@pytest.mark.parametrize(
    ('name', 'hint'), [('trian', 'Did you mean train?'), ('xyz', 'mmyolo-lite --help lists them.')]
)
def test_unknown_command(tmp_path: Path, name: str, hint: str) -> None:
    done = run(tmp_path, name)
    assert done.returncode == 2
    assert done.stderr == f'error: there is no command {name!r}. {hint}\n'


def test_exit_codes_and_errors_are_those_of_the_script(tmp_path: Path) -> None:
    done = run(tmp_path, 'train', 'none.py')
    assert done.returncode == 1
    assert done.stderr.startswith('error: Config not found: none.py')
    assert run(tmp_path, 'train').returncode == 2


def test_shipped_configs_have_names(tmp_path: Path) -> None:
    done = run(tmp_path, 'print-config', CONFIG)
    assert done.returncode == 0, done.stderr
    assert "default_scope = 'mmyolo_lite'" in done.stdout


def test_what_workers_import_anew_is_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / 'script.py'
    script.write_text(
        'import sys\n'
        "assert __name__ == '__main__' and sys.modules['__main__'].__dict__ is globals()\n"
        'sys.exit(f"{__file__} {sys.argv[1:]}")\n'
    )
    monkeypatch.setattr(command, 'commands', lambda: {'script': script})
    monkeypatch.setattr(sys, 'argv', ['mmyolo-lite', 'script', 'a'])
    monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])
    with pytest.raises(SystemExit) as stop:
        command.main()
    assert stop.value.code == f"{script} ['a']"
