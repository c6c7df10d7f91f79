"""Another training pipeline for the last epochs, such as one without mosaics."""

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmyolo_lite.datasets.coco import BatchShapePolicyDataset
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import HOOKS


@HOOKS.register_module()
class PipelineSwitchHook(Hook):
    """Give the training set another pipeline when an epoch begins, in resumed runs too.

    With the arguments of mmdet's hook; the new pipeline is made as fast as the first one, and
    workers that live on from epoch to epoch are started anew, which mmdet's does by PyTorch's
    internals. An image cache serves mosaics alone, so a pipeline without them decodes its images.

    Args:
        switch_epoch: the first epoch, counted from 0, with the new pipeline.
        switch_pipeline: its steps.

    Raises:
        ConfigError: `switch_epoch` is negative, there are no steps, or, when the training begins,
            its data set is none of this package.
    """

    def __init__(self, switch_epoch: int, switch_pipeline: Sequence[dict]) -> None:
        if switch_epoch < 0 or not switch_pipeline:
            raise ConfigError(
                f'PipelineSwitchHook: switch_epoch is {switch_epoch} and switch_pipeline has '
                f'{len(switch_pipeline)} steps; it takes an epoch from 0 on and at least one step.'
            )
        self.switch_epoch = switch_epoch
        self.switch_pipeline = switch_pipeline
        self._has_switched = False

    def before_train(self, runner: Runner) -> None:
        """Check that there is something to switch."""
        dataset = runner.train_dataloader.dataset
        if not isinstance(dataset, BatchShapePolicyDataset):
            raise ConfigError(
                f'PipelineSwitchHook: the training set is a {type(dataset).__name__}, whose '
                'pipeline cannot be replaced; it takes one data set of this project.'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Switch, once."""
        if runner.epoch < self.switch_epoch or self._has_switched:
            return
        loader: DataLoader = runner.train_dataloader
        loader.dataset.set_pipeline(self.switch_pipeline)  # type: ignore[attr-defined]
        # workers that are kept would go on with the old one
        loader._iterator = None
        self._has_switched = True
        runner.logger.info(
            f'epoch {runner.epoch + 1}: the training goes on with the pipeline of '
            'PipelineSwitchHook'
        )
