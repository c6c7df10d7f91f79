"""What transforms that mix several images share: when to mix, fetching the partners, joining
annotations.
"""

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmdet.structures.bbox import BaseBoxes, HorizontalBoxes, autocast_box_type

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.registry import TRANSFORMS


def box_array(results: dict) -> np.ndarray:
    """Return ``results['gt_bboxes']``, a box structure or an array, as (N, 4) float32 xyxy."""
    boxes = results['gt_bboxes']
    array = boxes.tensor.numpy() if isinstance(boxes, BaseBoxes) else boxes
    return np.asarray(array, dtype=np.float32).reshape(-1, 4)


def to_boxes(boxes: np.ndarray) -> HorizontalBoxes:
    """Wrap boxes (N, 4) float32, xyxy in pixels, without a copy."""
    return HorizontalBoxes(boxes, clone=False)


def set_image(results: dict, img: np.ndarray) -> None:
    """Store an image (H, W[, C]) and its shape, (height, width) as Python ints."""
    results['img'] = img
    results['img_shape'] = tuple(img.shape[:2])
    results.pop('img_is_tile', None)


def join_labels(results: dict, samples: Sequence[dict]) -> None:
    """Concatenate labels and flags of `samples` into `results`, for the keys `results` has."""
    for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
        if key in results:
            results[key] = np.concatenate([sample[key] for sample in samples])


def select(results: dict, keep: np.ndarray) -> None:
    """Keep the labels, flags and masks of the objects that `keep` (N,) bool marks."""
    for key in ('gt_bboxes_labels', 'gt_ignore_flags', 'gt_masks'):
        if key in results:
            results[key] = results[key][keep]


class MixTransform(BaseTransform, metaclass=ABCMeta):
    """Mix the current image with random others of the data set (spec: data.md 5.1).

    Draws from ``numpy.random``: one uniform that decides; then, if mixing, one index per partner;
    then whatever `pre_transform` draws, partner by partner; then what :meth:`mix` draws.

    In the cached mode partners come from a per-process list of the samples seen last, already
    loaded, which saves their decoding. It starts with samples of the data set, loaded by
    `pre_transform`; without one it starts with the current sample alone.

    Args:
        pre_transform: Configs or callables that load a partner from what ``dataset.get_data_info``
            returns.
        prob: Probability of mixing, in [0, 1].
        use_cached: Take partners from the cache.
        max_cached_images: Size of the cache.
        random_pop: Drop a random cached sample when the cache is full, instead of the oldest.
        max_refetch: How often to draw other partners when one cannot be used.

    Raises:
        ConfigError: If `prob` or `max_refetch` is out of range.
        AssertionError: If the cache is smaller than one mix needs; when called, if there is no data
            set to fetch partners from.
        RuntimeError: When called, if `pre_transform` refuses too many partners.
    """

    num_partners: int
    """Images taken beside the current one."""
    keep_pieces: bool = False
    """Leave the samples that were mixed, the current one first, under ``mix_pieces``."""

    def __init__(
        self,
        pre_transform: Sequence[dict | Callable] | None = None,
        prob: float = 1.0,
        use_cached: bool = False,
        max_cached_images: int = 40,
        random_pop: bool = True,
        max_refetch: int = 15,
    ) -> None:
        name = type(self).__name__
        if not 0 <= prob <= 1:
            raise ConfigError(f'{name}: prob is {prob}, it must lie between 0 and 1')
        if max_refetch < 0:
            raise ConfigError(f'{name}: max_refetch is {max_refetch}, it must not be negative')
        if use_cached:
            assert max_cached_images >= self.num_partners + 1, (
                f'{name}: max_cached_images is {max_cached_images}, it must be at least '
                f'{self.num_partners + 1}'
            )
        self.prob = prob
        self.use_cached = use_cached
        self.max_cached_images = max_cached_images
        self.random_pop = random_pop
        self.max_refetch = max_refetch
        self.cache: list[dict] = []
        # Built through this package's registry, so that type names resolve without a default scope
        # as well.
        self.pre_transform = (
            None
            if pre_transform is None
            else Compose(
                [
                    TRANSFORMS.build(step) if isinstance(step, dict) else step
                    for step in pre_transform
                ]
            )
        )

    @abstractmethod
    def mix(self, results: dict) -> dict:
        """Mix ``results`` with the loaded samples in ``results['mix_results']``."""

    def leave_alone(self, results: dict) -> dict:
        """Return what to go on with when `prob` decides against mixing."""
        return results

    def pieces(self, results: dict) -> list[dict]:
        """Return the samples that are about to be mixed, the current one first."""
        return [dict(results), *results['mix_results']]

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Mix, or not. The handle ``results['dataset']`` stays in the result either way."""
        if np.random.uniform(0, 1) > self.prob:
            return self.leave_alone(results)
        dataset = results.pop('dataset', None)
        assert dataset is not None or self.use_cached, (
            f"{type(self).__name__} takes other images from results['dataset'], which is missing: "
            'use it in '
            'training pipelines only'
        )
        results['mix_results'] = (
            self._cached(results, dataset) if self.use_cached else self._fetch(dataset)
        )
        pieces = self.pieces(results) if self.keep_pieces else None
        results = self.mix(results)
        del results['mix_results']
        if pieces is not None:
            results['mix_pieces'] = pieces
        if dataset is not None:
            results['dataset'] = dataset
        return results

    def _fetch(self, dataset: Any) -> list[dict]:
        """Load the partners from the data set, drawing all of them again when one cannot be
        used.
        """
        for _ in range(self.max_refetch + 1):
            samples: list[dict] = []
            for index in [np.random.randint(0, len(dataset)) for _ in range(self.num_partners)]:
                sample = self._load(dataset, index)
                if sample is None:
                    break
                samples.append(sample)
            else:
                return samples
        raise RuntimeError(
            f'{type(self).__name__}: no usable set of images in {self.max_refetch + 1} attempts, '
            'the pre_transform kept returning None: check the images and its transforms, or raise '
            'max_refetch'
        )

    def _load(self, dataset: Any, index: int) -> dict | None:
        """Load one partner; None if `pre_transform` refuses it."""
        sample = dataset.get_data_info(int(index))
        if self.pre_transform is None or sample is None:
            return sample
        sample['dataset'] = dataset
        sample = self.pre_transform(sample)
        if sample is not None:
            sample.pop('dataset', None)
        return sample

    def _cached(self, results: dict, dataset: Any | None) -> list[dict]:
        """Remember the current sample and draw the partners from the cache."""
        # A shallow copy is enough: mixing replaces arrays, it never writes into them.
        self.cache.append(dict(results))
        if len(self.cache) > self.max_cached_images:
            self.cache.pop(np.random.randint(0, len(self.cache) - 1) if self.random_pop else 0)
        if (
            len(self.cache) <= self.num_partners
            and dataset is not None
            and self.pre_transform is not None
        ):
            # Handing out the unmixed image until the cache has grown would vary the image size
            # within a batch.
            self.cache += self._fetch(dataset)[: self.num_partners + 1 - len(self.cache)]
        return [self.cache[np.random.randint(0, len(self.cache))] for _ in range(self.num_partners)]
