"""Make the embedded sample set: painted balloon photos with exact polygons, in the balloon set's
own layout.

It lets the whole journey (convert, train, test) run on a machine without any download.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmyolo_lite.datasets import sample_painting as paint
from mmyolo_lite.datasets.sample_balloon import Balloon, paint_balloon, paint_string, random_balloon
from mmyolo_lite.errors import DataError

ANN_NAME = 'via_region_data.json'
SAMPLE_FILE = r'via_region_data\.json(\.part)?|sample_\w+_\d{4,}\.jpg'
SPLITS = ('train', 'val')
ASPECT_RATIOS = (4 / 3, 3 / 4, 3 / 2, 1.0)
ASPECT_SHARES = (0.55, 0.2, 0.15, 0.1)
MAX_BALLOONS = 6
RADIUS_RANGE = (0.09, 0.23)  # half width of a balloon over the short side of the picture
PLACEMENT_TRIES = 12
MIN_VISIBLE = 0.4  # share of a balloon that stays uncovered and inside the picture
MIN_OUTLINE_IOU = 0.985
OUTLINE_TOLERANCE = 0.5  # pixels that a polygon may leave the outline by
JPEG_QUALITY = 92


@dataclass
class Scene:
    """A picture under construction.

    Attributes:
        canvas: float32 ``(H, W, 3)``, BGR, 0 to 1.
        owner: int16 ``(H, W)``: number of the balloon seen at a pixel, from 1; 0 for anything else.
        full_areas: Area in pixels of every balloon, covered and outside parts included.
    """

    canvas: np.ndarray
    owner: np.ndarray
    full_areas: list[float] = field(default_factory=list)


def mask_to_polygon(mask: np.ndarray) -> np.ndarray | None:
    """Return the outline of a mask as one polygon, or None when one polygon cannot describe it.

    Args:
        mask: bool ``(H, W)``.

    Returns:
        int32 ``(N, 2)``, x and y of pixels on the outline. Filling it gives the mask back with an
        IoU of at least ``MIN_OUTLINE_IOU``. None for an empty mask, several large parts or a large
        hole.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    polygon = cv2.approxPolyDP(max(contours, key=cv2.contourArea), OUTLINE_TOLERANCE, True)
    filled = cv2.fillPoly(np.zeros(mask.shape, np.uint8), [polygon], 1).astype(bool)
    iou = (filled & mask).sum() / (filled | mask).sum()
    return polygon.reshape(-1, 2) if iou >= MIN_OUTLINE_IOU and len(polygon) >= 3 else None


def _outlines_stay_exact(owner: np.ndarray, full_areas: list[float]) -> bool:
    """Say whether every balloon is seen well enough, and as one part without holes."""
    for number, full_area in enumerate(full_areas, start=1):
        mask = owner == number
        if mask.sum() < MIN_VISIBLE * full_area or mask_to_polygon(mask) is None:
            return False
    return True


def _add_balloon(
    rng: np.random.Generator, scene: Scene, balloon: Balloon, light: np.ndarray
) -> None:
    """Paint a balloon unless it would spoil an outline."""
    canvas = scene.canvas.copy()
    if rng.random() < 0.8:
        paint_string(rng, canvas, balloon)
    coverage = paint_balloon(canvas, balloon, light)
    owner = np.where(coverage > 0.5, len(scene.full_areas) + 1, scene.owner).astype(np.int16)
    full_areas = [*scene.full_areas, np.pi * balloon.radii_xy[0] * balloon.radii_xy[1]]
    if _outlines_stay_exact(owner, full_areas):
        scene.canvas, scene.owner, scene.full_areas = canvas, owner, full_areas


def _add_foreground(rng: np.random.Generator, scene: Scene) -> None:
    """Paint something in front of the balloons, unless it would spoil an outline."""
    height, width = scene.owner.shape
    for _ in range(PLACEMENT_TRIES):
        canvas, kind = scene.canvas.copy(), rng.integers(4)
        x = rng.uniform(0, width)
        if kind == 0:
            tall = height * rng.uniform(0.5, 0.9)
            coverage = paint.paint_person(rng, canvas, (x, height * 1.02 + 0.2 * tall), tall)
        elif kind == 1:
            coverage = paint.paint_tree(
                rng, canvas, (x, height * rng.uniform(1.0, 1.3)), height * rng.uniform(0.4, 0.8)
            )
        elif kind == 2:
            coverage = paint.paint_pole(rng, canvas, x, height * rng.uniform(0.2, 0.7))
        else:
            across, down = width * rng.uniform(0.1, 0.3), height * rng.uniform(0.1, 0.35)
            coverage = paint.paint_box(
                rng, canvas, x - across / 2, height - down * rng.uniform(0.7, 1), across, down
            )
        owner = np.where(coverage > 0.5, 0, scene.owner).astype(np.int16)
        if _outlines_stay_exact(owner, scene.full_areas):
            scene.canvas, scene.owner = canvas, owner
            return


def _random_balloons(rng: np.random.Generator, size_wh: tuple[int, int]) -> Iterator[Balloon]:
    """Yield balloons for one picture without end: in a bunch, or spread over it."""
    size = np.array(size_wh)
    is_bunch = rng.random() < 0.4
    middle = rng.uniform(0.3, 0.7, 2) * size
    while True:
        radius = rng.uniform(*RADIUS_RANGE) * size.min() * (0.8 if is_bunch else 1.0)
        x, y = (
            middle + rng.normal(0, 0.17, 2) * size
            if is_bunch
            else rng.uniform(0.02, 0.98, 2) * size
        )
        yield random_balloon(rng, (float(x), float(y)), radius)


