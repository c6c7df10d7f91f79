"""What a resumed training keeps when its settings are not those of the checkpoint."""

import logging
from collections.abc import Mapping
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmyolo_lite.registry import HOOKS

KEY = 'training'
"""Of the ``meta`` of a checkpoint."""
NAMES = {
    'world_size': 'number of processes',
    'batch_size': 'train_dataloader.batch_size',
    'batches': 'batches of an epoch',
    'max_epochs': 'train_cfg.max_epochs',
}


@HOOKS.register_module()
class ResumeNotesHook(Hook):
    """Write the settings that exact resuming rests on into checkpoints, and say at ``--resume``
    what another value of them keeps and what it does not.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the settings."""
        checkpoint['meta'][KEY] = settings(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare them, when the run is resumed."""
        stored = checkpoint.get('meta', {}).get(KEY)
        if not getattr(runner, '_resume', False) or not isinstance(stored, Mapping):
            return
        changed = {
            name: (stored[name], value)
            for name, value in settings(runner).items()
            if name in stored and stored[name] != value
        }
        if changed:
            runner.logger.log(logging.WARNING, note(changed))


def settings(runner: Runner) -> dict[str, Any]:
    """Return the settings of a training by epochs; of others the number of processes."""
    found: dict[str, Any] = {'world_size': get_world_size()}
    if isinstance(runner.train_loop, EpochBasedTrainLoop):
        loader = runner.train_dataloader
        found['batch_size'] = loader.batch_size
        found['batches'] = len(loader)
        found['max_epochs'] = runner.max_epochs
    return found


def note(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """Return the sentences for the log.

    Args:
        changed: by the name of a setting its values in the checkpoint and now.

    >>> note({'max_epochs': (100, 200)})[:69]
    'Resumed with another train_cfg.max_epochs (100 in the checkpoint, now'
    """
    listed = ', '.join(
        f'{NAMES[name]} ({before} in the checkpoint, now {now})'
        for name, (before, now) in changed.items()
    )
    lost = []
    if 'max_epochs' in changed:
        lost.append('the learning rate falls over the new number of epochs from here on')
    if set(changed) - {'max_epochs'}:
        lost.append(
            'the images of each step are others, and so is the place in the warm-up, which counts '
            'iterations'
        )
    return (
        f'Resumed with another {listed}. Kept: weights, moving average, optimizer and epoch. Not '
        f'kept: {"; ".join(lost)}. See docs/distributed.md.'
    )
