"""Drawing boxes, masks and names on images with OpenCV, in milliseconds and without a display."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mmyolo_lite.ops.mask_crops import crop_mask

Image = NDArray[np.uint8]
Color = tuple[int, int, int]

CROWD_COLOR: Color = (150, 150, 150)
MASK_OPACITY = 0.45
TITLE_HEIGHT = 24
FONT = cv2.FONT_HERSHEY_SIMPLEX
SHIFT = 4  # fraction bits of polygon points


@dataclass
class Objects:
    """Objects of an image; N of them.

    Attributes:
        boxes: (N, 4) xyxy in pixels of the image.
        labels: (N,) indices of classes.
        outlines: for each object its rings (K, 2) in pixels of the image, or nothing.
        masks: (N, h, w) bool of any size, stretched over the image; drawn in place of outlines.
        runs: N run-length masks of the image, each drawn inside its box, without an array of all;
            drawn in place of masks and outlines.
        scores: (N,) of 0 to 1; written behind the name in place of the object's number.
        crowd: (N,) bool; drawn in grey.
    """

    boxes: NDArray[np.floating]
    labels: NDArray[np.integer]
    outlines: Sequence[Sequence[NDArray[np.floating]]] = ()
    masks: NDArray[np.bool_] | None = None
    runs: Sequence[dict[str, Any]] | None = None
    scores: NDArray[np.floating] | None = None
    crowd: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))


@dataclass(frozen=True)
class Legend:
    """Names and colours of classes.

    Attributes:
        names: by label.
        colors: (R, G, B) of 0 to 255, by label; used again from the start when there are too few.
    """

    names: Sequence[str]
    colors: Sequence[Color]

    def color(self, label: int) -> Color:
        """Return blue, green and red of a class."""
        red, green, blue = self.colors[label % len(self.colors)]
        return int(blue), int(green), int(red)

    def name(self, label: int) -> str:
        """Return the name of a class, or its number when there is none."""
        return str(self.names[label]) if 0 <= label < len(self.names) else str(label)


def fit(image: Image, max_side: int) -> tuple[Image, float]:
    """Return the image (H, W, 3) with its longer side at most `max_side`, and the scale of it."""
    scale = min(max_side / max(image.shape[:2]), 1.0)
    if scale < 1:
        height, width = (max(round(side * scale), 1) for side in image.shape[:2])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore
    return image, scale


def draw_objects(image: Image, objects: Objects, legend: Legend, max_side: int = 1600) -> Image:
    """Return a copy of the image, shrunk if needed, with objects drawn on it.

    Args:
        image: (H, W, 3) uint8 BGR.
        objects: with coordinates of `image`.
        legend: names and colours.
        max_side: of the result in pixels.
    """
    canvas, scale = fit(image, max_side)
    canvas = np.ascontiguousarray(canvas) if scale < 1 else image.copy()
    boxes = np.asarray(objects.boxes, dtype=np.float64).reshape(-1, 4) * scale
    crowd = np.zeros(len(boxes), dtype=np.bool_)
    crowd[: len(objects.crowd)] = objects.crowd
    labels = [int(label) for label in objects.labels]
    colors = [
        CROWD_COLOR if is_crowd else legend.color(label)
        for label, is_crowd in zip(labels, crowd, strict=True)
    ]
    if objects.runs is not None:
        _fill_runs(canvas, objects.runs, colors, scale)
    else:
        canvas = _fill(canvas, objects, colors, scale)
    side = max(canvas.shape[:2])
    # readable when a photo is looked at as a whole, and not hiding what is small in a huge one
    thickness, letters = min(max(1, round(side / 600)), 7), min(max(0.42, side / 2200), 2.0)
    for number, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        if not np.isfinite(box).all():
            continue
        x1, y1, x2, y2 = (int(v) for v in box.round().clip(-20_000, 20_000))
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colors[number], thickness)
        name = legend.name(label) + (' crowd' if crowd[number] else '')
        scores = objects.scores
        text = f'{number} {name}' if scores is None else f'{name} {scores[number]:.2f}'
        put_text(canvas, text, (x1, y1), colors[number], scale=letters)
    return canvas


def _fill_runs(
    canvas: Image, runs: Sequence[dict[str, Any]], colors: Sequence[Color], scale: float
) -> None:
    """Paint run-length masks half transparent into the canvas, one after another, the last on
    top.
    """
    limit_h, limit_w = canvas.shape[:2]
    for rle, color in zip(runs, colors, strict=True):
        top, left, pixels = crop_mask(rle)
        if not pixels.size:
            continue
        y, x = round(top * scale), round(left * scale)
        height, width = (max(round(side * scale), 1) for side in pixels.shape)
        y, x = min(y, limit_h - 1), min(x, limit_w - 1)
        inside = pixels.astype(np.uint8)
        if scale < 1:
            inside = cv2.resize(inside, (width, height), interpolation=cv2.INTER_NEAREST)  # type: ignore
        part = canvas[y : y + height, x : x + width]
        inside = inside[: part.shape[0], : part.shape[1]].astype(bool)
        mixed = part[inside] * (1 - MASK_OPACITY) + np.array(color) * MASK_OPACITY
        part[inside] = mixed.round().astype(np.uint8)


def _fill(canvas: Image, objects: Objects, colors: Sequence[Color], scale: float) -> Image:
    """Return the canvas with the objects' masks, half transparent, and their outlines."""
    overlay = canvas.copy()
    outlines: list[tuple[list[NDArray], Color]] = []
    if objects.masks is not None:
        height, width = canvas.shape[:2]
        for mask, color in zip(objects.masks, colors, strict=False):
            whole = cv2.resize(
                mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
            )
            overlay[whole > 0] = color
    else:
        for rings, color in zip(objects.outlines, colors, strict=False):
            points = [_fixed_point(ring, scale) for ring in rings if len(ring)]
            if points:
                # one call: where rings overlap, as a hole in its outer ring, is outside
                cv2.fillPoly(overlay, points, color, shift=SHIFT)
                outlines.append((points, color))
    canvas = cv2.addWeighted(overlay, MASK_OPACITY, canvas, 1 - MASK_OPACITY, 0)  # type: ignore
    for points, color in outlines:
        cv2.polylines(canvas, points, True, color, 1, cv2.LINE_AA, shift=SHIFT)
    return canvas


