"""What a model found in one image: boxes, scores, classes, masks, and the forms to hand them on in.

Letters: n objects, (H, W) image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.apis import label_files
from mmyolo_lite.datasets.converters.outlines import mask_to_rings
from mmyolo_lite.datasets.file_io import write_json
from mmyolo_lite.errors import DataError
from mmyolo_lite.ops.mask_crops import crop_mask
from mmyolo_lite.ops.run_length_masks import Rle, RunLengthMasks
from mmyolo_lite.visualization.drawing import Image, Legend, Objects, draw_objects
from mmyolo_lite.visualization.picture_files import encode_image
from mmyolo_lite.whole_files import write_bytes

FULL_SIZE = 1_000_000
"""A longest side that shrinks no picture, in pixels."""
_DEFAULT_COLOR = (220, 20, 60)


class PredictedMasks(Sequence):
    """The masks of one image, decoded one at a time when asked for.

    Indexing and iterating give (H, W) bool arrays; nothing that was decoded is kept.

    Args:
        runs: n run-length masks.
    """

    def __init__(self, runs: RunLengthMasks) -> None:
        self.runs = runs

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, H, W)."""
        return self.runs.shape

    @overload
    def __getitem__(self, index: int) -> NDArray[np.bool_]: ...
    @overload
    def __getitem__(self, index: slice) -> 'PredictedMasks': ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return PredictedMasks(self.runs[index])
        top, left, pixels = crop_mask(self.runs[index])
        mask = np.zeros(self.runs.size_hw, dtype=np.bool_)
        mask[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        return mask

    def numpy(self) -> NDArray[np.bool_]:
        """Return all masks at once, (n, H, W): n bytes a pixel."""
        return self.runs.numpy()


@dataclass(frozen=True)
class Prediction:
    """The objects found in one image, by descending score.

    Attributes:
        boxes: (n, 4) float32 xyxy, in pixels of the image.
        scores: (n,) float32 of 0 to 1.
        labels: (n,) int64, places in ``class_names``.
        class_names: of the model, by label.
        shape: (H, W).
        masks: n masks of the image's size; None if the model predicts none.
        path: of the image, or its URL; empty for an array.
        palette: (R, G, B) of 0 to 255, by label.
        name: under which results are stored: relative, with a suffix.
        image: (H, W, 3) uint8 BGR, where it was to be kept.

    >>> found = Prediction(
    ...     boxes=np.array([[1, 2, 5, 6]], dtype=np.float32),
    ...     scores=np.array([0.9], dtype=np.float32),
    ...     labels=np.array([0]),
    ...     class_names=('cat', 'dog'),
    ...     shape=(8, 8),
    ... )
    >>> found.names
    ['cat']
    >>> found.polygons()[0][0].tolist()
    [[1.0, 2.0], [5.0, 2.0], [5.0, 6.0], [1.0, 6.0]]
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    shape: tuple[int, int]
    masks: PredictedMasks | None = None
    path: str = ''
    palette: tuple[tuple[int, int, int], ...] = (_DEFAULT_COLOR,)
    name: str = 'image.jpg'
    image: Image | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def names(self) -> list[str]:
        """The class name of each object."""
        return [self.class_names[label] for label in self.labels.tolist()]

    def select(self, chosen: NDArray) -> 'Prediction':
        """Return the prediction with some of its objects.

        Args:
            chosen: (n,) bool, or places of objects in any order.
        """
        places = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        masks = self.masks
        if masks is not None:
            runs = masks.runs
            masks = PredictedMasks(RunLengthMasks((runs[i] for i in places), runs.size_hw))
        return replace(
            self,
            boxes=self.boxes[places],
            scores=self.scores[places],
            labels=self.labels[places],
            masks=masks,
        )

    def of_source(self, path: str, name: str, image: Image | None) -> 'Prediction':
        """Return the prediction as that of another image of the same pixels."""
        return replace(self, path=path, name=name, image=image)

    def polygons(self, tolerance: float = 0.0) -> list[list[NDArray[np.float64]]]:
        """Return the rings (K, 2) of each object, x and y in pixels, where pixel 0 covers [0, 1].

        Masks are traced along the borders of their pixels: filling the rings gives them back. An
        object without masks has the four corners of its box, an empty mask has no ring.

        Args:
            tolerance: leave out points that move the outline by less than so many pixels; from 1
                on, borders have no steps.
        """
        if self.masks is None:
            return [[_corners(box)] for box in self.boxes.astype(np.float64)]
        return [_rings(rle, tolerance) for rle in self.masks.runs]

    def to_coco(self) -> dict[str, Any]:
        """Return a COCO data set of this image alone, masks as run lengths, with ``score``.

        :func:`mmyolo_lite.apis.label_files.coco_dataset` puts many images into one.
        """
        return label_files.coco_dataset([self], self.class_names)

    def to_labelme(self, folder: str | Path | None = None, tolerance: float = 1.0) -> dict:
        """Return the content of a labelme file: polygons for masks, rectangles for boxes.

        Args:
            folder: where the file will be, from where it names the image.
            tolerance: of polygons in pixels; 0 keeps masks exactly, with a point at every step of
                their borders.
        """
        return label_files.labelme_content(self, folder, tolerance)

    def draw(self, image: Image | None = None, max_side: int = FULL_SIZE) -> Image:
        """Return a copy of the image, (H, W, 3) uint8 BGR, with the objects drawn on it.

        Args:
            image: (H, W, 3) uint8 BGR; None takes the one that was kept, else reads the file again.
            max_side: shrink the picture to so many pixels.

        Raises:
            DataError: there is no image to draw on, or it has another size.
        """
        image = self._picture() if image is None else image
        if image.shape[:2] != self.shape:
            raise DataError(
                f'{self.path or "The image"} is {image.shape[1]} x {image.shape[0]} pixels, but '
                f'was {self.shape[1]} x {self.shape[0]} at prediction: draw on the same image.'
            )
        upward = self.select(np.arange(len(self))[::-1])  # the best on top
        objects = Objects(
            upward.boxes,
            upward.labels,
            runs=None if upward.masks is None else upward.masks.runs,
            scores=upward.scores,
        )
        return draw_objects(image, objects, Legend(self.class_names, self.palette), max_side)

    def _picture(self) -> Image:
        if self.image is not None:
            return self.image
        image = cv2.imread(self.path) if self.path and Path(self.path).is_file() else None
        if image is None:
            raise DataError(
                f'There is no image to draw on{f" at {self.path}" if self.path else ""}: hand it '
                'to draw(image), or predict with keep_images=True.'
            )
        return image  # type: ignore[return-value]

    def save(self, path: str | Path) -> None:
        """Write a picture with the objects, or with the suffix ``.json`` a labelme file.

        The file appears whole or not at all.

        Raises:
            DataError: it cannot be written, or there is no image to draw on.
        """
        path = Path(path)
        if path.suffix.lower() == '.json':
            write_json(self.to_labelme(path.parent), path)
        else:
            write_bytes(encode_image(self.draw(), path), path)


def _corners(box: NDArray[np.float64]) -> NDArray[np.float64]:
    x1, y1, x2, y2 = box
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def _rings(rle: Rle, tolerance: float) -> list[NDArray[np.float64]]:
    top, left, pixels = crop_mask(rle)
    rings = mask_to_rings(pixels, (left, top)) if pixels.size else []
    return [simplified(ring, tolerance) for ring in rings]


def simplified(ring: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Return a ring (K, 2) with fewer points, no further than `tolerance` pixels from it.

    A ring that would lose its area stays as it is.
    """
    if tolerance <= 0:
        return ring
    fewer = cv2.approxPolyDP(ring.astype(np.float32), tolerance, True)[:, 0]
    return fewer.astype(np.float64) if len(fewer) >= 4 else ring
