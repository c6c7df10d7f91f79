"""What a model can take over from weights of another one: other classes, another head, another
size.

Letters: A priors per cell, C classes, K mask channels, D = 5 + C + K numbers per prior.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

SHOWN = 4
"""So many names of each list are shown."""
_HEAD = 'bbox_head.head_module.'
_PREDICTION = re.compile(rf'({re.escape(_HEAD)}convs_pred\.\d+)\.(weight|bias)')
_COEFFICIENTS = f'{_HEAD}proto_pred.conv3.conv.weight'
_COUNTER = '.num_batches_tracked'
_UNFIT = 'belongs to a layer that does not fit'


@dataclass(frozen=True)
class PredictionLayer:
    """How the rows of a prediction layer are ordered: for every prior box (4), objectness (1),
    classes (C) and coefficients (K).

    Attributes:
        num_base_priors: A.
        num_classes: C.
        mask_channels: K.
        classes: names by label, None where they are unknown.
    """

    num_base_priors: int
    num_classes: int
    mask_channels: int = 0
    classes: tuple[str, ...] | None = None

    def sources(self, other: 'PredictionLayer') -> list[int]:
        """Return for each of the D numbers of a prior the place in `other`, -1 for a new one."""
        rows = list(range(5))
        if self.classes is None or other.classes is None:
            same = self.num_classes == other.num_classes
            rows += [5 + label if same else -1 for label in range(self.num_classes)]
        else:
            places = {_key(name): label for label, name in reversed([*enumerate(other.classes)])}
            found = [places.get(_key(name), -1) for name in self.classes]
            rows += [5 + label if label >= 0 else -1 for label in found]
        same = self.mask_channels == other.mask_channels
        start = 5 + other.num_classes
        return rows + [start + k if same else -1 for k in range(self.mask_channels)]


def _key(name: str) -> str:
    return name.strip().casefold()


@dataclass
class TransferReport:
    """What became of the tensors.

    Attributes:
        loaded: names of those taken over whole.
        in_part: names of those of which some rows were taken over.
        skipped: reasons by the names of those in the file that were not.
        missing: names of those in the model that start anew and are not in the file.
        kept_classes: names of the classes whose rows were taken over, None where classes went over
            by number or not at all.
        new_classes: names of those whose rows start anew.
    """

    loaded: list[str] = field(default_factory=list)
    in_part: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    kept_classes: list[str] | None = None
    new_classes: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Every tensor of the file and of the model was taken over whole."""
        return not (self.in_part or self.skipped or self.missing)

    @property
    def is_empty(self) -> bool:
        """Nothing was taken over."""
        return not (self.loaded or self.in_part)

    def lines(self) -> list[str]:
        """Return the three lists, a line each, and one on the classes."""
        reasons = [f'{name} ({reason})' for name, reason in self.skipped.items()]
        found = [
            f'loaded {len(self.loaded) + len(self.in_part)}'
            + (f', {len(self.in_part)} of them in part' if self.in_part else '')
            + _some([*self.in_part, *self.loaded]),
            f'skipped {len(reasons)}{_some(_one_of_each(self.skipped, reasons))}',
            f'missing, started anew {len(self.missing)}{_some(self.missing)}',
        ]
        if self.kept_classes is not None:
            found.append(
                f'classes kept {len(self.kept_classes)}{_some(self.kept_classes)}; '
                f'started anew {len(self.new_classes)}{_some(self.new_classes)}'
            )
        return found


def _some(names: Sequence[str]) -> str:
    shown = ', '.join(names[:SHOWN]) + (', ...' if len(names) > SHOWN else '')
    return f': {shown}' if names else ''


def _one_of_each(reasons: Mapping[str, str], texts: list[str]) -> list[str]:
    """Put one text of every kind of reason first."""
    seen: set[str] = set()
    first: list[str] = []
    rest: list[str] = []
    for reason, text in zip(reasons.values(), texts, strict=True):
        kind = re.sub(r'[\d(), ]+', '', reason)
        (rest if kind in seen else first).append(text)
        seen.add(kind)
    return first + rest


def prediction_layer(
    model: nn.Module, classes: Sequence[str] | None = None
) -> PredictionLayer | None:
    """Return the order of the rows of a detector's prediction layer; None if it has none.

    Args:
        model: a detector, or anything else.
        classes: names by label; ignored when they are not as many as the layer has.
    """
    module: Any = getattr(getattr(model, 'bbox_head', None), 'head_module', None)
    if not hasattr(module, 'convs_pred'):
        return None
    count = module.num_classes
    return PredictionLayer(
        module.num_base_priors,
        count,
        getattr(module, 'mask_channels', 0),
        _fitting(classes, count),
    )


def _fitting(classes: Sequence[str] | None, count: int) -> tuple[str, ...] | None:
    return tuple(map(str, classes)) if classes and len(classes) == count else None


