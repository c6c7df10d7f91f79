"""Stop at the first loss that is not finite, with what led to it."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmyolo_lite.engine.loop_position import indices_of_batch
from mmyolo_lite.errors import DataError
from mmyolo_lite.registry import HOOKS

SHOWN_IMAGES = 32


class NotFiniteError(DataError):
    """A loss or a weight is nan or inf."""


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop a training whose loss or weights are nan or inf; on in all trainings.

    Losses are looked at behind each iteration, as numbers that the log has fetched from the device
    already; weights before each checkpoint. Nothing of a bad iteration gets into the moving
    average, a log or a file. A step that mixed precision leaves out for its gradients is none.

    Args:
        enabled: False looks at nothing.
    """

    priority = 'VERY_HIGH'  # behind RuntimeInfoHook, which has it too, and comes first

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Check the losses.

        Raises:
            NotFiniteError: one is not finite.
        """
        if not self.enabled or not isinstance(outputs, Mapping):
            return
        logged = runner.message_hub.log_scalars
        losses = {
            name: float(logged[f'train/{name}'].current())
            for name in outputs
            if 'loss' in name and f'train/{name}' in logged
        }
        if all(map(math.isfinite, losses.values())):
            return
        terms = {name: value for name, value in losses.items() if name != 'loss'} or losses
        bad = [name for name, value in terms.items() if not math.isfinite(value)] or ['loss']
        named = ' and '.join(f'{name} is {losses[name]}' for name in bad)
        others = ', '.join(
            f'{name} {value:.4g}' for name, value in terms.items() if name not in bad
        )
        count = len(runner.train_dataloader)
        paths = image_paths(runner, batch_idx, data_batch)
        more = f' and {len(paths) - SHOWN_IMAGES} more' if len(paths) > SHOWN_IMAGES else ''
        images = (
            f' Images of the batch (a mosaic mixes others in): '
            f'{", ".join(paths[:SHOWN_IMAGES])}{more}.'
            if paths
            else ''
        )
        raise NotFiniteError(
            f'The training stops in epoch {runner.epoch + 1} at iteration {batch_idx + 1} of '
            f'{count} ({runner.iter + 1} in all): {named}{f" ({others})" if others else ""}.'
            f'{images} {advice(runner)}'
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the weights.

        Raises:
            NotFiniteError: one is not finite.
        """
        if not self.enabled:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        weights = checkpoint['state_dict']
        bad = [
            name
            for name, _ in model.named_parameters()
            if name in weights and not torch.isfinite(weights[name]).all()
        ]
        if bad:
            raise NotFiniteError(
                f'Behind epoch {runner.epoch + 1}, iteration {runner.iter} in all, {len(bad)} '
                f'weights are not finite, the first: {bad[0]}. They are not saved. {advice(runner)}'
            )


def advice(runner: Runner) -> str:
    """Return sentences about what to try."""
    rate = runner.optim_wrapper.param_groups[0].get('initial_lr')
    now = f' (now {rate:g})' if isinstance(rate, (int, float)) else ''
    return (
        f'Earlier checkpoints stay. Try a smaller optim_wrapper.optimizer.lr{now}, no --amp, a '
        'longer warm-up (default_hooks.param_scheduler), and check the annotations of these '
        'images with tools/analysis_tools/check_dataset.py; '
        'default_hooks.finite_loss.enabled=False goes on regardless.'
    )


def image_paths(runner: Runner, batch_idx: int, data_batch: Any) -> list[str]:
    """Return the files that a batch was made from, one a sample; none where nobody knows."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
    if isinstance(samples, (list, tuple)):
        return [path for one in samples if (path := getattr(one, 'img_path', None))]
    loader = runner.train_dataloader
    try:
        indices = indices_of_batch(loader, batch_idx)
        return [loader.dataset.get_data_info(index)['img_path'] for index in indices]
    except Exception:  # other data sets than ours; the message matters more
        return []
