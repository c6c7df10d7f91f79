"""Refuse a checkpoint that does not fit the model; mmengine loads what fits and leaves the rest
random.
"""

import logging
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.model.test_time_aug import BaseTTAModel
from mmengine.runner import Runner
from torch import Tensor, nn

from mmyolo_lite.datasets.coco_checks import shortened
from mmyolo_lite.errors import CheckpointError
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
        strict: every tensor of the model has to be in the checkpoint, in its shape. Without it one
            is enough, as for training that starts from weights for other classes; a resumed
            training is always strict.
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
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model = model.module if isinstance(model, BaseTTAModel) else model
        check_fit(model, weights, source, strict=self.strict or runner._resume)
        if self.strict or runner._resume:
            _check_classes(checkpoint, runner, source)


def _check_classes(checkpoint: dict, runner: Runner, source: str) -> None:
    """Compare the class names of the training with those of the data set at hand.

    Raises:
        CheckpointError: they are the same in another order, so that every score would be wrong.
    """
    meta = checkpoint.get('meta')
    trained = (meta.get('dataset_meta') or {}) if isinstance(meta, dict) else {}
    trained = trained.get('classes') if isinstance(trained, dict) else None
    loop = runner.train_loop if runner._resume else runner.test_loop
    given = getattr(loop.dataloader.dataset, 'metainfo', {}).get('classes')
    if not isinstance(trained, (list, tuple)) or not given or list(trained) == list(given):
        return
    trained = list(map(str, trained))
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


def check_fit(model: nn.Module, weights: dict[str, Any], source: str, strict: bool = True) -> None:
    """Check weights against a model.

    Args:
        model: the model.
        weights: state dict, as :func:`weights_of` gives it.
        source: what messages call the checkpoint.
        strict: every tensor of the model has to be there, in its shape; without it one is enough.

    Raises:
        CheckpointError: they do not fit.
    """
    shapes, missing, total = misfits(model, weights)
    if len(shapes) + len(missing) == total or (strict and (shapes or missing)):
        raise CheckpointError(_message(source, shapes, missing, total))


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
