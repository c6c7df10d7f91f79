"""Numbers about a data set as training sees it: classes, sizes, ratios, objects per image, drops.

Source: spec tools_data.md 8.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.datasets.coco_checks import shortened
from mmyolo_lite.ops.anchors import fit_to_input

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
TINY_SIDES = (8, 16, 32)
"""Pixels of the network input; shares of boxes whose shorter side is below are told."""
FEW_BOXES = 10
"""Classes with fewer boxes are warned of."""
DEFAULT_AREA_RULE = (0, 32, 96, 1e5)


@dataclass(frozen=True)
class BoxTable:
    """All boxes of a data set as columns, in order of its images. N boxes, M images.

    Attributes:
        class_names: in order of labels.
        labels: (N,) index of the class.
        image_index: (N,) number of the image, from 0.
        boxes_xyxy: (N, 4) pixels of the image, not clipped.
        crowd: (N,) whether it is a crowd or otherwise ignored in training.
        images_wh: (M, 2) sizes of the images.
    """

    class_names: Sequence[str]
    labels: NDArray[np.int64]
    image_index: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    images_wh: NDArray[np.float64]

    @property
    def boxes_wh(self) -> NDArray[np.float64]:
        """(N, 2) widths and heights."""
        return self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]

    @property
    def owners_wh(self) -> NDArray[np.float64]:
        """(N, 2) size of the image of each box."""
        return self.images_wh[self.image_index]

    def of_class(self, label: int) -> 'BoxTable':
        """Return the boxes of one class; all images stay."""
        mask = self.labels == label
        return BoxTable(
            self.class_names,
            self.labels[mask],
            self.image_index[mask],
            self.boxes_xyxy[mask],
            self.crowd[mask],
            self.images_wh,
        )


def box_table(dataset: Any) -> BoxTable:
    """Return the boxes of a data set built without a pipeline; those that training drops are
    missing.
    """
    labels, index, boxes, crowd, sizes = [], [], [], [], []
    for number in range(len(dataset)):
        info = dataset.get_data_info(number)
        sizes.append((info['width'], info['height']))
        for instance in info['instances']:
            labels.append(instance['bbox_label'])
            index.append(number)
            boxes.append(instance['bbox'])
            crowd.append(bool(instance['ignore_flag']))
    return BoxTable(
        tuple(dataset.metainfo['classes']),
        np.array(labels, dtype=np.int64),
        np.array(index, dtype=np.int64),
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(crowd, dtype=np.bool_),
        np.array(sizes, dtype=np.float64).reshape(-1, 2),
    )


def drop_reasons(content: dict, class_names: Sequence[str], kept_images: int) -> Counter[str]:
    """Count what a data set leaves out of its annotation file, by reason, as mmdet decides.

    Args:
        content: of the file, as :func:`mmyolo_lite.datasets.coco_checks.read_coco_json` returns it.
        class_names: the configured ones.
        kept_images: how many images the data set has.
    """
    images = {image['id']: image for image in content['images']}
    known = {one['id'] for one in content['categories'] if one['name'] in class_names}
    reasons: Counter[str] = Counter()
    for annotation in content['annotations']:
        image = images[annotation['image_id']]
        x, y, width, height = annotation['bbox']
        inner_w = max(0, min(x + width, image['width']) - max(x, 0))
        inner_h = max(0, min(y + height, image['height']) - max(y, 0))
        if annotation.get('ignore', False):
            reasons['marked "ignore"'] += 1
        elif inner_w * inner_h == 0:
            reasons['box outside the image'] += 1
        elif annotation['area'] <= 0 or width < 1 or height < 1:
            reasons['box under one pixel or area not positive'] += 1
        elif annotation['category_id'] not in known:
            reasons['class not configured'] += 1
    if len(images) > kept_images:
        reasons['images (filter_cfg)'] = len(images) - kept_images
    return reasons


def class_counts(table: BoxTable) -> NDArray[np.int64]:
    """Return the number of boxes of each class (classes,)."""
    return np.bincount(table.labels, minlength=len(table.class_names))


def duplicates(table: BoxTable) -> int:
    """Return how many boxes repeat an earlier one of the same image and class."""
    keys = np.column_stack([table.image_index, table.labels, table.boxes_xyxy])
    return len(keys) - len(np.unique(keys, axis=0))


def area_edges(rule: Sequence[float] | None) -> NDArray[np.float64]:
    """Return the sides in pixels that bound the classes of area, growing.

    Args:
        rule: sides between the classes, as the user gives them; 0 and 1e5 are put around them.
            None for COCO's: 32 and 96.
    """
    return np.unique([0, *rule, 1e5] if rule else DEFAULT_AREA_RULE).astype(np.float64)


def area_counts(table: BoxTable, rule: Sequence[float] | None = None) -> NDArray[np.int64]:
    """Return (classes, len(edges) - 1): boxes of each class by area, low edge included."""
    edges = area_edges(rule)
    which = np.digitize(np.sqrt(table.boxes_wh.prod(axis=1)), edges[1:-1])
    counts = np.zeros((len(table.class_names), len(edges) - 1), dtype=np.int64)
    np.add.at(counts, (table.labels, which), 1)
    return counts


def percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    """Return :data:`PERCENTILES` of values (N,); nothing for no values."""
    if not len(values):
        return {}
    found = np.percentile(values, PERCENTILES)
    return {
        f'p{name}': round(float(value), 3) for name, value in zip(PERCENTILES, found, strict=True)
    }


@dataclass
class Statistics:
    """The report on one data set; every field is plain Python, ready for JSON.

    Attributes:
        name: of the set, such as its annotation file.
        images: number of images.
        images_without_objects: those with no box but crowds.
        boxes: number of boxes, crowds included.
        crowd: number of crowd or ignored boxes.
        duplicate_boxes: boxes that repeat another.
        boxes_per_image: minimum, median, mean and maximum.
        per_class: name, boxes, share of all boxes, images with it; most boxes first.
        sizes: percentiles of width, height, square root of area (pixels of the image) and of width
            by height.
        below: share of boxes whose shorter side is under so many pixels in the network input.
        input_wh: that input.
        dropped: annotations that training leaves out, by reason.
        warnings: sentences.
    """

    name: str
    images: int
    images_without_objects: int
    boxes: int
    crowd: int
    duplicate_boxes: int
    boxes_per_image: dict[str, float]
    per_class: list[dict[str, Any]]
    sizes: dict[str, dict[str, float]]
    below: dict[str, float]
    input_wh: tuple[int, int]
    dropped: dict[str, int]
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the report as text with two tables: classes and sizes."""
        per_image = ', '.join(f'{name} {value:g}' for name, value in self.boxes_per_image.items())
        text = [
            f'{self.name}: {self.images} images ({self.images_without_objects} without objects), '
            f'{self.boxes} boxes ({self.crowd} crowd, {self.duplicate_boxes} repeated)',
            f'boxes an image: {per_image}',
        ]
        width = max([len(row['name']) for row in self.per_class] + [5])
        text += ['', f'{"class":<{width}}  {"boxes":>8}  {"share":>6}  {"images":>7}']
        text += [
            f'{row["name"]:<{width}}  {row["boxes"]:8d}  {row["share"]:6.1%}  {row["images"]:7d}'
            for row in self.per_class
        ]
        heads = ''.join(f'{f"{p} %":>10}' for p in PERCENTILES)
        text += ['', f'{"percentiles":<18}{heads}']
        for name, values in self.sizes.items():
            text.append(f'{name:<18}' + ''.join(f'{value:10.2f}' for value in values.values()))
        sides = ', '.join(f'{share:.1%} under {side} px' for side, share in self.below.items())
        text += ['', f'shorter side at {self.input_wh[0]}x{self.input_wh[1]}: {sides}']
        text += [f'left out, {reason}: {count}' for reason, count in self.dropped.items()]
        text += [f'warning: {sentence}' for sentence in self.warnings]
        return text


