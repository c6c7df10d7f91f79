"""What a program or a command line calls: ``Predictor``, its ``Prediction``, ``load_model``."""

from typing import TYPE_CHECKING

from mmyolo_lite.lazy_names import lazy_names

if TYPE_CHECKING:
    from mmyolo_lite.apis.model import InferenceModel, load_model
    from mmyolo_lite.apis.prediction import Prediction
    from mmyolo_lite.apis.predictor import Predictor

__all__ = ['InferenceModel', 'Prediction', 'Predictor', 'load_model']

__getattr__ = lazy_names(
    __name__,
    {
        'InferenceModel': 'model',
        'Prediction': 'prediction',
        'Predictor': 'predictor',
        'load_model': 'model',
    },
)
