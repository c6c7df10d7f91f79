"""Official YOLOv5 checkpoints (v6, v7; detection and segmentation) turned into this project's."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import mmyolo_lite
from mmyolo_lite.apis import convert_weights_names as official
from mmyolo_lite.apis.convert_weights_sources import class_names, read_source
from mmyolo_lite.datasets.file_io import refuse_existing, write_text
from mmyolo_lite.errors import CheckpointError, DataError
from mmyolo_lite.version import __version__
from mmyolo_lite.whole_files import whole_file

COCO_ANCHORS = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
"""Width and height in pixels of the anchors in all configs here, by level, the finest first."""
_SAME = 0.01  # of a pixel, and of a size: float16 keeps three digits
SHOWN = 5
_OWN = ('backbone.stem.', 'bbox_head.head_module.')  # where this project's names begin

Anchors = tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True)
class Converted:
    """Weights for a model of this project, and what is known of them.

    Attributes:
        model: size, task and counts.
        weights: state dict, float32.
        classes: names by label, None where the file has none.
        anchors: widths and heights in pixels by level, None where the file has none.
        part: where in the file the weights were.
        unmatched: official names that have no place here.
        num_fused: convolutions that had been fused with their norms.
        notes: what else there is to know.
    """

    model: official.Architecture
    weights: dict[str, Tensor]
    classes: tuple[str, ...] | None
    anchors: Anchors | None
    part: str
    unmatched: tuple[str, ...] = ()
    num_fused: int = 0
    notes: tuple[str, ...] = ()

    @property
    def has_other_anchors(self) -> bool:
        """The anchors differ from those of the configs."""
        if self.anchors is None:
            return False
        given, usual = (torch.tensor(a, dtype=torch.float) for a in (self.anchors, COCO_ANCHORS))
        return given.shape != usual.shape or not torch.allclose(
            given, usual, rtol=_SAME, atol=_SAME
        )

    def lines(self) -> list[str]:
        """Return the report."""
        model = self.model
        found = [
            f'YOLOv5-{model.size} {model.task}, {model.num_classes} classes, '
            f'{len(self.weights)} weights and buffers from its {self.part}, all in place'
        ]
        if self.unmatched:
            found.append(f'left out, without a place here: {_some(self.unmatched)}')
        if self.classes is None:
            found.append('class names: none that fit; labels become names')
        else:
            found.append(f'class names: {_some(self.classes)}')
        if self.anchors is None:
            found.append('anchors: none in the file; those of the configs (COCO) are expected')
        elif self.has_other_anchors:
            found.append(f'anchors: other than those of the configs: {_anchor_text(self.anchors)}')
        else:
            found.append('anchors: those of the configs (COCO)')
        if self.num_fused:
            found.append(
                f'{self.num_fused} convolutions had been fused with their batch norms: the norms '
                'only add a bias now. For prediction; do not fine-tune before their statistics are '
                'estimated anew.'
            )
        return found + list(self.notes)


def _some(names: tuple[str, ...]) -> str:
    shown = ', '.join(name[:60] for name in names[:SHOWN])
    return f'{len(names)}: {shown}' + (', ...' if len(names) > SHOWN else '')


def _anchor_text(anchors: Anchors) -> str:
    return '[' + ', '.join(str(list(level)) for level in anchors) + ']'


def convert_file(source: str | Path) -> Converted:
    """Read a checkpoint in the official layout, or its ONNX export; nothing of it is executed.

    Raises:
        CheckpointError: it is missing, damaged, unsafe, or no P5 model of YOLOv5 v6 or v7.
        DependencyError: it is an ONNX file and the package ``onnx`` is missing.
    """
    found = read_source(source)
    if any(name.removeprefix('module.').startswith(_OWN) for name in found.weights):
        raise CheckpointError(
            f'{source} is a checkpoint of this project already: there is nothing to convert. Give '
            'it to tools/test.py, or to load_from of a config.'
        )
    anchors = found.anchors
    try:
        weights, unmatched = official.rename(found.weights)
        model = official.architecture(weights, 3 if anchors is None else anchors.shape[1])
        expected = official.expected_weights(model)
        weights, num_fused = official.with_identity_norms(weights, expected)
        weights, extra = _in_place(weights, expected)
    except CheckpointError as error:
        raise CheckpointError(f'{source}: {error}') from error
    notes = list(found.notes)
    # a sum in float64 is finite exactly if all of its float32 are
    broken = [name for name, t in weights.items() if not math.isfinite(t.sum(dtype=torch.float64))]
    if broken:
        notes.append(f'not finite, as after a training that diverged: {_some(tuple(broken))}')
    return Converted(
        model,
        weights,
        class_names(found.names, model.num_classes),
        None if anchors is None else _rounded(anchors),
        found.part,
        (*unmatched, *extra),
        num_fused,
        tuple(notes),
    )


def _in_place(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights of the model in its order, and the names that it has no place for.

    Raises:
        CheckpointError: some are missing, or of another shape.
    """
    counters = {
        name: torch.zeros((), dtype=torch.int64)
        for name in expected
        if name.endswith('num_batches_tracked')
    }
    weights = counters | dict(weights)
    missing = [name for name in expected if name not in weights]
    shapes = [
        f'{name} {tuple(weights[name].shape)} in place of {tuple(expected[name].shape)}'
        for name in expected
        if name in weights and weights[name].shape != expected[name].shape
    ]
    kinds = [
        name
        for name in expected
        if name in weights
        and weights[name].is_floating_point() != expected[name].is_floating_point()
    ]
    for text, names in (('missing', missing), ('other shapes', shapes), ('other types', kinds)):
        if names:
            raise CheckpointError(
                f'it does not fit a P5 model of YOLOv5 v6 or v7; {text}: {_some(tuple(names))}.'
            )
    return {name: weights[name] for name in expected}, [n for n in weights if n not in expected]


