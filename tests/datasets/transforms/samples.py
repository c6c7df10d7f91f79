"""Small samples of the data pipeline, built in code."""

from collections.abc import Callable

import numpy as np
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks

from mmyolo_lite.ops.polygons import Polygons, pack


def vertices(masks: PolygonMasks) -> np.ndarray:
    """Return all vertices of the polygons, (P, 2)."""
    return pack(masks.masks).points


def rectangle(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    """Return a rectangle as a flat ring."""
    return np.array([x1, y1, x2, y1, x2, y2, x1, y2], dtype=np.float64)


def make_sample(
    img: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray | None = None,
    polygons: Polygons | None = None,
) -> dict:
    """Return a loaded sample; labels count from 0 unless given."""
    boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    sample = dict(
        img=img,
        img_shape=img.shape[:2],
        gt_bboxes=HorizontalBoxes(boxes),
        gt_bboxes_labels=np.arange(len(boxes)) if labels is None else labels,
        gt_ignore_flags=np.zeros(len(boxes), dtype=bool),
    )
    if polygons is not None:
        sample['gt_masks'] = PolygonMasks(polygons, *img.shape[:2])
    return sample


def rectangle_sample(height: int, width: int, boxes: list, value: int = 0) -> dict:
    """Return a plain image with one rectangular object per box."""
    return make_sample(
        np.full((height, width, 3), value, dtype=np.uint8),
        boxes,
        polygons=[[rectangle(*box)] for box in boxes],
    )


def with_bitmaps(sample: dict) -> dict:
    """Return the sample with (empty) bitmaps in place of its polygons."""
    height, width = sample['img'].shape[:2]
    masks = np.zeros((len(sample['gt_masks']), height, width), dtype=np.uint8)
    return dict(sample, gt_masks=BitmapMasks(masks, height, width))


class FakeDataset:
    """A data set of functions that make a fresh sample; remembers which were asked for."""

    def __init__(self, *makers: Callable[[], dict | None]) -> None:
        self.makers = makers
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.makers)

    def get_data_info(self, index: int) -> dict | None:
        """Return a private copy of a sample."""
        self.asked.append(index)
        return self.makers[index]()
