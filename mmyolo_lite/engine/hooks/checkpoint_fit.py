"""Refuse a checkpoint that does not fit the model; mmengine loads what fits and leaves the rest
random.
"""

import logging
from dataclasses import replace
from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.model.test_time_aug import BaseTTAModel
from mmengine.runner import Runner
from torch import Tensor, nn

from mmyolo_lite.datasets.coco_checks import shortened
from mmyolo_lite.errors import CheckpointError
from mmyolo_lite.models import partial_weights
from mmyolo_lite.registry import HOOKS

SHOWN = 4
"""So many keys of each kind are named in a message."""


def misfits(model: nn.Module, weights: dict[str, Any]) -> tuple[list[str], list[str], int]:
    """Compare a model with the weights of a checkpoint, but for the counters of batch norms.

    Old checkpoints lack those counters, and nothing depends on them.

    Args:
        model: the model.
        weights: state dict; a leading ``module.`` of its keys does not count.

    Returns:
        Descriptions of the tensors with another shape, names of those that the checkpoint lacks,
        and the number of tensors compared.
    """
    given = {name.removeprefix('module.'): value for name, value in weights.items()}
    own = {
        name: value
        for name, value in model.state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    shapes, missing = [], []
    for name, tensor in own.items():
        if name not in given:
            missing.append(name)
        elif tuple(given[name].shape) != tuple(tensor.shape):
            shapes.append(
                f'{name} {tuple(given[name].shape)} in the file, {tuple(tensor.shape)} in the model'
            )
    return shapes, missing, len(own)


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Check a checkpoint against the model before it is loaded.

    Args:
        strict: every tensor of the model has to be in the checkpoint, in its shape. Without it what
            fits is taken over, and the rest is logged, as for training that starts from weights for
            other classes, another head or another size
            (:func:`~mmyolo_lite.models.partial_weights.transfer`); a resumed training is always
            strict.
    """

    priority = 'HIGHEST'  # before EMAHook reads the weights

    def __init__(self, strict: bool = True) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check `checkpoint`; wrap bare weights as mmengine expects them.

        Raises:
            CheckpointError: it holds no weights, they do not fit, or a training is to be resumed
                and its state is missing.
        """
        source = runner._load_from or 'of the work dir'
        weights = weights_of(checkpoint, source)
        if runner._resume:
            _check_state(checkpoint, source)
            _check_groups(checkpoint, runner, source)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model = model.module if isinstance(model, BaseTTAModel) else model
        if self.strict or runner._resume:
            check_fit(model, weights, source)
            _check_classes(checkpoint, runner, source)
        else:
            # the average of the weights starts from this state dict too (EMAHook)
            checkpoint['state_dict'] = _start_weights(checkpoint, model, runner, source)


def _start_weights(
    checkpoint: dict, model: nn.Module, runner: Runner, source: str
) -> dict[str, Tensor]:
    """Return a whole state dict for a model that starts from a checkpoint, and log what is new.

    Raises:
        CheckpointError: none of its names is one of the model's.
    """
    weights = {
        name.removeprefix('module.'): value for name, value in checkpoint['state_dict'].items()
    }
    own = model.state_dict()
    if not set(weights) & set(own):
        raise CheckpointError(_message(source, *misfits(model, weights)) + _official(weights))
    layer = partial_weights.prediction_layer(model, _classes_of_data(runner.train_loop))
    stored, guessed = None, False
    if layer is not None:
        names = _trained_classes(checkpoint)
        stored = partial_weights.stored_layer(weights, layer.num_base_priors, names)
        coco = tuple(CocoDataset.METAINFO['classes'])
        if stored is not None and stored.classes is None and stored.num_classes == len(coco):
            stored, guessed = replace(stored, classes=coco), True
    whole, report = partial_weights.transfer(weights, own, layer, stored)
    if not report.is_complete:
        lines = [f'Weights of {source}, which are of another model than the config:']
        if report.is_empty:
            lines = [
                f'Nothing of {source} fits the model of the config, whose layers have other '
                'shapes: the training starts from random weights. Take the config of the same size.'
            ]
        if guessed and report.kept_classes is not None:
            lines.append('it has 80 classes and no names of them: taken for those of COCO')
        lines += report.lines()
        is_frozen = bool(getattr(model, 'frozen_parts', None))
        if report.kept_classes and not report.new_classes and not is_frozen:
            lines.append(
                'few photos? --freeze backbone,neck keeps more of what it knows of these classes: '
                'docs/small_data.md'
            )
        print_log(
            '\n  '.join(lines), 'current', logging.WARNING if report.is_empty else logging.INFO
        )
    return whole


def _official(weights: dict[str, Tensor]) -> str:
    """Return a sentence for those who give weights in the official layout."""
    if not any(name.startswith('model.') for name in weights):
        return ''
    return (
        ' Weights of official YOLOv5 checkpoints are converted with '
        'tools/model_converters/yolov5_to_mmyolo.py.'
    )


def _trained_classes(checkpoint: dict) -> list[str] | None:
    """Return the class names that a checkpoint was trained with, if it says."""
    meta = checkpoint.get('meta')
    trained = (meta.get('dataset_meta') or {}) if isinstance(meta, dict) else {}
    names = trained.get('classes') if isinstance(trained, dict) else None
    return list(map(str, names)) if isinstance(names, (list, tuple)) else None


def _classes_of_data(loop: Any) -> Any:
    return getattr(loop.dataloader.dataset, 'metainfo', {}).get('classes')


def _check_classes(checkpoint: dict, runner: Runner, source: str) -> None:
    """Compare the class names of the training with those of the data set at hand.

    Raises:
        CheckpointError: they are the same in another order, so that every score would be wrong.
    """
    trained = _trained_classes(checkpoint)
    given = _classes_of_data(runner.train_loop if runner._resume else runner.test_loop)
    if trained is None or not given or trained == list(given):
        return
    if sorted(trained) == sorted(given):
        raise CheckpointError(
            f'Checkpoint {source} was trained with the classes in another order: '
            f'{shortened(trained)}; the data set has {shortened(given)}. Set '
            "metainfo=dict(classes=(...)) of the data set to the checkpoint's order."
        )
    print_log(
        f'Checkpoint {source} was trained with the classes {shortened(trained)}; the data set has '
        f'{shortened(given)}.',
        'current',
        logging.WARNING,
    )


def check_fit(model: nn.Module, weights: dict[str, Any], source: str) -> None:
    """Check weights against a model.

    Args:
        model: the model.
        weights: state dict, as :func:`weights_of` gives it.
        source: what messages call the checkpoint.

    Raises:
        CheckpointError: a tensor of the model is not there, or has another shape.
    """
    shapes, missing, total = misfits(model, weights)
    if shapes or missing:
        raise CheckpointError(_message(source, shapes, missing, total) + _official(weights))


def weights_of(checkpoint: Any, source: str) -> dict[str, Tensor]:
    """Return the state dict of `checkpoint`; bare weights are wrapped, in place.

    Raises:
        CheckpointError: there are no weights, or they are no tensors with names.
    """
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f'Checkpoint {source} holds no weights; it is a {type(checkpoint).__name__}, not a '
            'dict. Give a file that a training has written.'
        )
    if 'state_dict' not in checkpoint and all(
        isinstance(value, Tensor) for value in checkpoint.values()
    ):
        bare = dict(checkpoint)
        checkpoint.clear()
        checkpoint['state_dict'] = bare
    weights = checkpoint.get('state_dict')
    if not isinstance(weights, dict) or not weights:
        raise CheckpointError(
            f'Checkpoint {source} holds no weights; it has {sorted(map(str, checkpoint))}.'
        )
    odd = [
        f'{name!r} ({type(value).__name__})'
        for name, value in weights.items()
        if not (isinstance(name, str) and isinstance(value, Tensor))
    ]
    if odd:
        raise CheckpointError(
            f'The state_dict of checkpoint {source} is to map names to tensors; '
            f'{len(odd)} of its {len(weights)} entries do not: {_some(odd)}. '
            'Give a file that a training has written.'
        )
    return weights