def _rounded(anchors: Tensor) -> Anchors:
    """Return anchors without the noise of float16, whole numbers where they are."""

    def number(value: float) -> float:
        whole = round(value)
        return whole if abs(value - whole) < _SAME else round(value, 2)

    return tuple(
        tuple((number(width), number(height)) for width, height in level)
        for level in anchors.tolist()
    )


def write_converted(
    found: Converted,
    source: str | Path,
    target: str | Path,
    config: str | Path | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write the checkpoint, and a config for it.

    Args:
        found: what was converted.
        source: where it came from, for the metadata.
        target: the checkpoint.
        config: the config; None writes one beside the checkpoint, ending in ``.py``, only where the
            anchors differ from those of the configs.
        overwrite: replace existing files.

    Returns:
        The paths of what was written.

    Raises:
        DataError: one exists already, or cannot be written.
    """
    target = Path(target)
    if config is None and found.has_other_anchors:
        config = target.with_suffix('.py')
    outputs = [target] + ([] if config is None else [Path(config)])
    refuse_existing(outputs, overwrite)
    if len(set(map(os.path.abspath, [source, *outputs]))) != len(outputs) + 1:
        raise DataError(f'{source}, {", ".join(map(str, outputs))}: give each its own name')
    with whole_file(target) as part:
        torch.save({'meta': _meta(found, source), 'state_dict': found.weights}, part)
    if config is not None:
        write_text(config_text(found, Path(source), Path(config)), Path(config))
    return outputs


def _meta(found: Converted, source: str | Path) -> dict[str, Any]:
    meta: dict[str, Any] = {
        'mmyolo_lite_version': __version__,
        'converted_from': Path(source).name,
        'size': found.model.size,
        'task': found.model.task,
    }
    if found.classes is not None:
        meta['dataset_meta'] = {'classes': found.classes}
    if found.anchors is not None:
        meta['anchors'] = [[list(size) for size in level] for level in found.anchors]
    if found.num_fused:
        meta['fused'] = True
    return meta


def config_text(found: Converted, source: Path, path: Path) -> str:
    """Return a config for the weights that inherits the COCO one of their size and task.

    Args:
        found: the weights.
        source: the file they came from.
        path: where the config will lie.
    """
    model = found.model
    name = f'yolov5_{model.size}-v61_syncbn_fast_8xb16-300e_coco.py'
    if model.mask_channels:
        name = f'ins_seg/yolov5_ins_{model.size}-v61_syncbn_fast_8xb16-300e_coco_instance.py'
    classes = found.classes or tuple(map(str, range(model.num_classes)))
    module: dict[str, Any] = {
        'num_classes': model.num_classes,
        'num_base_priors': model.num_base_priors,
    }
    if model.mask_channels:
        module['mask_channels'] = model.mask_channels
    anchors = found.anchors or COCO_ANCHORS
    rows = ''.join(f'    {list(level)},\n' for level in anchors)
    names = ''.join(f'    {one!r},\n' for one in classes)
    return (
        f'# YOLOv5-{model.size} {model.task} for the weights of {source.name!r}.\n'
        f'_base_ = {_base(name, path)!r}\n\n'
        f'anchors = [  # (width, height) in pixels, the finest level first\n{rows}]\n'
        f'classes = (\n{names})\n'
        'metainfo = dict(classes=classes)\n\n'
        'model = dict(\n'
        '    bbox_head=dict(\n'
        f'        head_module=dict({", ".join(f"{key}={value}" for key, value in module.items())}),'
        '\n        prior_generator=dict(base_sizes=anchors),\n'
        f'        loss_cls=dict(loss_weight=0.5 * {model.num_classes} / 80),\n'
        '    )\n)\n'
        'train_dataloader = dict(dataset=dict(metainfo=metainfo))\n'
        'val_dataloader = dict(dataset=dict(metainfo=metainfo))\n'
        'test_dataloader = dict(dataset=dict(metainfo=metainfo))\n'
    )


def _base(name: str, path: Path) -> str:
    """Return how a config at `path` names one of this project's."""
    package = Path(mmyolo_lite.__file__).resolve().parent
    if (package / '.mim' / 'configs').is_dir():
        return f'mmyolo_lite::yolov5/{name}'
    found = package.parent / 'configs' / 'yolov5' / name
    return Path(os.path.relpath(found, path.resolve().parent)).as_posix()