def compose_scene(rng: np.random.Generator, size_wh: tuple[int, int]) -> Scene:
    """Paint a background, one to ``MAX_BALLOONS`` balloons over it and sometimes something in front
    of them.

    Args:
        rng: Source of all randomness; the same state gives the same scene.
        size_wh: Width and height in pixels.
    """
    width, height = size_wh
    scene = Scene(paint.paint_background(rng, (height, width)), np.zeros((height, width), np.int16))
    light = np.array([rng.uniform(-0.7, 0.7), rng.uniform(-0.9, -0.4), 0.8])
    light /= np.linalg.norm(light)
    wanted = int(rng.integers(1, MAX_BALLOONS + 1))
    for tries, balloon in enumerate(_random_balloons(rng, size_wh), start=1):
        _add_balloon(rng, scene, balloon, light)
        no_room = tries >= wanted * PLACEMENT_TRIES and scene.full_areas
        if no_room or len(scene.full_areas) == wanted:
            break
    if rng.random() < 0.4:
        _add_foreground(rng, scene)
    return scene


def make_picture(
    rng: np.random.Generator, size_wh: tuple[int, int]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Paint one picture.

    Returns:
        uint8 ``(H, W, 3)`` BGR, and the visible outline of every balloon in it, int32 ``(N, 2)``
        pixel x and y; one balloon at least.
    """
    scene = compose_scene(rng, size_wh)
    polygons = (
        mask_to_polygon(scene.owner == number + 1) for number in range(len(scene.full_areas))
    )
    return paint.finish_photo(rng, scene.canvas), [
        polygon for polygon in polygons if polygon is not None
    ]


def via_entry(name: str, size_bytes: int, polygons: list[np.ndarray]) -> dict[str, Any]:
    """Return one entry of a VIA 1.x file, as the balloon set has it."""
    regions = {
        str(number): {
            'shape_attributes': {
                'name': 'polygon',
                'all_points_x': polygon[:, 0].tolist(),
                'all_points_y': polygon[:, 1].tolist(),
            },
            'region_attributes': {},
        }
        for number, polygon in enumerate(polygons)
    }
    return {
        'fileref': '',
        'size': size_bytes,
        'filename': name,
        'base64_img_data': '',
        'file_attributes': {},
        'regions': regions,
    }


def _picture_size(rng: np.random.Generator, long_side: int) -> tuple[int, int]:
    ratio = ASPECT_RATIOS[rng.choice(len(ASPECT_RATIOS), p=ASPECT_SHARES)]
    return (
        (long_side, round(long_side / ratio))
        if ratio >= 1
        else (round(long_side * ratio), long_side)
    )


def _files_to_replace(folder: Path, overwrite: bool) -> list[Path]:
    """Return the files of an earlier sample set in a folder; refuse a folder that holds anything
    else.
    """
    paths = sorted(folder.iterdir()) if folder.exists() else []
    foreign = [path.name for path in paths if not re.fullmatch(SAMPLE_FILE, path.name)]
    if foreign:
        raise DataError(
            f'{folder}: holds {foreign[0]!r}, which is not of a sample set; choose another '
            '--out-dir'
        )
    if paths and not overwrite:
        raise DataError(f'{folder}: holds a sample set already; pass --overwrite to replace it')
    return paths


def make_sample_dataset(
    out_dir: str | Path,
    num_train: int = 80,
    num_val: int = 20,
    long_side: int = 480,
    seed: int = 0,
    *,
    overwrite: bool = False,
) -> dict[str, tuple[int, int]]:
    """Write ``<out_dir>/{train,val}/`` with pictures and VIA 1.x polygons.

    A picture depends on the seed, its split and its number only, so a larger set begins with the
    smaller one.

    Args:
        out_dir: Target folder.
        num_train: Number of training pictures.
        num_val: Number of held-out pictures.
        long_side: Longer side of a picture, pixels.
        seed: The same seed writes the same bytes.
        overwrite: Replace an earlier sample set.

    Returns:
        Number of pictures and of balloons in each split.

    Raises:
        DataError: A count or the size is out of range, the folder is in use or cannot be written.
    """
    if min(num_train, num_val) < 1 or long_side < 64 or seed < 0:
        raise DataError(
            f'train {num_train}, val {num_val}, size {long_side}, seed {seed}: at least one '
            'picture per '
            'split, 64 pixels and a seed from 0 are needed'
        )
    counts = dict(zip(SPLITS, (num_train, num_val), strict=True))
    root = Path(out_dir)
    for path in [path for split in SPLITS for path in _files_to_replace(root / split, overwrite)]:
        path.unlink()
    return {
        split: _write_split(root / split, count, long_side, (seed, index))
        for index, (split, count) in enumerate(counts.items())
    }


def _write_split(
    folder: Path, count: int, long_side: int, seeds: tuple[int, int]
) -> tuple[int, int]:
    entries: dict[str, Any] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng((*seeds, number))
            image, polygons = make_picture(rng, _picture_size(rng, long_side))
            name = f'sample_{folder.name}_{number:04d}.jpg'
            data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[
                1
            ].tobytes()
            (folder / name).write_bytes(data)
            entries[f'{name}{len(data)}'] = via_entry(name, len(data), polygons)
        part = folder / f'{ANN_NAME}.part'
        part.write_text(
            json.dumps(entries), encoding='utf-8'
        )  # last, so that its presence means completeness
        os.replace(part, folder / ANN_NAME)
    except OSError as error:
        raise DataError(f'{folder}: cannot be written ({error})') from error
    return count, sum(len(entry['regions']) for entry in entries.values())
