"""Releases: notes out of the changelog, workflows and forms that GitHub can read."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mmyolo_lite import __version__
from tests.shared_data import REPO

GITHUB = REPO / '.github'
NOTES = runpy.run_path(str(GITHUB / 'release_notes.py'))
CHANGELOG = """# Changelog

## [Unreleased]

- something

## [1.10.0] - 2026-02-01

### Added

- one

## [1.1.0] - 2026-01-01

- two

[1.1.0]: https://example.org
"""


@pytest.mark.parametrize(
    ('version', 'notes'),
    [
        ('1.10.0', '### Added\n\n- one'),
        ('1.1.0', '- two'),
        ('1.1', ''),
        ('1x10.0', ''),
        ('Unreleased', '- something'),
    ],
)
def test_notes_are_the_section_of_the_version(version: str, notes: str) -> None:
    assert NOTES['section'](CHANGELOG, version) == notes


def test_the_section_of_this_changelog_is_found() -> None:
    assert NOTES['section']((REPO / 'CHANGELOG.md').read_text(), 'Unreleased')


def test_the_version_is_read_without_importing() -> None:
    text = (REPO / 'mmyolo_lite/version.py').read_text()
    assert NOTES['package_version'](text) == __version__


def test_a_tag_of_another_version_makes_no_release() -> None:
    done = subprocess.run(
        [sys.executable, str(GITHUB / 'release_notes.py'), 'v99.0.0'],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert f'the tag is for 99.0.0, but mmyolo_lite/version.py says {__version__}' in done.stderr


WORKFLOWS = sorted((GITHUB / 'workflows').glob('*.yml'))


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_workflows(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    assert content[True]  # YAML reads the key `on` so
    assert content['permissions'] == {'contents': 'read'}
    jobs = content['jobs']
    for job in jobs.values():
        needs = job.get('needs', [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(jobs)
        assert job['timeout-minutes'] <= 60
        for step in job['steps']:
            assert ('uses' in step) != ('run' in step)
            assert '@' in step.get('uses', '@')


def test_the_sessions_that_workflows_run_exist() -> None:
    content = yaml.safe_load((GITHUB / 'workflows/ci.yml').read_text())
    matrix = content['jobs']['versions']['strategy']['matrix']['include']
    text = (REPO / 'noxfile.py').read_text()
    for entry in matrix:
        python, torch, *others = entry['cell'].split('-')
        assert python == entry['python']
        torch = torch.removeprefix('torch')
        kinds = others or ['newest' if torch == 'newest' else 'pinned']
        assert f"('{python}', '{torch}', '{kinds[0]}')" in text


def test_forms_ask_for_the_environment() -> None:
    forms = [path for path in (GITHUB / 'ISSUE_TEMPLATE').glob('*.yml') if path.stem != 'config']
    assert {path.stem for path in forms} == {'bug', 'feature', 'question'}
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert {'name', 'description', 'body'} <= set(form)
        ids = [part['id'] for part in form['body'] if part['type'] != 'markdown']
        assert len(ids) == len(set(ids))
    bug = yaml.safe_load((GITHUB / 'ISSUE_TEMPLATE/bug.yml').read_text())
    (asked,) = [part for part in bug['body'] if part.get('id') == 'environment']
    assert asked['validations'] == {'required': True}
    assert 'tools/misc/collect_env.py' in asked['attributes']['description']


def test_the_citation_names_the_version() -> None:
    citation = yaml.safe_load((REPO / 'CITATION.cff').read_text())
    assert citation['version'] == __version__
    assert citation['license'] == 'Apache-2.0'
