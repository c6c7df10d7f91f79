"""Taking trained models away: ``export_model``, ``Runtime`` for what it writes, and
``publish`` for checkpoints to hand on.
"""

from typing import TYPE_CHECKING

from mmyolo_lite.lazy_names import lazy_names

if TYPE_CHECKING:
    from mmyolo_lite.deploy.export import Exported, export_model
    from mmyolo_lite.deploy.graph import switch_to_deploy
    from mmyolo_lite.deploy.options import ExportOptions
    from mmyolo_lite.deploy.runtime import Runtime

__all__ = ['ExportOptions', 'Exported', 'Runtime', 'export_model', 'switch_to_deploy']

__getattr__ = lazy_names(
    __name__,
    {
        'ExportOptions': 'options',
        'Exported': 'export',
        'Runtime': 'runtime',
        'export_model': 'export',
        'switch_to_deploy': 'graph',
    },
)
