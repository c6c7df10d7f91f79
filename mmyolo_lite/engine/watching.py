"""Which backends record the curves of a run, from the config and the command line."""

from collections.abc import Sequence
from typing import Any

from mmengine.config import Config, ConfigDict

from mmyolo_lite.engine.checks import type_name, typed_nodes
from mmyolo_lite.visualization.vis_backends import SHORT_NAMES, check_packages


def choose_backends(config: Config, names: Sequence[str] | None) -> None:
    """Record to these backends, in place of the config's; one that the config sets up keeps that.

    Args:
        config: changed in place.
        names: out of :data:`SHORT_NAMES`; None leaves the config as it is.
    """
    if names is None:
        return
    if not config.get('visualizer'):
        config.visualizer = ConfigDict(type='mmdet.DetLocalVisualizer', name='visualizer')
    visualizer = config.visualizer
    kinds = dict.fromkeys(SHORT_NAMES[name] for name in names)
    given = list(visualizer.get('vis_backends') or ())
    visualizer.vis_backends = [
        backend
        for kind in kinds
        for backend in [one for one in given if type_name(one.get('type')) == kind]
        or [ConfigDict(type=kind)]
    ]


def check_backends(config: Any) -> None:
    """Check that the packages of the config's backends are installed.

    Raises:
        DependencyError: one is missing.
    """
    visualizer = config.get('visualizer')
    if isinstance(visualizer, dict):
        check_packages(type_name(node['type']) for _, node in typed_nodes(dict(visualizer), ''))
