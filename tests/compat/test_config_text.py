"""A config's text is formatted once, and follows changes."""

from unittest import mock

import mmengine.config.config
from mmengine.config import Config

from mmyolo_lite.compat import config_text

# the fork onedl-mmengine imports it where it is used
FORMATTER = (
    'mmengine.config.config.FormatCode'
    if hasattr(mmengine.config.config, 'FormatCode')
    else 'yapf.yapflib.yapf_api.FormatCode'
)


def test_text_is_formatted_once_and_again_after_a_change():
    config_text.install()
    config = Config(dict(lr=0.1, nested=dict(names=('a', 'b'))))
    with mock.patch(FORMATTER, side_effect=lambda text, **_: (text, True)) as formatter:
        first = config.pretty_text
        assert config.pretty_text == first
        assert formatter.call_count == 1
        config.nested.names = ('c',)
        assert "'c'" in config.pretty_text
        assert formatter.call_count == 2


def test_installing_twice_wraps_once():
    config_text.install()
    wrapped = Config.pretty_text
    config_text.install()
    assert Config.pretty_text is wrapped
