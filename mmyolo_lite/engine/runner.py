"""Building a runner from a config."""

from typing import Any

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmyolo_lite.engine.checks import check_config
from mmyolo_lite.errors import ConfigError


def build_runner(config: Config) -> Runner:
    """Check a config and build its runner; data and weights are read when the runner starts.

    Raises:
        ConfigError: a field or a type that nobody knows.
    """
    check_config(config)
    try:
        if 'runner_type' in config:
            return RUNNERS.build(config)
        return Runner.from_cfg(config)
    except KeyError as error:
        raise ConfigError(f'The config does not build: {_unquoted(error)}') from error


def _unquoted(error: KeyError) -> Any:
    return error.args[0] if error.args else error
