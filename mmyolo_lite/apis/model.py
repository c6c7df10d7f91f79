"""A trained model, ready for images: built from a config and a checkpoint, without a runner."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from numpy.typing import NDArray
from torch import nn

from mmyolo_lite.datasets.batch_shapes import BatchShapePolicy
from mmyolo_lite.datasets.palette import complete_palette
from mmyolo_lite.datasets.transforms.loading import LoadImageFromFile
from mmyolo_lite.engine.build_errors import config_errors
from mmyolo_lite.engine.checks import (
    configured_classes,
    head_module_config,
    innermost_datasets,
    type_name,
)
from mmyolo_lite.engine.coco_data import COCO_CLASSES
from mmyolo_lite.engine.config import has_masks, load_config
from mmyolo_lite.engine.hooks.checkpoint_fit import check_fit, weights_of
from mmyolo_lite.engine.quiet import errors_alone
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import DATASETS, MODELS, TASK_UTILS

_LOADERS = ('test_dataloader', 'val_dataloader')


@dataclass(frozen=True)
class InferenceModel:
    """A detector with its weights, in evaluation mode, and what it must know about images.

    Attributes:
        network: the detector; ``network.test_step(batch)`` gives data samples.
        config: what it was built from.
        class_names: by label.
        palette: (R, G, B) of 0 to 255, by label.
        loader: reads an image file as the config's test does.
        pipeline: takes an image in memory to the packed sample.
        has_masks: it predicts masks.
        batch_shapes: the smallest letterbox for a batch of one, where the config tests with it.
    """

    network: nn.Module
    config: Config
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    loader: LoadImageFromFile
    pipeline: Compose
    has_masks: bool
    batch_shapes: BatchShapePolicy | None = None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def read(self, path: str | Path) -> NDArray[np.uint8]:
        """Return the image of a file, (H, W, 3) uint8 BGR, its EXIF orientation applied.

        Raises:
            UnreadableImageError: the file is missing or holds no image.
        """
        return self.loader(dict(img_path=str(path)))['img']

    def prepare(self, image: NDArray[np.uint8], name: str = '') -> dict[str, Any]:
        """Return the network's sample of an image.

        Args:
            image: (H, W, 3) uint8, BGR.
            name: path of the image, for its metainfo.

        Returns:
            ``inputs`` (3, h, w) uint8 tensor, and ``data_samples`` with the metainfo that
            predictions are brought back to the image by.
        """
        height, width = image.shape[:2]
        info: dict[str, Any] = dict(
            img=image,
            img_path=name,
            img_id=0,
            height=height,
            width=width,
            img_shape=(height, width),
            ori_shape=(height, width),
        )
        if self.batch_shapes is not None:
            info = self.batch_shapes([info])[0]
        return self.pipeline(info)


def load_model(
    config: str | Path | Config,
    checkpoint: str | Path | None,
    device: str | None = None,
    options: dict[str, Any] | None = None,
) -> InferenceModel:
    """Build the model of a config with the weights of a checkpoint.

    Neither data nor annotations are needed: names of classes that the config does not give come
    from the checkpoint.

    Args:
        config: path of a config, or a loaded one, which is not changed.
        checkpoint: path or URL; None leaves the weights as they were drawn.
        device: such as ``'cpu'`` or ``'cuda:0'``; None takes the best there is.
        options: dotted keys and values that override fields of a config given by its path.

    Raises:
        ConfigError: the config is wrong, has no model or no test pipeline, or the device is none.
        CheckpointError: the checkpoint is missing, damaged, unsafe or of another model.
    """
    config = deepcopy(config) if isinstance(config, Config) else load_config(config, options)
    if not config.get('model'):
        raise ConfigError('The config has no model. Start from one of configs/yolov5.')
    target = _device(device)
    loaded = None
    if checkpoint is not None:
        loaded = CheckpointLoader.load_checkpoint(
            str(checkpoint), map_location='cpu', logger='silent'
        )
    meta = _dataset_meta(config, loaded)
    count = _number_of_classes(config, meta)
    init_default_scope(config.get('default_scope', 'mmyolo_lite'))
    # no hints on training, such as that one class needs no class loss
    with config_errors(config), errors_alone():
        network = MODELS.build(config.model)
        loader, pipeline, shapes = _image_pipeline(config)
    if loaded is not None:
        _put_weights(network, loaded, str(checkpoint))
    return InferenceModel(
        network=network.to(target).eval(),
        config=config,
        class_names=_class_names(meta, count),
        palette=_palette(meta, count),
        loader=loader,
        pipeline=pipeline,
        has_masks=has_masks(config),
        batch_shapes=shapes,
    )


def _put_weights(network: nn.Module, loaded: Any, name: str) -> None:
    weights = weights_of(loaded, name)
    check_fit(network, weights, name)
    network.load_state_dict(
        {key.removeprefix('module.'): value for key, value in weights.items()}, strict=False
    )


def _device(name: str | None) -> torch.device:
    """Return the device of a name, on which a tensor can be made; None takes the best there is."""
    reason, cause = 'PyTorch cannot use it here.', None
    try:
        device = torch.device(name or get_device())
        torch.zeros(1, device=device)
        if device.type != 'meta':  # whose tensors hold no values
            return device
    except (RuntimeError, AssertionError, ImportError) as error:
        if str(name).startswith('cuda'):  # of others PyTorch tells what its developers need
            reason = str(error).split('\n')[0]
        cause = error
    raise ConfigError(
        f'The device {name!r} is not there: {reason} Give cpu, mps, or cuda or cuda:0 where '
        'PyTorch finds a GPU.'
    ) from cause


def _test_dataset(config: Config) -> dict:
    return next((one for _, one in innermost_datasets(config, _LOADERS)), {})


def _dataset_meta(config: Config, checkpoint: Any) -> dict[str, Any]:
    """Return ``classes`` and ``palette``: the checkpoint's, which knows what it learned, else the
    config's, else those of the type of data set.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    trained = meta.get('dataset_meta') if isinstance(meta, dict) else None
    if isinstance(trained, dict) and isinstance(trained.get('classes'), (list, tuple)):
        return trained
    dataset = _test_dataset(config)
    if configured_classes(dataset):
        return dataset['metainfo']
    kind = DATASETS.get(str(dataset.get('type')))
    return getattr(kind, 'METAINFO', {})


