"""Registries of mmyolo_lite: children of mmengine's, under the scope ``mmyolo_lite``.

They answer for the scope ``mmyolo`` too, so that a config written for MMYOLO (``default_scope =
'mmyolo'``, ``type='mmyolo.YOLODetector'``) builds this package's components unchanged.
"""

import importlib.util
import sys

from mmengine import registry as _root
from mmengine.registry import Registry

SCOPE = 'mmyolo_lite'
ALIAS_SCOPE = 'mmyolo'

# mmengine imports `<scope>.registry` whenever a scope is entered. The alias has no package of its
# own, so its name leads here; a real package of that name keeps it.
_ALIAS_IS_FREE = 'mmyolo' not in sys.modules and importlib.util.find_spec('mmyolo') is None
if _ALIAS_IS_FREE:
    sys.modules.setdefault(f'{ALIAS_SCOPE}.registry', sys.modules[__name__])


def _child(parent: Registry, *locations: str) -> Registry:
    """Create the child of `parent` in our scope, and its twin in the alias scope sharing one
    table.
    """
    packages = [f'mmyolo_lite.{name}' for name in locations]
    child = Registry(parent.name, parent=parent, scope=SCOPE, locations=packages)
    if _ALIAS_IS_FREE:
        twin = Registry(parent.name, parent=parent, scope=ALIAS_SCOPE, locations=packages)
        twin._module_dict = child._module_dict
    return child


RUNNERS = _child(_root.RUNNERS, 'engine')
RUNNER_CONSTRUCTORS = _child(_root.RUNNER_CONSTRUCTORS, 'engine')
STRATEGIES = _child(_root.STRATEGIES, 'engine')
LOOPS = _child(_root.LOOPS, 'engine')
HOOKS = _child(_root.HOOKS, 'engine.hooks')
DATASETS = _child(_root.DATASETS, 'datasets.registered')
DATA_SAMPLERS = _child(_root.DATA_SAMPLERS, 'datasets.registered')
TRANSFORMS = _child(_root.TRANSFORMS, 'datasets.transforms')
FUNCTIONS = _child(_root.FUNCTIONS, 'datasets.registered')
MODELS = _child(_root.MODELS, 'models')
MODEL_WRAPPERS = _child(_root.MODEL_WRAPPERS, 'models')
WEIGHT_INITIALIZERS = _child(_root.WEIGHT_INITIALIZERS, 'models')
OPTIMIZERS = _child(_root.OPTIMIZERS, 'engine')
OPTIM_WRAPPERS = _child(_root.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(_root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine')
PARAM_SCHEDULERS = _child(_root.PARAM_SCHEDULERS, 'engine')
METRICS = _child(_root.METRICS, 'evaluation')
EVALUATOR = _child(_root.EVALUATOR, 'evaluation')
TASK_UTILS = _child(_root.TASK_UTILS, 'models', 'datasets.registered')
VISUALIZERS = _child(_root.VISUALIZERS, 'visualization')
VISBACKENDS = _child(_root.VISBACKENDS, 'visualization.vis_backends')
LOG_PROCESSORS = _child(_root.LOG_PROCESSORS, 'engine')
INFERENCERS = _child(_root.INFERENCERS, 'apis')

COLLATE_FUNCTIONS = FUNCTIONS
"""The name that configs and extensions of the field use for functions that collate a batch."""
