"""Taking trained models away: ``export_model``, ``Runtime`` for what it writes, and
``publish`` for checkpoints to hand on.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmyolo_lite.deploy.export import Exported, export_model
    from mmyolo_lite.deploy.graph import switch_to_deploy
    from mmyolo_lite.deploy.options import ExportOptions
    from mmyolo_lite.deploy.runtime import Runtime

__all__ = ['ExportOptions', 'Exported', 'Runtime', 'export_model', 'switch_to_deploy']

_MODULES = {
    'ExportOptions': 'options',
    'Exported': 'export',
    'Runtime': 'runtime',
    'export_model': 'export',
    'switch_to_deploy': 'graph',
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, so that command lines start quickly."""
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
