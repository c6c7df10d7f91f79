"""Every epoch begins in a state that depends on the seed and its number alone."""

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmyolo_lite.datasets.coco import BatchShapePolicyDataset
from mmyolo_lite.datasets.sample_seeds import seed_process
from mmyolo_lite.engine.loop_position import KEY, Position
from mmyolo_lite.registry import HOOKS


@HOOKS.register_module()
class ExactEpochsHook(Hook):
    """Seed the samples and the order of each epoch, so that a resumed training goes on exactly as
    if it had never stopped.

    Works for trainings by epochs on one data set of this project; in others, such as those of
    several joined sets, nothing is seeded anew. Transforms that keep samples from one call to the
    next (``use_cached=True``) break it.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._seeds: Any = None

    def before_train(self, runner: Runner) -> None:
        """Find the data set, and give the sampler the seed of the run, which may come from the
        checkpoint.
        """
        loader = runner.train_dataloader
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        if isinstance(loader.dataset, BatchShapePolicyDataset):
            self._seeds = loader.dataset.sample_seeds
            # starting workers draws a number, and resumed trainings start them in another epoch
            loader.generator = torch.Generator().manual_seed(runner.seed or 0)
        if hasattr(loader.sampler, 'seed') and runner.seed is not None:
            loader.sampler.seed = runner.seed

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the position in the middle of an epoch into a checkpoint that is saved there."""
        position = getattr(runner.train_loop, 'saving', None)
        if position is not None:
            checkpoint[KEY] = position.as_dict()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Begin there.

        Raises:
            CheckpointError: the position is malformed.
        """
        begin_at = getattr(runner._train_loop, 'begin_at', None)
        if runner._resume and begin_at is not None:
            begin_at(Position.from_checkpoint(checkpoint))

    def before_train_epoch(self, runner: Runner) -> None:
        """Begin an epoch, in this process too: what it draws, such as sizes of multi-scale
        training, belongs to the epoch.
        """
        if self._seeds is None or runner.seed is None:
            return
        self._seeds.start_epoch(runner.seed, runner.epoch)
        words = np.random.SeedSequence((runner.seed, runner.epoch, 1 + runner.rank))
        seed_process(words.generate_state(3))
