"""Predictions as annotations: COCO data sets, and labelme files for annotators to mend."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmyolo_lite.datasets.converters.coco_json import coco_dict

if TYPE_CHECKING:
    from mmyolo_lite.apis.prediction import Prediction

LABELME_VERSION = '5.4.1'
"""The version of the format, whose readers ask for one."""
FIRST_CATEGORY_ID = 1


class CocoEntries:
    """Images and annotations of a COCO data set, collected image by image, masks as run lengths.

    Args:
        class_names: by label; the first gets the id 1.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = class_names
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, prediction: 'Prediction') -> None:
        """Add an image and its objects, under the image's ``name``."""
        number = len(self.images) + 1
        height, width = prediction.shape
        self.images.append(dict(id=number, file_name=prediction.name, width=width, height=height))
        for place, label in enumerate(prediction.labels.tolist()):
            x1, y1, x2, y2 = prediction.boxes[place].tolist()
            self.annotations.append(
                dict(
                    id=len(self.annotations) + 1,
                    image_id=number,
                    category_id=label + FIRST_CATEGORY_ID,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    iscrowd=0,
                    score=float(prediction.scores[place]),
                    **_outline(prediction, place, (x2 - x1) * (y2 - y1)),
                )
            )

    def content(self) -> dict[str, Any]:
        """Return the data set, as JSON takes it."""
        return coco_dict(
            self.images,
            self.annotations,
            unlike(self.class_names),
            first_category_id=FIRST_CATEGORY_ID,
            description='predictions',
        )


def _outline(prediction: 'Prediction', place: int, box_area: float) -> dict[str, Any]:
    """Return ``segmentation`` and ``area``; a box is a polygon of four corners."""
    from pycocotools import mask as coco_mask

    if prediction.masks is None:
        x1, y1, x2, y2 = prediction.boxes[place].tolist()
        return dict(segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]], area=box_area)
    rle = prediction.masks.runs[place]
    return dict(
        segmentation=dict(size=[int(side) for side in rle['size']], counts=rle['counts'].decode()),
        area=float(coco_mask.area(rle)),
    )


def unlike(names: Sequence[str]) -> list[str]:
    """Return names of which no two are equal: later ones get a number.

    >>> unlike(['a', 'b', 'a'])
    ['a', 'b', 'a 2']
    """
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f'{name} {seen[name]}')
    return found


def coco_dataset(predictions: Iterable['Prediction'], class_names: Sequence[str]) -> dict[str, Any]:
    """Return one COCO data set of the predictions of many images, which are taken one at a time.

    Its annotations have a ``score`` besides what COCO's own have. Masks are run lengths, boxes
    without masks polygons of four corners.
    """
    entries = CocoEntries(class_names)
    for prediction in predictions:
        entries.add(prediction)
    return entries.content()


def labelme_content(
    prediction: 'Prediction', folder: str | Path | None, tolerance: float
) -> dict[str, Any]:
    """Return the content of a labelme file.

    Args:
        prediction: with masks, or boxes alone.
        folder: of the file to be; ``imagePath`` leads from there to the image. None names the
            image alone.
        tolerance: of polygons in pixels.
    """
    height, width = prediction.shape
    return dict(
        version=LABELME_VERSION,
        flags={},
        shapes=[
            shape
            for place, rings in enumerate(_rings(prediction, tolerance))
            for shape in _shapes(prediction, place, rings)
        ],
        imagePath=_image_path(prediction, folder),
        imageData=None,
        imageHeight=height,
        imageWidth=width,
    )


def _rings(prediction: 'Prediction', tolerance: float) -> list[list]:
    return [[]] * len(prediction) if prediction.masks is None else prediction.polygons(tolerance)


def _shapes(prediction: 'Prediction', place: int, rings: list) -> list[dict[str, Any]]:
    """Return the shapes of one object; those of several parts share a group.

    An object without pixels is its box, or nothing if that has no area: it was cut off at the
    border of the image.
    """
    common: dict[str, Any] = dict(
        label=prediction.class_names[int(prediction.labels[place])],
        group_id=place if len(rings) > 1 else None,
        description=f'score {prediction.scores[place]:.3f}',
        flags={},
    )
    if rings:
        return [{**common, 'shape_type': 'polygon', 'points': ring.tolist()} for ring in rings]
    x1, y1, x2, y2 = prediction.boxes[place].tolist()
    if x2 <= x1 or y2 <= y1:
        return []
    return [{**common, 'shape_type': 'rectangle', 'points': [[x1, y1], [x2, y2]]}]


def _image_path(prediction: 'Prediction', folder: str | Path | None) -> str:
    name = Path(prediction.name).name
    if folder is None or not prediction.path or not Path(prediction.path).is_file():
        return name
    try:
        return os.path.relpath(prediction.path, folder).replace(os.sep, '/')
    except ValueError:  # another drive of Windows
        return str(Path(prediction.path).resolve())
