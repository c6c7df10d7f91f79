"""What a program or a command line calls: ``Predictor``, its ``Prediction``, ``load_model``."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmyolo_lite.apis.model import InferenceModel, load_model
    from mmyolo_lite.apis.prediction import Prediction
    from mmyolo_lite.apis.predictor import Predictor

__all__ = ['InferenceModel', 'Prediction', 'Predictor', 'load_model']

_MODULES = {
    'InferenceModel': 'model',
    'Prediction': 'prediction',
    'Predictor': 'predictor',
    'load_model': 'model',
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: a command line that only prints its help needs no framework."""
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