def stored_layer(
    weights: Mapping[str, Tensor], num_base_priors: int, classes: Sequence[str] | None = None
) -> PredictionLayer | None:
    """Return the order of the rows of the prediction layer in a state dict.

    Args:
        weights: state dict of a detector, tensors by name.
        num_base_priors: A, which shapes do not tell.
        classes: names by label.

    Returns:
        None if there is no such layer, or it has another number of priors.
    """
    bias = weights.get(f'{_HEAD}convs_pred.0.bias')
    if bias is None or bias.dim() != 1 or len(bias) % num_base_priors:
        return None
    last = weights.get(_COEFFICIENTS)
    masks = last.shape[0] if last is not None and last.dim() else 0
    count = len(bias) // num_base_priors - 5 - masks
    if count < 1 or (classes and len(classes) != count):
        return None
    return PredictionLayer(num_base_priors, count, masks, _fitting(classes, count))


def transfer(
    weights: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    layer: PredictionLayer | None = None,
    stored: PredictionLayer | None = None,
) -> tuple[dict[str, Tensor], TransferReport]:
    """Take over from weights what fits a model.

    Tensors go over by name and shape; a batch norm only with its convolution. The rows of a
    prediction layer for other classes go over one by one: box and objectness, mask coefficients if
    they are as many, and classes of the same name.

    Args:
        weights: state dict of another model, or of this one.
        own: state dict of this model; what is not taken over keeps its values.
        layer: rows of this model's prediction layer; None for models without one.
        stored: those of the weights'; None where they cannot be told.

    Returns:
        A whole state dict for the model, and what became of each tensor.
    """
    report = TransferReport()
    result = dict(own)
    rows = None if layer is None or stored is None else layer.sources(stored)
    by_rows = rows is not None
    unfit = {
        _layer_of(name) for name, tensor in own.items() if _misfit(name, tensor, weights, by_rows)
    }
    for name, tensor in own.items():
        given = weights.get(name)
        if given is None:
            if not name.endswith(_COUNTER):
                report.missing.append(name)
        elif _layer_of(name) in unfit:
            same = given.shape == tensor.shape
            report.skipped[name] = _UNFIT if same else _shapes(given, tensor)
        elif _PREDICTION.fullmatch(name) and rows is not None and stored is not None:
            result[name] = _rows(name, given, tensor, rows, stored, report)
        elif given.shape != tensor.shape:
            report.skipped[name] = _shapes(given, tensor)
        else:
            result[name] = given
            report.loaded.append(name)
    for name in weights:
        if name not in own:
            report.skipped[name] = 'the model has no such part'
    _name_classes(report, layer, stored)
    return result, report


def _misfit(name: str, own: Tensor, weights: Mapping[str, Tensor], by_rows: bool) -> bool:
    """Say whether a weight cannot be taken over, so that what belongs to it cannot either.

    The number of rows of a prediction layer does not matter where they go over `by_rows`.
    """
    if not name.endswith('.weight'):
        return False
    given = weights.get(name)
    if given is None or given.dim() != own.dim():
        return True
    first = 1 if by_rows and _PREDICTION.fullmatch(name) else 0
    return given.shape[first:] != own.shape[first:]


def _layer_of(name: str) -> str:
    """Return the name of a convolution with its batch norm."""
    return re.sub(r'\.(conv|bn)\.\w+$|\.(weight|bias)$', '', name)


def _shapes(given: Tensor, own: Tensor) -> str:
    return f'{tuple(given.shape)} in the file, {tuple(own.shape)} in the model'


def _rows(
    name: str,
    given: Tensor,
    own: Tensor,
    rows: list[int],
    stored: PredictionLayer,
    report: TransferReport,
) -> Tensor:
    """Return a tensor of a prediction layer with the rows of the weights where there are any."""
    priors = stored.num_base_priors
    depth = 5 + stored.num_classes + stored.mask_channels
    if given.shape != (priors * depth, *own.shape[1:]):
        report.skipped[name] = _shapes(given, own)
        return own
    if rows == list(range(depth)):
        report.loaded.append(name)
        return given
    source = given.reshape(priors, depth, *own.shape[1:]).to(own)
    target = own.detach().clone().reshape(priors, len(rows), *own.shape[1:])
    kept = torch.tensor([place for place, row in enumerate(rows) if row >= 0])
    target[:, kept] = source[:, torch.tensor(rows)[kept]]
    report.in_part.append(name)
    return target.reshape(own.shape)


def _name_classes(
    report: TransferReport, layer: PredictionLayer | None, stored: PredictionLayer | None
) -> None:
    if not report.in_part or layer is None or stored is None:
        return
    if layer.classes is not None and stored.classes is not None:
        rows = layer.sources(stored)[5 : 5 + layer.num_classes]
        pairs = list(zip(layer.classes, rows, strict=True))
        report.kept_classes = [name for name, row in pairs if row >= 0]
        report.new_classes = [name for name, row in pairs if row < 0]
