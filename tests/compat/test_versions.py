"""Versions out of the tested ranges warn in one line and never stop."""

import warnings
from importlib import metadata
from unittest import mock

import pytest

from mmyolo_lite.compat import versions


def with_versions(**installed: str) -> mock._patch:
    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    return mock.patch.object(metadata, 'version', version)


def test_tested_versions_are_silent() -> None:
    with (
        with_versions(torch='2.11.0+cu130', numpy='2.4.6', mmdet='3.3.0'),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter('error')
        versions.install()


@pytest.mark.parametrize(
    ('name', 'version'), [('torch', '2.15.0'), ('numpy', '1.25.2'), ('mmdet', '4.0.0rc1')]
)
def test_other_versions_warn_in_one_line(name: str, version: str) -> None:
    with (
        with_versions(**{name: version}),
        pytest.warns(UserWarning, match=f'{name} {version}') as caught,
    ):
        versions.install()
    assert len(caught) == 1
    assert '\n' not in str(caught[0].message)


def test_local_versions_and_nonsense_do_not_stop() -> None:
    with with_versions(torch='2.11.0a0+gitabc', numpy='unknown'):
        assert versions.untested_versions() == []
