"""Predicting images with a trained model, lazily and in batches."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config

from mmyolo_lite.apis.media import Image, Source, first_source, sources
from mmyolo_lite.apis.model import InferenceModel, load_model
from mmyolo_lite.apis.prediction import PredictedMasks, Prediction
from mmyolo_lite.datasets.coco_checks import shortened
from mmyolo_lite.datasets.transforms.loading import UnreadableImageError
from mmyolo_lite.deploy.graph import switch_to_deploy
from mmyolo_lite.engine.config import load_config
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops.run_length_masks import RunLengthMasks

OnError = Callable[[UnreadableImageError], None]


class _Prepared(NamedTuple):
    """An image, and the network's sample of it."""

    source: Source
    image: Image
    sample: dict[str, Any]


class Predictor:
    """A trained model that takes images and gives :class:`Prediction` objects.

    Detections are those of ``tools/test.py`` with the same config, checkpoint and batch size: the
    same boxes, scores, classes and masks, bit for bit on a CPU with as many threads. With a config
    that tests with batch shapes, those of test batches of one image.

    Images are read in a thread of their own while the network works. No more than
    ``3 * batch_size`` images are in memory, however many go through.

    Args:
        config: path of a config, or a loaded one, which is not changed.
        checkpoint: path or URL; None leaves the weights as they were drawn.
        device: such as ``'cpu'`` or ``'cuda:0'``; None takes the best there is.
        score_thr: keep objects with a score above it, strict; None keeps the threshold of the
            config's test, which is made for scoring, and hundreds of objects an image.
        batch_size: images that go through the network together, as long as their inputs have one
            shape.
        class_names: keep objects of these classes; empty for all.
        keep_images: each prediction holds its image, and draws without reading it again.
        deploy: fold batch norms into convolutions: a bit faster, scores equal to about 1e-5.
        options: dotted keys and values that override fields of a config given by its path.

    Raises:
        ConfigError: the config is wrong, the device is none, an argument is out of range, or a
            class is unknown.
        CheckpointError: the checkpoint is missing, damaged, unsafe or of another model.

    Example::

        from mmyolo_lite.apis import Predictor

        predictor = Predictor('config.py', 'checkpoint.pth')
        for found in predictor('photos'):
            print(found.path, found.names, found.scores)
            found.save(f'output/{found.name}')
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path | None,
        device: str | None = None,
        score_thr: float | None = 0.3,
        batch_size: int = 1,
        class_names: Iterable[str] = (),
        keep_images: bool = False,
        deploy: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f'batch_size is {batch_size}; it must be 1 or more.')
        if score_thr is not None and not 0 <= score_thr <= 1:
            raise ConfigError(f'score_thr is {score_thr:g}; scores are from 0 to 1.')
        loaded = config if isinstance(config, Config) else load_config(config, options)
        self.model: InferenceModel = load_model(
            with_test_settings(loaded, score_thr), checkpoint, device
        )
        if deploy:
            switch_to_deploy(self.model.network)
        self.batch_size = batch_size
        self.keep_images = keep_images
        self._wanted = self._labels_of(list(class_names))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return self.model.class_names

    def __call__(self, images: Any, on_error: OnError | None = None) -> Iterator[Prediction]:
        """Yield the prediction of each image, in the order of the images.

        Args:
            images: whatever :func:`mmyolo_lite.apis.media.sources` takes: a path, folder, pattern
                or URL, an array, or a list or generator of these, which is drawn from as the
                predictions are.
            on_error: called with the error of each image that cannot be read, which is left out, as
                is a path in a list that leads to none; None raises it.

        Raises:
            UnreadableImageError: an image cannot be read.
            DataError: there is no image.
        """
        prepared = self._prepared(sources(images), on_error)
        while batch := list(islice(prepared, self.batch_size)):
            yield from self._predict(batch)

    def predict_one(self, image: Any) -> Prediction:
        """Return the prediction of the one image, or the first, of an input; it holds the image.

        Raises:
            DataError: there is no image, or it cannot be read.
        """
        prepared = self._prepare(first_source(image))
        (found,) = self._predict([prepared], keep_images=True)
        return found

    def _labels_of(self, names: list[str]) -> list[int]:
        unknown = [name for name in names if name not in self.class_names]
        if unknown:
            raise ConfigError(
                f'{unknown[0]!r} is no class of this model; it knows '
                f'{shortened(list(self.class_names))}.'
            )
        return [label for label, name in enumerate(self.class_names) if name in names]

    def _prepared(self, given: Iterable[Source], on_error: OnError | None) -> Iterator[_Prepared]:
        """Yield images ready for the network, which a thread reads ahead."""
        given = iter(given)
        waiting: deque[Future[_Prepared]] = deque()
        with ThreadPoolExecutor(max_workers=1) as reader:
            try:
                while True:
                    for source in islice(given, self.batch_size + 1 - len(waiting)):
                        waiting.append(reader.submit(self._prepare, source))
                    if not waiting:
                        return
                    try:
                        yield waiting.popleft().result()
                    except UnreadableImageError as error:
                        if on_error is None:
                            raise
                        on_error(error)
            finally:
                for future in waiting:
                    future.cancel()

    def _prepare(self, source: Source) -> _Prepared:
        image = source.read(self.model.read)
        return _Prepared(source, image, self.model.prepare(image, source.path))

    def _predict(self, batch: list[_Prepared], keep_images: bool = False) -> list[Prediction]:
        """Predict images, those of one input shape together: padding to a common shape would let
        the result of an image depend on its neighbours.
        """
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, one in enumerate(batch):
            groups[tuple(one.sample['inputs'].shape)].append(place)
        found: dict[int, Prediction] = {}
        network: Any = self.model.network
        for places in groups.values():
            members = [batch[place].sample for place in places]
            with torch.no_grad():
                results = network.test_step(
                    {key: [sample[key] for sample in members] for key in members[0]}
                )
            for place, result in zip(places, results, strict=True):
                keeps = keep_images or self.keep_images
                found[place] = self._prediction(batch[place], result.pred_instances, keeps)
        return [found[place] for place in range(len(batch))]

    def _prediction(self, prepared: _Prepared, result: Any, keep_image: bool) -> Prediction:
        source, image, _ = prepared
        shape = (int(image.shape[0]), int(image.shape[1]))
        masks = None
        if self.model.has_masks:
            masks = PredictedMasks(RunLengthMasks(result.masks, shape))
        prediction = Prediction(
            boxes=_array(result.bboxes),
            scores=_array(result.scores),
            labels=_array(result.labels).astype(np.int64),
            class_names=self.class_names,
            shape=shape,
            masks=masks,
            path=source.path,
            palette=self.model.palette,
            name=source.name,
            image=image if keep_image else None,
        )
        if self._wanted:
            prediction = prediction.select(np.isin(prediction.labels, self._wanted))
        return prediction


def _array(values: Any) -> np.ndarray:
    return values.cpu().numpy()


def with_test_settings(config: Config, score_thr: float | None) -> Config:
    """Return a config whose model gives run-length masks, and objects from a score on.

    Args:
        config: is not changed.
        score_thr: of the objects that are wanted; None leaves those of the config.
    """
    config = deepcopy(config)
    if config.get('model'):
        settings = dict(config.model.get('test_cfg') or {}, masks_as_rle=True)
        if score_thr is not None:
            # a higher score_thr would decode fewer boxes at a time, which changes their last bits
            settings['score_thr'] = min(settings.get('score_thr', -1), score_thr)
            settings['keep_thr'] = score_thr
        config.model.test_cfg = settings
    return config
