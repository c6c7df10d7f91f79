"""One class that runs exported files of every format, from images to detections of the images."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.apis.media import Image, Source, first_source, sources
from mmyolo_lite.apis.prediction import PredictedMasks, Prediction
from mmyolo_lite.datasets.transforms.loading import LoadImageFromFile, UnreadableImageError
from mmyolo_lite.deploy.sessions import open_session
from mmyolo_lite.deploy.steps import (
    Arrays,
    Detections,
    Placement,
    detections,
    letterbox,
    network_input,
)
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops.run_length_masks import RunLengthMasks
from mmyolo_lite.ops.run_lengths import encode_columns

OnError = Callable[[UnreadableImageError], None]


class Runtime:
    """An exported model that takes images and gives :class:`Prediction` objects.

    Everything that it must know stands in the file. The format is told by the suffix: ``.onnx``
    (onnxruntime), ``.xml`` (OpenVINO), ``.torchscript`` (PyTorch), ``.engine`` (TensorRT).

    Args:
        path: of the exported file.
        device: ``'cpu'``, ``'cuda'``, or None for the best there is.
        score_thr: keep objects with a score above it, strict; None keeps all that the file gives.
        batch_size: images that go through the network together, where the file leaves it free;
            images of one input shape do.
        threads: of the CPU; None leaves it to the package that runs the file.
        needs_masks: refuse a file without masks.

    Raises:
        CheckpointError: the file is missing, damaged, or not of this package.
        ConfigError: an argument is out of range, or masks are asked for where there are none.
        DependencyError: the package that runs the file is missing.

    Example::

        from mmyolo_lite.deploy import Runtime

        found = Runtime('model.onnx')('photo.jpg')
        print(found.names, found.scores, found.boxes, len(found.masks))
    """

    def __init__(
        self,
        path: str | Path,
        device: str | None = None,
        score_thr: float | None = 0.3,
        batch_size: int = 1,
        threads: int | None = None,
        needs_masks: bool = False,
    ) -> None:
        if score_thr is not None and not 0 <= score_thr <= 1:
            raise ConfigError(f'score_thr is {score_thr:g}; scores are from 0 to 1.')
        if batch_size < 1:
            raise ConfigError(f'batch_size is {batch_size}; it must be 1 or more.')
        self.session = open_session(path, device, threads)
        self.meta: dict[str, Any] = self.session.meta
        if needs_masks and not self.has_masks:
            raise ConfigError(
                f'{path} detects boxes alone, and masks are asked for. Export a model of '
                'configs/yolov5/ins_seg.'
            )
        self.score_thr = self.meta['thresholds']['score'] if score_thr is None else score_thr
        fixed = self.meta['input']['shape'][0]
        self.fixed_batch: int | None = fixed if isinstance(fixed, int) else None
        self.batch_size = self.fixed_batch or batch_size
        self._read = LoadImageFromFile(ignore_empty=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, by label."""
        return tuple(self.meta['class_names'])

    @property
    def has_masks(self) -> bool:
        """The file predicts masks."""
        return self.meta['masks']

    def __call__(self, image: Any) -> Prediction:
        """Return the prediction of one image, which it holds.

        Args:
            image: path or URL, array (H, W, 3) uint8 BGR, or Pillow image.

        Raises:
            UnreadableImageError: it cannot be read.
            DataError: there is none.
        """
        return next(self.predict(first_source(image), keep_images=True))

    def predict(
        self, images: Any, on_error: OnError | None = None, keep_images: bool = False
    ) -> Iterator[Prediction]:
        """Yield the prediction of each image, in the order of the images.

        Args:
            images: whatever :func:`mmyolo_lite.apis.media.sources` takes.
            on_error: called with the error of each image that cannot be read, which is left out;
                None raises it.
            keep_images: each prediction holds its image.

        Raises:
            UnreadableImageError: an image cannot be read.
        """
        given = self._readable(sources(images), on_error)
        while batch := list(islice(given, self.batch_size)):
            found = self.detect([image for _, image in batch])
            for (source, image), one in zip(batch, found, strict=True):
                yield self._prediction(source, image, one, keep_images)

    def _readable(
        self, given: Iterator[Source], on_error: OnError | None
    ) -> Iterator[tuple[Source, Image]]:
        for source in given:
            try:
                yield source, source.read(self._read_file)
            except UnreadableImageError as error:
                if on_error is None:
                    raise
                on_error(error)

    def _read_file(self, path: str) -> Image:
        return self._read(dict(img_path=path))['img']

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return the detections of images in memory, (H, W, 3) uint8 BGR each."""
        boxed = [letterbox(image, self.meta['preprocess']) for image in images]
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, (_, placement) in enumerate(boxed):
            groups[placement.input_hw].append(number)
        found: dict[int, Detections] = {}
        for members in groups.values():
            for start in range(0, len(members), self.batch_size):
                part = members[start : start + self.batch_size]
                found.update(self._detect_batch(part, boxed))
        return [found[number] for number in range(len(images))]

    def _detect_batch(
        self, members: list[int], boxed: list[tuple[NDArray[np.uint8], Placement]]
    ) -> Iterator[tuple[int, Detections]]:
        """Yield the numbers and detections of images of one input shape."""
        inputs = [boxed[number][0] for number in members]
        # a file with a fixed batch gets its last image again
        inputs += inputs[-1:] * ((self.fixed_batch or 0) - len(inputs))
        outputs: Arrays = self.session(
            network_input(inputs, self.meta['preprocess']), self.score_thr
        )
        choose = partial(detections, outputs, meta=self.meta, score_thr=self.score_thr)
        for place, number in enumerate(members):
            yield number, choose(place, boxed[number][1])

    def _prediction(
        self, source: Source, image: Image, found: Detections, keep: bool
    ) -> Prediction:
        shape = (int(image.shape[0]), int(image.shape[1]))
        masks = None
        if found.masks is not None:
            masks = PredictedMasks(run_lengths(found, shape))
        return Prediction(
            boxes=found.boxes,
            scores=found.scores,
            labels=found.labels,
            class_names=self.class_names,
            shape=shape,
            masks=masks,
            path=source.path,
            palette=tuple((r, g, b) for r, g, b in self.meta['palette']),
            name=source.name,
            image=image if keep else None,
        )


def run_lengths(found: Detections, shape: tuple[int, int]) -> RunLengthMasks:
    """Return the masks of detections as run lengths.

    Args:
        found: with masks, which are made now.
        shape: (H, W) of the image.
    """
    patches = found.masks or iter(())
    return RunLengthMasks(
        (encode_columns(columns, (top, left), shape) for top, left, columns in patches), shape
    )


class RuntimePredictor:
    """A :class:`Runtime` in the form of :class:`mmyolo_lite.apis.Predictor`, for what takes one.

    Args:
        runtime: what predicts.
        keep_images: each prediction holds its image.
    """

    def __init__(self, runtime: Runtime, keep_images: bool = False) -> None:
        self.runtime = runtime
        self.keep_images = keep_images
        self.class_names = runtime.class_names

    def __call__(self, images: Any, on_error: OnError | None = None) -> Iterator[Prediction]:
        """Yield the prediction of each image; see :meth:`Runtime.predict`."""
        return self.runtime.predict(images, on_error, self.keep_images)
