"""Writing a trained model to a file that runs without the training stack."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmyolo_lite.apis.model import InferenceModel, load_model
from mmyolo_lite.deploy.graph import (
    DecodedNetwork,
    FinalNetwork,
    select_by_onnx,
    select_by_torchvision,
    switch_to_deploy,
)
from mmyolo_lite.deploy.metadata import KEY, describe, suppression
from mmyolo_lite.deploy.onnx_files import finish_onnx
from mmyolo_lite.deploy.options import SUFFIXES, ExportOptions
from mmyolo_lite.deploy.sessions import open_session, required
from mmyolo_lite.deploy.tracing import quiet_tracing
from mmyolo_lite.engine.published import checkpoint_of
from mmyolo_lite.errors import ConfigError, DependencyError, UserError
from mmyolo_lite.whole_files import check_out_dir, whole_file

Array = NDArray[Any]

MAX_DIFFERENCES = {'boxes': 1.0, 'scores': 0.01}
"""Between a written file and PyTorch; boxes in pixels of the input."""


class Exported(NamedTuple):
    """A written file.

    Attributes:
        path: of the file.
        meta: its metadata.
        check: how its outputs for noise compare with PyTorch's, in words.
    """

    path: Path
    meta: dict[str, Any]
    check: str


class _Work(NamedTuple):
    """What is to be written: the module, an input of it, and what the file says of it."""

    module: nn.Module
    example: Tensor
    meta: dict[str, Any]
    options: ExportOptions


def export_model(
    model: InferenceModel, output: str | Path, options: ExportOptions, source: str = ''
) -> Exported:
    """Write a model to a file, and compare the file with PyTorch.

    The file appears whole or not at all.

    Args:
        model: on a CPU; is changed: batch norms are folded, with `half` weights lose digits.
        output: path of the file; a folder gets a file named by `source`.
        options: how.
        source: name of the checkpoint, for the metadata.

    Raises:
        ConfigError: what the model, its test pipeline or settings do cannot be exported so.
        DependencyError: the package of the format is missing.
        DataError: the file cannot be written.
    """
    write = _writer(options)
    path = output_path(output, options, source)
    check_out_dir(path.parent)
    meta = describe(model, options, source)
    fixed = None
    if options.dynamic != 'all':
        fixed = (meta['input']['shape'][2], meta['input']['shape'][3])
    module: nn.Module = DecodedNetwork(switch_to_deploy(model.network), fixed, options.half)
    if options.nms == 'graph':
        traced = options.format == 'torchscript'
        select = select_by_torchvision if traced else select_by_onnx
        module = FinalNetwork(module, suppression(meta), select)  # type: ignore[arg-type]
    size = meta['preprocess']['letterbox']['size_hw']
    example = torch.rand((options.batch, 3, *size), generator=torch.Generator().manual_seed(0))
    work = _Work(module.eval(), example, meta, options)
    with torch.no_grad():
        write(work, path)
        return Exported(path, meta, _comparison(work, path))


def export_file(
    config: str | Path,
    checkpoint: str | None,
    output: str | Path | None,
    options: ExportOptions,
    config_options: dict[str, Any] | None = None,
) -> Exported:
    """Export the model of a config with the weights of a checkpoint.

    Args:
        config: path of the config.
        checkpoint: path or URL; None with a published checkpoint in place of the config.
        output: path of the file, or a folder; None is the folder of the checkpoint, the current
            one for a URL.
        options: how.
        config_options: dotted keys and values that override fields of the config.

    Raises:
        UserError: as :func:`export_model` and :func:`mmyolo_lite.apis.load_model`.
    """
    _writer(options)  # a missing package shows before the model is loaded
    checkpoint = checkpoint_of(str(config), checkpoint)
    source = checkpoint.rsplit('/', 1)[-1]
    if output is None:
        output = '.' if '://' in checkpoint else Path(checkpoint).parent
    output_path(output, options, source)
    model = load_model(config, checkpoint, 'cpu', config_options)
    return export_model(model, output, options, source)


def output_path(output: str | Path, options: ExportOptions, source: str) -> Path:
    """Return the path of the file to write.

    Raises:
        ConfigError: its suffix is of another format.
    """
    path, suffix = Path(output), SUFFIXES[options.format]
    if path.is_dir():
        return path / (Path(source or 'model').stem + suffix)
    if path.suffix.lower() != suffix:
        raise ConfigError(
            f'--output is {path}; a file of --format {options.format} ends in {suffix}.'
        )
    return path


def _writer(options: ExportOptions) -> Callable[[_Work, Path], None]:
    """Return what writes the format, with its packages there."""
    if options.format == 'torchscript':
        return _write_torchscript
    required('onnx', 'onnx', f'--format {options.format}')
    if options.simplify:
        required('onnxslim', 'onnxslim', '--simplify')
    if options.format == 'onnx':
        return _write_onnx
    if options.format == 'openvino':
        required('openvino', 'openvino', '--format openvino')
        return _write_openvino
    required('tensorrt', 'tensorrt', '--format engine')
    if options.nms == 'graph':
        raise ConfigError(
            '--format engine has outputs of fixed size, and the number of detections is none: take '
            '--nms none.'
        )
    return _write_engine


@contextmanager
def _traceable(options: ExportOptions) -> Iterator[None]:
    """Name what cannot be traced in one line."""
    try:
        with quiet_tracing():
            yield
    except (UserError, OSError):
        raise
    except Exception as error:  # of PyTorch, onnx, onnxslim or OpenVINO, each of its own kind
        reason = ' '.join(str(error).split())[:300] or type(error).__name__
        raise ConfigError(
            f'The model cannot be exported with --format {options.format}, opset {options.opset}: '
            f'{reason}'
        ) from error


def _trace_onnx(work: _Work, path: Path, overridable: bool) -> None:
    """Write the finished ONNX file of `work`."""
    names = [output['name'] for output in work.meta['outputs']]
    axes: dict[str, dict[int, str]] = {'images': {}}
    if work.options.dynamic != 'none':
        axes['images'][0] = 'batch'
    if work.options.dynamic == 'all':
        axes['images'] |= {2: 'height', 3: 'width'}
    if work.options.nms == 'graph':
        axes |= {name: {1: 'detections'} for name in names if name != 'num_dets'}
    with _traceable(work.options):
        torch.onnx.export(
            work.module,
            (work.example,),
            str(path),
            dynamo=False,
            opset_version=work.options.opset,
            input_names=['images'],
            output_names=names,
            dynamic_axes=axes,
        )
        finish_onnx(path, work.meta, work.options.simplify, overridable)


def _write_onnx(work: _Work, path: Path) -> None:
    with whole_file(path) as part:
        _trace_onnx(work, part, overridable=True)


def _write_torchscript(work: _Work, path: Path) -> None:
    with whole_file(path) as part, _traceable(work.options):
        traced = torch.jit.trace(work.module, work.example, check_trace=False)
        torch.jit.save(traced, str(part), _extra_files={KEY: json.dumps(work.meta)})


def _write_openvino(work: _Work, path: Path) -> None:
    """Write the description (.xml) and the weights beside it (.bin)."""
    import openvino

    with whole_file(path.with_suffix('.bin')) as bin_part, whole_file(path) as part:
        onnx_part = part.with_suffix('.onnx')
        try:
            _trace_onnx(work, onnx_part, overridable=False)
            with _traceable(work.options):
                converted = openvino.convert_model(str(onnx_part))
                converted.set_rt_info(json.dumps(work.meta), [KEY])
                openvino.save_model(converted, str(part), compress_to_fp16=work.options.half)
        finally:
            onnx_part.unlink(missing_ok=True)
        assert part.with_suffix('.bin') == bin_part, 'both are named by the process'


def _write_engine(work: _Work, path: Path) -> None:
    from mmyolo_lite.deploy.tensorrt_engine import build_engine

    with whole_file(path) as part:
        onnx_part = part.with_suffix('.onnx')
        try:
            _trace_onnx(work, onnx_part, overridable=False)
            with _traceable(work.options):
                part.write_bytes(build_engine(onnx_part, work.meta))
        finally:
            onnx_part.unlink(missing_ok=True)


def _comparison(work: _Work, path: Path) -> str:
    """Run the written file and PyTorch on noise and say by how much they differ.

    Raises:
        ConfigError: the file gives something else; it is removed.
    """
    try:
        found = open_session(path, threads=1)(work.example.numpy())
    except DependencyError as error:
        return f'not compared with PyTorch: {error}'
    values = [value.numpy() for value in work.module(work.example)]
    wanted = dict(zip(found, values, strict=True))
    if isinstance(work.module, FinalNetwork):
        boxes, scores, *_ = (value.numpy() for value in work.module.decoded(work.example))
        differences = _from_candidates(found, boxes, scores)
        numbers = list(zip(found['num_dets'].tolist(), wanted['num_dets'].tolist(), strict=True))
    else:
        differences = {name: _difference(found[name], value) for name, value in wanted.items()}
        numbers = []
    parts = [f'{name} {value:.1e}' for name, value in differences.items()]
    parts += [f'{have} detections in place of {want}' for have, want in numbers if have != want]
    words = ', '.join(parts)
    is_far = not all(differences.get(name, 0) <= most for name, most in MAX_DIFFERENCES.items())
    if not work.options.half and (is_far or any(_is_another_number(*pair) for pair in numbers)):
        path.unlink()
        path.with_suffix('.bin').unlink(missing_ok=True)  # of OpenVINO
        raise ConfigError(
            f'The exported file differs from PyTorch: {words}. '
            'Another --opset, or without --simplify, may give it right.'
        )
    if numbers and not any(map(any, numbers)):
        return 'compared with PyTorch on noise: no detection in either'
    return f'compared with PyTorch on noise, largest differences: {words}'


def _difference(found: Array, wanted: Array) -> float:
    """Return the largest difference; infinity for other shapes, NaN where there is one."""
    if found.shape != wanted.shape:
        return float('inf')
    return float(np.abs(wanted - found).max(initial=0))


def _from_candidates(found: dict[str, Array], boxes: Array, scores: Array) -> dict[str, float]:
    """Return by how much final detections differ, each from the nearest of the decoded ones.

    Which of several overlapping boxes suppression keeps is chance where their scores are alike, as
    those of noise are behind a short training; but each that it keeps has to be there.

    Args:
        found: outputs of a file, for which see ``FinalNetwork``.
        boxes: (B, P, 4) xyxy in input pixels.
        scores: (B, P, C).

    Returns:
        ``boxes`` in pixels and ``scores``: infinity for labels of no class, NaN where there is one.
    """
    off: dict[str, list[float]] = {'boxes': [0.0], 'scores': [0.0]}
    for image, count in enumerate(found['num_dets'].tolist()):
        for box, score, label in zip(
            *(found[name][image, :count] for name in ('boxes', 'scores', 'labels')), strict=True
        ):
            if not 0 <= label < scores.shape[2]:
                off['scores'].append(float('inf'))
                continue
            off_px = np.abs(boxes[image] - box).max(axis=1)
            off_score = np.abs(scores[image, :, label] - score)
            nearest = int((off_px + off_score).argmin())
            off['boxes'].append(float(off_px[nearest]))
            off['scores'].append(float(off_score[nearest]))
    return {name: float(np.max(values)) for name, values in off.items()}


def _is_another_number(found: int, wanted: int) -> bool:
    """Say whether more detections of an image come or go than chance lets."""
    return abs(found - wanted) > max(3, wanted // 10) or (found == 0) != (wanted == 0)