def describe(
    table: BoxTable, name: str, input_wh: tuple[int, int], dropped: Counter[str]
) -> Statistics:
    """Return the numbers of one data set.

    Args:
        table: its boxes.
        name: of the set in the report.
        input_wh: width and height of the network input.
        dropped: what :func:`drop_reasons` counted.
    """
    images = len(table.images_wh)
    plain = np.bincount(table.image_index[~table.crowd], minlength=images)
    counts = class_counts(table)
    wide, high = table.boxes_wh.T
    shorter = fit_to_input(table.boxes_wh, table.owners_wh, input_wh).min(axis=1)
    return Statistics(
        name=name,
        images=images,
        images_without_objects=int((plain == 0).sum()),
        boxes=len(table.labels),
        crowd=int(table.crowd.sum()),
        duplicate_boxes=duplicates(table),
        boxes_per_image=_boxes_per_image(table),
        per_class=_per_class(table, counts),
        sizes={
            'width': percentiles(wide),
            'height': percentiles(high),
            'sqrt of area': percentiles(np.sqrt(wide * high)),
            'width / height': percentiles(wide / high.clip(min=1e-6)),
        },
        below={
            str(side): round(float((shorter < side).mean()), 4) if len(shorter) else 0.0
            for side in TINY_SIDES
        },
        input_wh=input_wh,
        dropped=dict(dropped),
        warnings=_warnings(table.class_names, counts),
    )


def _boxes_per_image(table: BoxTable) -> dict[str, float]:
    images = len(table.images_wh)
    every = np.bincount(table.image_index, minlength=images)
    return {
        'min': int(every.min()) if images else 0,
        'median': float(np.median(every)) if images else 0.0,
        'mean': round(float(every.mean()), 2) if images else 0.0,
        'max': int(every.max(initial=0)),
    }


def _per_class(table: BoxTable, counts: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return a row for each class, most boxes first; `counts` are the boxes of each."""
    pairs = np.unique(np.column_stack([table.labels, table.image_index]), axis=0)
    with_class = np.bincount(pairs[:, 0], minlength=len(table.class_names))
    return [
        dict(
            name=str(table.class_names[label]),
            boxes=int(counts[label]),
            share=round(float(counts[label] / max(len(table.labels), 1)), 4),
            images=int(with_class[label]),
        )
        for label in np.argsort(-counts, kind='stable')
    ]


def _warnings(class_names: Sequence[str], counts: NDArray[np.int64]) -> list[str]:
    """Return sentences about classes with no or few boxes."""
    none = [str(class_names[int(i)]) for i in np.flatnonzero(counts == 0)]
    few = [str(class_names[int(i)]) for i in np.flatnonzero((counts > 0) & (counts < FEW_BOXES))]
    sentences = []
    if none:
        sentences.append(f'{len(none)} configured classes have no box: {shortened(none)}')
    if few:
        sentences.append(f'{len(few)} classes have fewer than {FEW_BOXES} boxes: {shortened(few)}')
    return sentences


def absent_in_training(training: Statistics, validation: Statistics) -> list[str]:
    """Return the names of classes with boxes in validation and none in training."""
    seen = {row['name'] for row in training.per_class if row['boxes']}
    return [row['name'] for row in validation.per_class if row['boxes'] and row['name'] not in seen]
