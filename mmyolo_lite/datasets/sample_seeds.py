"""A seed of its own for each sample of a training, so that a resumed run draws what one without
a stop would have drawn.
"""

import random

import numpy as np
import torch
from numpy.typing import NDArray


class SampleSeeds:
    """Seeds Python, NumPy and PyTorch before each sample, from the run's seed, the epoch and the
    image.

    Workers that live on from epoch to epoch would otherwise go on with a state that no checkpoint
    holds. Samples depend neither on the number of workers nor on which of them makes one. Off until
    :meth:`start_epoch` is called.
    """

    def __init__(self) -> None:
        # worker processes see changes of shared memory, as they start once for all epochs
        self._state = torch.zeros(3, dtype=torch.int64).share_memory_()

    def __deepcopy__(self, memo: dict) -> 'SampleSeeds':
        return SampleSeeds()  # a copied tensor would not be shared

    def start_epoch(self, seed: int, epoch: int) -> None:
        """Begin an epoch, from 0, of a run with a seed; workers are to be idle."""
        self._state.copy_(torch.tensor([1, seed % 2**63, epoch]))

    def apply(self, index: int) -> None:
        """Seed this process for the image `index`, if an epoch has begun."""
        is_on, seed, epoch = self._state.tolist()
        if not is_on:
            return
        seed_process(np.random.SeedSequence((seed, epoch, int(index))).generate_state(3))


def seed_process(words: NDArray[np.unsignedinteger]) -> None:
    """Seed NumPy, Python and PyTorch (on the CPU) of this process by three words."""
    np.random.seed(words[0])
    random.seed(int(words[1]))
    torch.default_generator.manual_seed(int(words[2]))
