"""What a data pipeline makes of an image, step by step, as pictures."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from mmyolo_lite.datasets.coco_checks import defect_of_mask
from mmyolo_lite.datasets.transforms.load_annotations import object_rings
from mmyolo_lite.datasets.transforms.mix import MixTransform
from mmyolo_lite.errors import DataError
from mmyolo_lite.visualization.drawing import (
    Image,
    Legend,
    Objects,
    draw_objects,
    fit,
    grid,
    with_title,
)

PIECE_SIDE = 480
"""Most pixels of a side of each picture that a mosaic is made of, and of each step."""
STEP_SIDE = 560
STEP_COLUMNS = 3


class Stage(NamedTuple):
    """A sample behind one step of a pipeline."""

    name: str
    sample: Mapping[str, Any] | None
    """The result dict; None when the step refused the image."""
    pieces: Sequence[Mapping[str, Any]]
    """What a mosaic or mix-up took, the current image first."""


def run_stages(transforms: Sequence[Any], info: dict) -> Iterator[Stage]:
    """Run a pipeline up to its packing and yield the sample behind each step.

    Args:
        transforms: the steps; :class:`MixTransform` leave their pieces while this runs.
        info: what ``dataset.get_data_info`` returns, with ``dataset`` in training.
    """
    sample: Any = info
    for transform in transforms:
        name = type(transform).__name__
        if name.startswith('Pack'):
            return
        if isinstance(transform, MixTransform):
            transform.keep_pieces = True
        sample = transform(sample)
        if sample is None:
            yield Stage(name, None, ())
            return
        pieces = sample.pop('mix_pieces', ())
        # later steps, such as a flip of boxes, change what the sample holds in place
        kept = {
            key: value if key == 'dataset' else deepcopy(value) for key, value in sample.items()
        }
        yield Stage(name, kept, pieces)


def original_objects(info: Mapping[str, Any]) -> Objects:
    """Return the objects of the annotation file, crowds among them, before any transform.

    Args:
        info: with ``instances``, ``height`` and ``width``, which must be those of the loaded image.

    Raises:
        DataError: the run-length mask of an object that is no crowd cannot be decoded.
    """
    instances = info.get('instances') or []
    return Objects(
        boxes=np.array([one['bbox'] for one in instances], dtype=np.float64).reshape(-1, 4),
        labels=np.array([one['bbox_label'] for one in instances], dtype=np.int64),
        outlines=[_outline(one, info) for one in instances],
        crowd=np.array([bool(one.get('ignore_flag')) for one in instances], dtype=np.bool_),
    )


def _outline(instance: Mapping[str, Any], info: Mapping[str, Any]) -> list[np.ndarray]:
    """Return the rings (K, 2) of an object; none of a crowd whose mask is damaged.

    Nobody trains on crowds, so reading a file lets their masks pass unseen.
    """
    mask, size = instance.get('mask'), (int(info['height']), int(info['width']))
    is_crowd = bool(instance.get('ignore_flag'))
    if is_crowd and defect_of_mask(mask, size) is not None:
        return []
    try:
        rings = object_rings(dict(instance), str(info.get('img_path')), *size)
    except DataError:
        if not is_crowd:
            raise
        return []
    return [ring.reshape(-1, 2) for ring in rings]


def sample_objects(sample: Mapping[str, Any]) -> Objects:
    """Return the objects of a sample in any stage; none before annotations are loaded.

    Masks come from polygons, from one map of ids for all objects or from one map for each.
    """
    boxes = sample.get('gt_bboxes')
    if boxes is None:
        return Objects(np.zeros((0, 4)), np.zeros(0, dtype=np.int64))
    boxes = np.asarray(getattr(boxes, 'tensor', boxes), dtype=np.float64).reshape(-1, 4)
    labels = np.asarray(sample.get('gt_bboxes_labels', np.zeros(len(boxes))), dtype=np.int64)
    ignored = np.asarray(sample.get('gt_ignore_flags', np.zeros(len(boxes))), dtype=np.bool_)
    objects = Objects(boxes, labels, crowd=ignored if len(ignored) == len(boxes) else ignored[:0])
    masks, ids = sample.get('gt_masks'), sample.get('gt_panoptic_seg')
    if ids is not None:
        numbers = torch.arange(1, len(boxes) + 1)[:, None, None]
        objects.masks = (torch.as_tensor(ids) == numbers).numpy()
    elif isinstance(masks, torch.Tensor):
        objects.masks = masks.bool().numpy()
    elif masks is not None:
        objects.outlines = [[ring.reshape(-1, 2) for ring in rings] for rings in masks.masks]
    return objects


def draw_sample(sample: Mapping[str, Any], legend: Legend, max_side: int) -> Image:
    """Return the image of a sample with its objects drawn."""
    return draw_objects(as_bgr(sample['img']), sample_objects(sample), legend, max_side)


def as_bgr(image: np.ndarray) -> Image:
    """Return an image (H, W[, C]) of any kind of pixels as (H, W, 3) uint8."""
    image = np.asarray(image)
    if image.ndim == 2 or image.shape[2] == 1:
        image = cv2.cvtColor(image.reshape(image.shape[:2]), cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(image[..., :3].clip(0, 255).astype(np.uint8))


def draw_steps(stages: Sequence[Stage], legend: Legend) -> Image:
    """Return all steps side by side, each with its number, name and size; the pieces of a mosaic
    come before it.
    """
    cells = []
    for number, stage in enumerate(stages, 1):
        if stage.pieces:
            cells.append(_pieces_cell(stage, legend))
        title = f'{number} {stage.name}'
        if stage.sample is None or 'img' not in stage.sample:
            blank = np.full((STEP_SIDE // 2, STEP_SIDE, 3), 220, dtype=np.uint8)
            refused = stage.sample is None
            cells.append(
                with_title(blank, f'{title}: {"returned None" if refused else "no image"}')
            )
            continue
        height, width = stage.sample['img'].shape[:2]
        picture = draw_sample(stage.sample, legend, STEP_SIDE)
        count = len(sample_objects(stage.sample).boxes)
        cells.append(with_title(picture, f'{title}, {width} x {height}, {count} objects'))
    return grid(cells, min(STEP_COLUMNS, len(cells)))


def _pieces_cell(stage: Stage, legend: Legend) -> Image:
    pictures = [draw_sample(piece, legend, PIECE_SIDE) for piece in stage.pieces]
    joined, _ = fit(grid(pictures, 2), STEP_SIDE)
    return with_title(joined, f'the {len(pictures)} pieces of {stage.name}')


def describe_keys(stage: Stage) -> list[str]:
    """Return one line for each key of a sample: its type and shape or value."""
    if stage.sample is None:
        return [f'{stage.name}: None']
    lines = [f'{stage.name}:']
    for key, value in stage.sample.items():
        value = getattr(value, 'tensor', value)
        shape = getattr(value, 'shape', None)
        text = f'{tuple(shape)} {value.dtype}' if shape is not None else repr(value)[:60]
        lines.append(f'    {key}: {type(value).__name__} {"" if key == "dataset" else text}')
    return lines