def _fixed_point(ring: NDArray[np.floating], scale: float) -> NDArray[np.int32]:
    points = np.nan_to_num(np.asarray(ring, dtype=np.float64).reshape(-1, 2)) * scale
    return (points.clip(-20_000, 20_000) * 2**SHIFT).round().astype(np.int32)


def put_text(
    canvas: Image, text: str, corner_xy: tuple[int, int], color: Color, scale: float = 0.42
) -> None:
    """Write text on a filled ground of `color` above a corner, inside the image."""
    text = ascii_text(text)
    (width, height), baseline = cv2.getTextSize(text, FONT, scale, 1)
    x = int(np.clip(corner_xy[0], 0, max(canvas.shape[1] - width - 2, 0)))
    y = int(np.clip(corner_xy[1], height + baseline + 2, max(canvas.shape[0] - 1, 0)))
    cv2.rectangle(canvas, (x, y - height - baseline - 2), (x + width + 2, y), color, -1)
    ink = (0, 0, 0) if sum(color) > 380 else (255, 255, 255)
    cv2.putText(canvas, text, (x + 1, y - baseline), FONT, scale, ink, 1, cv2.LINE_AA)


def ascii_text(text: str) -> str:
    """Return text that OpenCV's fonts can show; other letters become question marks."""
    return text.encode('ascii', 'replace').decode()


def with_title(image: Image, title: str) -> Image:
    """Return the image under a white bar with a title, which may widen it."""
    title = ascii_text(title)
    width = cv2.getTextSize(title, FONT, 0.45, 1)[0][0] + 8
    bar = np.full((TITLE_HEIGHT, max(width, image.shape[1]), 3), 255, dtype=np.uint8)
    cv2.putText(bar, title, (4, 16), FONT, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([bar, _padded(image, image.shape[0], bar.shape[1])])


def _padded(image: Image, height: int, width: int) -> Image:
    bottom, right = height - image.shape[0], width - image.shape[1]
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(255,) * 3)  # type: ignore


def grid(images: Sequence[Image], columns: int, gap: int = 6) -> Image:
    """Return images in rows of `columns` on white; at least one image."""
    height = max(image.shape[0] for image in images) + gap
    width = max(image.shape[1] for image in images) + gap
    cells = [_padded(image, height, width) for image in images]
    cells += [np.full((height, width, 3), 255, dtype=np.uint8)] * (-len(cells) % columns)
    rows = [
        np.concatenate(cells[start : start + columns], axis=1)
        for start in range(0, len(cells), columns)
    ]
    return np.concatenate(rows)
