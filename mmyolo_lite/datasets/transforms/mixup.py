"""MixUp: blend two images of the same size."""

from collections.abc import Callable, Sequence

import numpy as np
from mmdet.structures.mask import PolygonMasks

from mmyolo_lite.datasets.transforms.mix import (
    MixTransform,
    box_array,
    join_labels,
    set_image,
    to_boxes,
)
from mmyolo_lite.registry import TRANSFORMS


def blend(img: np.ndarray, other: np.ndarray, ratio: float) -> np.ndarray:
    """Return ``ratio * img + (1 - ratio) * other``, computed in float64 and truncated to the type
    of `img`.

    Args:
        img: (H, W, C) uint8.
        other: The same shape.
        ratio: Weight of `img`, in [0, 1].
    """
    blended = img * np.float64(ratio)
    blended += other * np.float64(1 - ratio)
    return blended.astype(img.dtype)


@TRANSFORMS.register_module()
class YOLOv5MixUp(MixTransform):
    """Blend the current image with a random one and keep the objects of both (spec: data.md 5.3).

    Both must have the same shape: `pre_transform` normally repeats the pipeline up to here. Draws:
    those of the base class, then the weight of the current image from Beta(alpha, beta).

    Args:
        alpha: First parameter of the Beta distribution.
        beta: Second parameter.
        pre_transform: See the base class, like all that follow.
    """

    num_partners = 1

    def __init__(
        self,
        alpha: float = 32.0,
        beta: float = 32.0,
        pre_transform: Sequence[dict | Callable] | None = None,
        prob: float = 1.0,
        use_cached: bool = False,
        max_cached_images: int = 20,
        random_pop: bool = True,
        max_refetch: int = 15,
    ) -> None:
        super().__init__(
            pre_transform, prob, use_cached, max_cached_images, random_pop, max_refetch
        )
        self.alpha = alpha
        self.beta = beta

    def mix(self, results: dict) -> dict:
        """Blend ``results`` with its partner.

        Raises:
            AssertionError: If the images differ in shape.
        """
        (other,) = results['mix_results']
        assert results['img'].shape == other['img'].shape, (
            f'YOLOv5MixUp needs images of one shape, got {results["img"].shape} and '
            f'{other["img"].shape}: its pre_transform must repeat the transforms before it that '
            'set the size'
        )
        samples = (results, other)
        ratio = np.random.beta(self.alpha, self.beta)
        set_image(results, blend(results['img'], other['img'], ratio))
        if 'gt_bboxes' in results:
            results['gt_bboxes'] = to_boxes(
                np.concatenate([box_array(sample) for sample in samples])
            )
        join_labels(results, samples)
        if 'gt_masks' in results:
            objects = [rings for sample in samples for rings in sample['gt_masks'].masks]
            results['gt_masks'] = PolygonMasks(objects, *results['img_shape'])
        return results