def _number_of_classes(config: Config, meta: dict[str, Any]) -> int:
    """Return the number of classes of the model, and set it where only the names are known."""
    module = head_module_config(config)
    if module.get('num_classes', COCO_CLASSES) is None:
        if not meta.get('classes'):
            raise ConfigError(
                'The number of classes is unknown: the annotation file is not there, and the '
                'checkpoint has no names of classes. Set '
                'model.bbox_head.head_module.num_classes.'
            )
        module['num_classes'] = len(meta['classes'])
    return module.get('num_classes', COCO_CLASSES)


def _class_names(meta: dict[str, Any], count: int) -> tuple[str, ...]:
    """Return the names of the classes, numbers where there are no names for this model."""
    names = tuple(map(str, meta.get('classes') or ()))
    return names if len(names) == count else tuple(map(str, range(count)))


def _palette(meta: dict[str, Any], count: int) -> tuple[tuple[int, int, int], ...]:
    """Return a colour for each class: the recorded ones, else those of ``complete_palette``."""
    try:
        given = [tuple(int(value) for value in color) for color in meta.get('palette') or ()]
    except (TypeError, ValueError):  # a checkpoint's may be anything
        given = []
    if len(given) >= count and all(len(color) == 3 for color in given):
        return tuple(given)  # type: ignore[arg-type]
    return tuple(complete_palette(None, max(count, 1)))


def _image_pipeline(
    config: Config,
) -> tuple[LoadImageFromFile, Compose, BatchShapePolicy | None]:
    """Return the step of the test pipeline that reads files, those for images that are in memory,
    and the shape policy for one image.

    Raises:
        ConfigError: there is no test pipeline.
    """
    dataset = _test_dataset(config)
    every = list(dataset.get('pipeline') or config.get('test_pipeline') or ())
    without = ('LoadImageFromFile', 'LoadAnnotations')
    steps = [step for step in every if type_name(step.get('type')) not in without]
    if not steps:
        raise ConfigError(
            'The config has no test pipeline: test_dataloader.dataset.pipeline is empty. Start '
            'from one of configs/yolov5.'
        )
    reading: dict = next(
        (step for step in every if type_name(step.get('type')) == 'LoadImageFromFile'), {}
    )
    # a file that cannot be read is an error, for the caller to judge
    loader = LoadImageFromFile(
        **{key: value for key, value in reading.items() if key not in ('type', '_scope_')}
        | {'ignore_empty': False}
    )
    shapes = dataset.get('batch_shapes_cfg')
    policy = None
    if shapes:
        policy = TASK_UTILS.build({'type': 'BatchShapePolicy', **shapes, 'batch_size': 1})
    return loader, Compose(steps), policy
