"""The last touches of an ONNX file: names of its axes, a threshold that can be set, metadata, and
the check.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from mmyolo_lite.deploy.metadata import KEY, summary
from mmyolo_lite.deploy.sessions import SCORE_INPUT

_AXES = {
    'B': 'batch',
    'K': 'detections',
    'P': 'priors',
    'C': 'classes',
    'm': 'coefficients',
    'H': 'height',
    'W': 'width',
    'h': 'mask_height',
    'w': 'mask_width',
}


def finish_onnx(path: Path, meta: dict[str, Any], simplify: bool, overridable: bool) -> None:
    """Finish a traced file in place and check it with full shape inference.

    Args:
        path: of the file.
        meta: what it says about itself.
        simplify: fold what is constant with onnxslim.
        overridable: the threshold of scores becomes an optional input.

    Raises:
        Exception: onnx's, when the file is not valid.
    """
    import onnx

    model = onnx.load(str(path))
    if simplify:
        import onnxslim

        model = onnxslim.slim(model)
    _name_axes(model, meta)
    if overridable:
        _open_threshold(model)
    model.doc_string = summary(meta)
    model.producer_name, model.producer_version = meta['project'], meta['version']
    onnx.helper.set_model_props(model, {KEY: json.dumps(meta)})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _name_axes(model: Any, meta: dict[str, Any]) -> None:
    """Name the axes of outputs whose lengths are free as the metadata do, and give the others
    their lengths.
    """
    batch = meta['input']['shape'][0]
    for output, known in zip(model.graph.output, meta['outputs'], strict=True):
        for axis, letter in zip(output.type.tensor_type.shape.dim, known['shape'], strict=True):
            if letter == 'B' and batch != 'B':
                axis.dim_value = batch
            elif isinstance(letter, int):
                axis.dim_value = letter
            elif not axis.HasField('dim_value'):
                axis.dim_param = _AXES[letter]


def _open_threshold(model: Any) -> None:
    """Turn the threshold of scores into an input that has a default."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    for node in graph.node:
        if node.op_type != 'NonMaxSuppression':
            continue
        values = {one.name: one for one in graph.initializer}
        values |= {
            one.output[0]: one.attribute[0].t
            for one in graph.node
            if len(one.output) == 1 and one.op_type == 'Constant'
        }
        default = numpy_helper.to_array(values[node.input[4]]).reshape(1).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(default, SCORE_INPUT))
        graph.input.append(helper.make_tensor_value_info(SCORE_INPUT, TensorProto.FLOAT, [1]))
        node.input[4] = SCORE_INPUT
