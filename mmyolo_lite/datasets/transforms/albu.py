"""Pixel-level augmentations of albumentations, seeded in every process."""

from mmyolo_lite.compat import albu as _fence

_fence.patch_mmdet()

# the fence comes before the first import
from mmdet.datasets.transforms import Albu as _MMDetAlbu  # noqa: E402

from mmyolo_lite.registry import TRANSFORMS  # noqa: E402


@TRANSFORMS.register_module()
class Albu(_MMDetAlbu):
    """mmdet's `Albu` under the project's own name; both are seeded by
    :mod:`mmyolo_lite.compat.albu`.

    Polygons are not given to albumentations (leave ``gt_masks`` out of `keymap`), so in
    segmentation pipelines only members that move no pixel may be used. Source: spec data.md 6.2.

    Args:
        transforms: configs of albumentations transforms, ``type`` and arguments.
        bbox_params: config of ``BboxParams``.
        keymap: names in the pipeline -> names in albumentations.
        skip_img_without_anno: return None for an image that lost all objects.

    Raises:
        DependencyError: albumentations is not installed.
    """