def _check_state(checkpoint: dict, source: str) -> None:
    """Check what resuming reads beside the weights, and drop the config that mmengine would run.

    Raises:
        CheckpointError: there is no state of a training.
    """
    if 'meta' not in checkpoint:
        raise CheckpointError(
            f'Checkpoint {source} holds weights alone, no state of a training to continue. '
            'Start from it with --cfg-options load_from=... in place of --resume.'
        )
    meta = checkpoint['meta']
    lacking = [
        name
        for name in ('epoch', 'iter')
        if not isinstance(meta, dict) or not isinstance(meta.get(name), int)
    ]
    if not isinstance(checkpoint.get('message_hub'), dict):
        lacking.append('message_hub')
    if lacking:
        raise CheckpointError(
            f'Checkpoint {source} holds no state of a training to continue: {", ".join(lacking)} '
            'is missing or of another type. Start from its weights with '
            '--cfg-options load_from=... in place of --resume.'
        )
    # mmengine executes this Python text, only to look up `gpu_ids`, which its configs lack
    meta.pop('config', None)


def _check_groups(checkpoint: dict, runner: Runner, source: str) -> None:
    """Compare the groups of parameters of a checkpoint's optimizer with those of the training.

    Raises:
        CheckpointError: they are others.
    """
    if 'optimizer' not in checkpoint:
        return
    state = checkpoint['optimizer']
    try:
        given = [len(group['params']) for group in state['param_groups']]
    except (KeyError, TypeError):  # as of several optimizers, which mmengine compares
        return
    optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
    if optimizer is None:
        return
    own = [len(group['params']) for group in optimizer.param_groups]
    if given != own:
        raise CheckpointError(
            f'The optimizer of checkpoint {source} has groups of {given} parameters, and that of '
            f'the config {own}. Resume with the optim_wrapper (paramwise_cfg.custom_keys) it was '
            'trained with, or start from its weights with --cfg-options load_from=...'
        )


def _message(source: str, shapes: list[str], missing: list[str], total: int) -> str:
    parts = []
    if shapes:
        parts.append(f'{len(shapes)} of {total} tensors differ in shape: {_some(shapes)}.')
    if missing:
        parts.append(f'{len(missing)} of {total} tensors are not in the file: {_some(missing)}.')
    return (
        f'Checkpoint {source} does not fit the model of the config. {" ".join(parts)} '
        'Take the config it was trained with, with the same num_classes.'
    )


def _some(names: list[str]) -> str:
    return '; '.join(names[:SHOWN]) + ('; ...' if len(names) > SHOWN else '')
