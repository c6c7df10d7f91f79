"""Replace parts of a training pipeline by faster ones that do the same, and find where its images
may come from a cache.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple

from mmcv.transforms import Compose
from mmdet.datasets.transforms import Albu as MMDetAlbu
from mmdet.datasets.transforms import RandomFlip

from mmyolo_lite.compat.albu import changes_nothing_when_idle
from mmyolo_lite.datasets.transforms.affine import YOLOv5RandomAffine
from mmyolo_lite.datasets.transforms.albu import Albu
from mmyolo_lite.datasets.transforms.flip import QuickRandomFlip
from mmyolo_lite.datasets.transforms.load_annotations import LoadAnnotations
from mmyolo_lite.datasets.transforms.loading import LoadImageFromFile
from mmyolo_lite.datasets.transforms.mix import MixTransform
from mmyolo_lite.datasets.transforms.mosaic import Mosaic
from mmyolo_lite.datasets.transforms.mosaic_affine import MosaicAffine


def speed_up(transforms: Sequence[Any]) -> list[Any]:
    """Return the steps of a pipeline with its slow parts replaced; subclasses are left alone.

    `Mosaic` directly before `YOLOv5RandomAffine` becomes `MosaicAffine`, for which only tiles in
    sight are decoded; `Albu` is not called when none of its members would do anything; flips go by
    NumPy; images that go into a mosaic become tiles as they are loaded, and their annotations are
    parsed once. The same numbers are drawn in the same order (spec: data.md 9.3).

    Args:
        transforms: The steps, built; they stay as they are. Pipelines that mixing transforms hold
            are made fast too.
    """
    steps = private(transforms)
    for source in tile_sources(steps):
        source.loader.fit_to = source.fit_wh
        for annotations in source.annotations:
            annotations.remembers = True
    joined = _joined(steps)
    for source in tile_sources(joined):
        source.loader.defers = source.may_defer
    return joined


def private(transforms: Sequence[Any]) -> list[Any]:
    """Return the steps of a pipeline with copies of those that :func:`speed_up`, or an image cache,
    sets something in: other datasets may hold the same.
    """
    steps = []
    for step in transforms:
        if type(step) in (MMDetAlbu, Albu, LoadImageFromFile) or isinstance(step, MixTransform):
            step = copy(step)
        elif type(step) is LoadAnnotations:
            step = step.with_own_memory()
        if isinstance(step, MixTransform) and step.pre_transform is not None:
            step.pre_transform = Compose(private(step.pre_transform.transforms))
        steps.append(step)
    return steps


def _joined(transforms: Sequence[Any]) -> list[Any]:
    steps: list[Any] = []
    for step in transforms:
        if type(step) in (MMDetAlbu, Albu):
            step.skips_idle = changes_nothing_when_idle(step)
        elif isinstance(step, MixTransform) and step.pre_transform is not None:
            step.pre_transform = Compose(_joined(step.pre_transform.transforms))
        elif type(step) is RandomFlip:
            step = QuickRandomFlip(step.prob, step.direction, step.swap_seg_labels)
        if type(step) is YOLOv5RandomAffine and steps and type(steps[-1]) is Mosaic:
            step = MosaicAffine(steps.pop(), step)
        steps.append(step)
    return steps


class TileSource(NamedTuple):
    """Steps whose outcome a mosaic takes as it is."""

    loader: LoadImageFromFile
    annotations: list[LoadAnnotations]
    fit_wh: tuple[int, int]
    """Width and height that the mosaic scales each image to fit."""
    may_defer: bool
    """The mosaic decodes by itself what it needs."""


def makes_usual_images(loader: LoadImageFromFile) -> bool:
    """Say whether images are decoded by OpenCV to three channels of 8 bits."""
    return (
        loader.color_type == 'color'
        and loader.imdecode_backend == 'cv2'
        and not (loader.to_float32 or loader.ignore_empty)
    )


def image_loaders(transforms: Sequence[Any]) -> Iterator[LoadImageFromFile]:
    """Yield the steps that load images, in a pipeline and in those inside it."""
    for step in transforms:
        if isinstance(step, LoadImageFromFile):
            yield step
        inner = getattr(step, 'pre_transform', None)
        yield from image_loaders(getattr(inner, 'transforms', ()))


def tile_sources(transforms: Sequence[Any]) -> Iterator[TileSource]:
    """Find the loaders directly before a mosaic, in a pipeline and in those inside it.

    Nobody else sees what they load, so the image may be smaller than its annotations say, and
    nothing is changed in place.
    """
    for position, step in enumerate(transforms):
        if not isinstance(step, MixTransform):
            continue
        partners = step.pre_transform.transforms if step.pre_transform is not None else []
        if type(step) not in (Mosaic, MosaicAffine):
            yield from tile_sources(partners)
            continue
        mosaic = step.mosaic if isinstance(step, MosaicAffine) else step
        for before in (transforms[:position], partners):
            loader, annotations = (before[0], before[1:]) if before else (None, ())
            if (
                type(loader) is LoadImageFromFile
                and makes_usual_images(loader)
                and all(type(other) is LoadAnnotations for other in annotations)
                and len(annotations) <= 1
            ):
                may_defer = isinstance(step, MosaicAffine)
                yield TileSource(loader, list(annotations), mosaic.img_scale, may_defer)
