"""Official YOLOv5 weights out of their files: checkpoints of ``torch.save``, and ONNX exports."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmyolo_lite.apis.convert_weights_names import ANCHORS
from mmyolo_lite.compat.foreign_checkpoint import ForeignCheckpoint, explained, open_foreign
from mmyolo_lite.compat.foreign_objects import Foreign, StoredTensor
from mmyolo_lite.errors import CheckpointError, DependencyError

STRIDES = (8, 16, 32)
_DEEPEST = 40  # modules inside modules; the real ones have eight


@dataclass
class Source:
    """What a file holds.

    Attributes:
        weights: by official names, floating-point ones in float32.
        part: where in the file they were: 'ema', 'model' ...
        names: class names by label, None where the file has none.
        anchors: (L, A, 2) widths and heights in input pixels, None where the file has none.
        notes: what else there is to know.
    """

    weights: dict[str, Tensor]
    part: str
    names: Any = None
    anchors: Tensor | None = None
    notes: list[str] = field(default_factory=list)


def read_source(path: str | Path) -> Source:
    """Read weights; nothing of the file is executed.

    Raises:
        CheckpointError: the file is missing, damaged, unsafe, or holds no weights.
        DependencyError: it is an ONNX file and the package ``onnx`` is missing.
    """
    if str(path).lower().endswith('.onnx'):
        return _read_onnx(path)
    with open_foreign(path) as opened:
        part, chosen = _chosen(opened.root, path)
        stored = (
            dict(_module_weights(chosen)) if isinstance(chosen, Foreign) else _plain_weights(chosen)
        )
        if not stored:
            raise CheckpointError(f'{path}: its {part} holds no weights.')
        weights = {name: opened.tensor(t, widen=True) for name, t in stored.items()}
        state = chosen.state if isinstance(chosen, Foreign) else opened.root
        state = state if isinstance(state, dict) else {}
        strides = _strides(opened, state.get('stride'))
    anchors = next((t for name, t in weights.items() if name.endswith(ANCHORS)), None)
    if anchors is not None and (anchors.dim() != 3 or anchors.shape[::2] != (len(strides), 2)):
        raise CheckpointError(
            f'{path}: its anchors have the shape {tuple(anchors.shape)}; {len(strides)} levels of '
            'pairs are expected, as P5 models have them.'
        )
    return Source(
        weights,
        part,
        state.get('names'),
        None if anchors is None else anchors * torch.tensor(strides)[:, None, None],
    )


def _chosen(root: Any, path: str | Path) -> tuple[str, Any]:
    """Return the average of the weights if the checkpoint has one, else its model."""
    if isinstance(root, Foreign):
        return 'model', root
    if not isinstance(root, dict):
        raise CheckpointError(f'{path} holds no weights; it is a {type(root).__name__}.')
    for part in ('ema', 'model', 'state_dict'):
        chosen = root.get(part)
        if isinstance(chosen, Foreign) or (isinstance(chosen, dict) and _plain_weights(chosen)):
            return part, chosen
    if _plain_weights(root):
        return 'state dict', root
    raise CheckpointError(
        f'{path} holds no weights under ema, model or state_dict; it has '
        f'{", ".join(sorted(map(repr, root))[:8]) or "nothing"}.'
    )


def _plain_weights(content: dict) -> dict[str, StoredTensor]:
    return {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, StoredTensor)
    }


def _module_weights(
    module: Foreign, prefix: str = '', depth: int = 0
) -> Iterator[tuple[str, StoredTensor]]:
    """Yield parameters and buffers of a pickled module and those inside it, with their names."""
    if depth > _DEEPEST:
        raise CheckpointError(f'its modules are nested more than {_DEEPEST} deep')
    for kind in ('_parameters', '_buffers'):
        for name, value in _entries(module, kind):
            if isinstance(value, StoredTensor):
                yield f'{prefix}{name}', value
    for name, child in _entries(module, '_modules'):
        if isinstance(child, Foreign):
            yield from _module_weights(child, f'{prefix}{name}.', depth + 1)


def _entries(module: Foreign, kind: str) -> list[tuple[Any, Any]]:
    content = module.state.get(kind)
    return list(content.items()) if isinstance(content, dict) else []


def _strides(opened: ForeignCheckpoint, stored: Any) -> tuple[float, ...]:
    """Return the strides of the levels in input pixels."""
    if isinstance(stored, StoredTensor) and stored.shape == (len(STRIDES),):
        strides = tuple(opened.tensor(stored).tolist())
        if strides != STRIDES:
            raise CheckpointError(f'its strides are {strides}; those of P5 models are {STRIDES}')
    return STRIDES


def _read_onnx(path: str | Path) -> Source:
    """Read the constants of an ONNX export: its convolutions are fused with their batch norms."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise DependencyError(
            'ONNX files are read with the package onnx: pip install onnx'
        ) from error
    with explained(str(path)):
        graph = onnx.load(str(path), load_external_data=False)
        constants = {one.name: one for one in graph.graph.initializer}
        weights = {
            name: torch.from_numpy(numpy_helper.to_array(one).copy())
            for name, one in constants.items()
            if name.startswith(('model.', 'module.model.'))
        }
        weights = {n: t.float() if t.is_floating_point() else t for n, t in weights.items()}
        values = [numpy_helper.to_array(one) for one in constants.values() if len(one.dims) == 5]
        values += [
            numpy_helper.to_array(attribute.t)
            for node in graph.graph.node
            if node.op_type == 'Constant'
            for attribute in node.attribute
            if len(attribute.t.dims) == 5
        ]
    if not weights:
        raise CheckpointError(
            f'{path} has no weights with the names of an official export (model.0.conv.weight). '
            'Convert the .pt file that it was exported from.'
        )
    properties = {entry.key: entry.value for entry in graph.metadata_props}
    anchors = _anchors_of_constants(values)
    note = 'ONNX exports have no batch norms; their anchors are ' + (
        'read from its constants' if anchors is not None else 'not to be found in this one'
    )
    return Source(weights, 'graph', _literal(properties.get('names')), anchors, [note])


def _literal(text: str | None) -> Any:
    try:
        return ast.literal_eval(text or 'None')
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _anchors_of_constants(values: list[np.ndarray]) -> Tensor | None:
    """Return the anchors among the constants (1, A, h, w, 2) of a decoding layer: those that are
    the same in every cell, finest level first.
    """
    found: dict[tuple, np.ndarray] = {}
    for value in values:
        if value.shape[0] != 1 or value.shape[-1] != 2 or not value.size:
            continue
        first = value[:, :, :1, :1]
        if (value == first).all() and (first > 1).all():
            found[tuple(first.ravel().tolist())] = first[0, :, 0, 0]
    levels = sorted(found.values(), key=lambda level: float(level.prod(axis=1).mean()))
    if len(levels) != len(STRIDES) or len({level.shape for level in levels}) != 1:
        return None
    return torch.from_numpy(np.stack(levels)).float()


def class_names(names: Any, count: int) -> tuple[str, ...] | None:
    """Return `count` class names from a list, or a dict by label; None where they do not fit."""
    if isinstance(names, Mapping):
        names = [names.get(label) for label in range(count)] if len(names) == count else None
    if not isinstance(names, (list, tuple)) or len(names) != count:
        return None
    if not all(isinstance(name, str) and name.strip() for name in names):
        return None
    return tuple(names)
