"""Where in an epoch a training was stopped, so that another one goes on from there exactly."""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from mmyolo_lite.errors import CheckpointError

KEY = 'position'
"""Of the checkpoint."""


@dataclass(frozen=True)
class Position:
    """A place between two batches of an epoch.

    Attributes:
        done: batches that are trained on.
        batches: of a whole epoch.
        world_size: processes.
        states: what each process has for itself: its random numbers and, of several processes,
            the statistics of norms in the model and in its moving average, which differ between
            two epochs where norms are not synchronised.
    """

    done: int
    batches: int
    world_size: int
    states: list[dict[str, Any]]

    @classmethod
    def now(cls, done: int, runner: Runner) -> 'Position':
        """Return the current one; to be called by all processes."""
        state = random_state()
        if get_world_size() > 1:
            state['buffers'] = [buffer.cpu() for buffer in _buffers(runner)]
        count = len(runner.train_dataloader)
        return cls(done, count, get_world_size(), all_gather_object(state))

    @classmethod
    def from_checkpoint(cls, checkpoint: dict) -> 'Position | None':
        """Return what a checkpoint holds, None for one from between two epochs.

        Raises:
            CheckpointError: it is malformed.
        """
        stored = checkpoint.get(KEY)
        if stored is None:
            return None
        try:
            position = cls(**stored)
            valid = 0 < position.done < position.batches and all(
                isinstance(state, dict) for state in position.states
            )
        except TypeError:
            valid = False
        if not valid:
            raise CheckpointError(
                f'The {KEY} in the checkpoint is malformed. Resume from another checkpoint.'
            )
        return position

    def as_dict(self) -> dict[str, Any]:
        """Return it in plain containers, as checkpoints hold it."""
        return asdict(self)

    def fits(self, loader: DataLoader) -> bool:
        """Say whether the batches are still the same ones."""
        return (self.batches, self.world_size) == (len(loader), get_world_size())

    def restore_state(self, runner: Runner) -> None:
        """Go on with what this process has for itself.

        Raises:
            CheckpointError: they are malformed.
        """
        try:
            state = self.states[get_rank()]
            set_random_state(state)
            if 'buffers' in state:
                for own, stored in zip(_buffers(runner), state['buffers'], strict=True):
                    own.copy_(stored)
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f'The {KEY} in the checkpoint is malformed ({error}). Resume from another '
                'checkpoint.'
            ) from error


def _buffers(runner: Runner) -> list[Tensor]:
    averages = [hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook)]
    return [
        buffer
        for model in (runner.model, *averages)
        for buffer in model.buffers()
        if buffer.is_floating_point()
    ]


def random_state() -> dict[str, Any]:
    """Return the state of Python's, NumPy's and PyTorch's random numbers in plain containers."""
    kind, keys, *rest = cast(tuple[Any, ...], np.random.get_state(legacy=True))
    state = {
        'python': random.getstate(),
        'numpy': (kind, keys.tolist(), *rest),
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Undo :func:`random_state`.

    Raises:
        KeyError, IndexError, TypeError, ValueError, RuntimeError: the state is malformed.
    """
    version, words, gauss = state['python']
    random.setstate((version, tuple(words), gauss))
    kind, keys, *rest = state['numpy']
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


class _Batches:
    """A batch sampler whose rounds leave out the first batches while `skip` is not 0."""

    def __init__(self, sampler: Any, skip: int) -> None:
        self._sampler = sampler
        self.skip = skip

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self._sampler), self.skip, None)

    def __len__(self) -> int:
        return len(self._sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)


def round_behind(loader: DataLoader, count: int) -> Iterator[Any]:
    """Begin a round over a loader behind `count` batches, without reading these."""
    if not count:
        return iter(loader)
    whole = loader.batch_sampler
    batches = _Batches(whole, count)
    # the loader refuses to be changed, as iterators that live on could be confused by it
    object.__setattr__(loader, 'batch_sampler', batches)
    try:
        return iter(loader)
    finally:
        batches.skip = 0  # workers that live on keep it for later rounds
        object.__setattr__(loader, 'batch_sampler', whole)


def indices_of_batch(loader: DataLoader, number: int) -> list[int]:
    """Return the samples of a batch of the current epoch, from 0; none where they are not known
    beforehand.
    """
    if not (hasattr(loader.sampler, 'seed') and hasattr(loader.sampler, 'epoch')):
        return []  # another round would draw other ones
    return list(next(islice(loader.batch_sampler or (), number, None), []))
