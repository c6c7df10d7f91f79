"""Paint photo-like backgrounds and clutter for the embedded sample set.

Canvases are float32 ``(H, W, 3)`` in BGR, 0 to 1; coverages (how much of a pixel a thing fills) are
float32 ``(H, W)``, 0 to 1. Lengths are pixels. Every random number comes from the generator that is
handed in.
"""

import cv2
import numpy as np

Colour = tuple[float, float, float]
Generator = np.random.Generator

SKIES = (
    ((0.85, 0.55, 0.25), (0.95, 0.85, 0.72)),
    ((0.75, 0.7, 0.66), (0.88, 0.87, 0.86)),
    ((0.7, 0.45, 0.35), (0.55, 0.72, 0.95)),
    ((0.9, 0.68, 0.42), (0.97, 0.94, 0.9)),
)
GROUNDS = (
    (0.16, 0.42, 0.3),
    (0.42, 0.58, 0.68),
    (0.38, 0.37, 0.37),
    (0.2, 0.5, 0.5),
    (0.25, 0.35, 0.25),
)
WALLS = (
    (0.78, 0.84, 0.88),
    (0.85, 0.8, 0.72),
    (0.62, 0.72, 0.76),
    (0.7, 0.74, 0.86),
    (0.6, 0.62, 0.62),
    (0.72, 0.82, 0.74),
)
SKIN = ((0.55, 0.68, 0.88), (0.35, 0.5, 0.72), (0.22, 0.32, 0.48))


def hsv_colour(hue: float, saturation: float, value: float) -> Colour:
    """Return the BGR colour (0 to 1) of a hue in degrees and a saturation and value from 0 to 1."""
    pixel = np.array([[[hue % 360, saturation, value]]], dtype=np.float32)
    blue, green, red = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0]
    return float(blue), float(green), float(red)


def smooth_noise(
    rng: Generator, shape_hw: tuple[int, int], cells_yx: tuple[int, int], octaves: int = 3
) -> np.ndarray:
    """Return ``(H, W)`` noise from 0 to 1 whose largest blotches are the picture's size over
    ``cells_yx``.
    """
    height, width = shape_hw
    total = np.zeros(shape_hw, np.float32)
    for octave in range(octaves):
        grid = rng.random(
            (cells_yx[0] * 2**octave + 1, cells_yx[1] * 2**octave + 1), dtype=np.float32
        )
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * 0.55**octave
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def blend(canvas: np.ndarray, coverage: np.ndarray, colour: Colour | np.ndarray) -> None:
    """Lay a colour, or a picture that broadcasts to the canvas, over it as ``coverage`` says, in
    place.
    """
    x, y, width, height = cv2.boundingRect((coverage > 0).astype(np.uint8))
    window = canvas[y : y + height, x : x + width]
    paint = np.broadcast_to(np.asarray(colour, dtype=np.float32), canvas.shape)[
        y : y + height, x : x + width
    ]
    window += coverage[y : y + height, x : x + width, None] * (paint - window)


def polygon_coverage(shape_hw: tuple[int, int], points_xy: np.ndarray) -> np.ndarray:
    """Return the coverage of a filled polygon ``(N, 2)`` with smooth edges."""
    mask = np.zeros(shape_hw, np.uint8)
    fixed = np.round(np.asarray(points_xy, dtype=np.float64) * 16).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, lineType=cv2.LINE_AA, shift=4)
    return mask.astype(np.float32) / 255


def box_coverage(
    shape_hw: tuple[int, int], x: float, y: float, width: float, height: float
) -> np.ndarray:
    """Return the coverage of an upright rectangle with its upper left corner at ``(x, y)``."""
    return polygon_coverage(
        shape_hw, np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])
    )


def ellipse_coverage(
    shape_hw: tuple[int, int],
    centre_xy: tuple[float, float],
    radii_xy: tuple[float, float],
    turn: float = 0.0,
) -> np.ndarray:
    """Return the coverage of a filled ellipse, turned by ``turn`` radians."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    along, across = radii_xy[0] * np.cos(angle), radii_xy[1] * np.sin(angle)
    points = np.stack(
        [
            along * np.cos(turn) - across * np.sin(turn),
            along * np.sin(turn) + across * np.cos(turn),
        ],
        1,
    )
    return polygon_coverage(shape_hw, points + centre_xy)


def vertical_gradient(shape_hw: tuple[int, int], top: Colour, bottom: Colour) -> np.ndarray:
    """Return a canvas that goes from one colour at the top to another at the bottom."""
    share = np.linspace(0, 1, shape_hw[0], dtype=np.float32)[:, None, None]
    row = np.array(top, np.float32) * (1 - share) + np.array(bottom, np.float32) * share
    return np.repeat(row, shape_hw[1], axis=1)


def _jitter(rng: Generator, colour: Colour, amount: float = 0.08) -> Colour:
    blue, green, red = np.clip(np.array(colour) + rng.uniform(-amount, amount, 3), 0, 1)
    return float(blue), float(green), float(red)


def paint_tree(
    rng: Generator, canvas: np.ndarray, foot_xy: tuple[float, float], height: float
) -> np.ndarray:
    """Paint a tree on the canvas and return its coverage."""
    shape = canvas.shape[:2]
    x, y = foot_xy
    trunk = box_coverage(shape, x - height * 0.03, y - height * 0.55, height * 0.06, height * 0.55)
    blend(canvas, trunk, _jitter(rng, (0.15, 0.22, 0.3), 0.05))
    crown = np.zeros(shape, np.float32)
    for _ in range(30):
        dx, dy = rng.uniform(-0.22, 0.22, 2) * height
        radius = height * rng.uniform(0.06, 0.14)
        crown = np.maximum(
            crown, ellipse_coverage(shape, (x + dx, y - height * 0.7 + dy), (radius, radius * 0.8))
        )
    leaves = smooth_noise(rng, shape, (40, 50), 2)[..., None]
    green = np.array(_jitter(rng, (0.14, 0.4, 0.24)), np.float32)
    blend(canvas, crown, green * (0.45 + 0.9 * leaves))
    return np.maximum(trunk, crown)


def paint_person(
    rng: Generator, canvas: np.ndarray, foot_xy: tuple[float, float], height: float
) -> np.ndarray:
    """Paint a standing person from behind on the canvas and return the coverage."""
    shape = canvas.shape[:2]
    x, y = foot_xy
    head = ellipse_coverage(shape, (x, y - 0.91 * height), (0.062 * height, 0.085 * height))
    hair = ellipse_coverage(shape, (x, y - 0.935 * height), (0.068 * height, 0.065 * height))
    torso = np.array(
        [
            [-0.05, -0.83],
            [0.05, -0.83],
            [0.13, -0.77],
            [0.17, -0.48],
            [0.11, -0.45],
            [0.1, -0.4],
            [-0.1, -0.4],
            [-0.11, -0.45],
            [-0.17, -0.48],
            [-0.13, -0.77],
        ]
    ) * height + [x, y]
    legs = np.array(
        [[-0.1, -0.42], [0.1, -0.42], [0.09, 0], [0.015, 0], [0, -0.3], [-0.015, 0], [-0.09, 0]]
    )
    side = np.linspace(1.1, 0.75, shape[1], dtype=np.float32)[None, :, None]
    folds = 0.8 + 0.35 * smooth_noise(rng, shape, (12, 24), 2)[..., None]
    parts = (
        (
            polygon_coverage(shape, legs * height + [x, y]),
            hsv_colour(rng.uniform(0, 360), 0.3, 0.35),
        ),
        (head, SKIN[rng.integers(len(SKIN))]),
        (hair, _jitter(rng, (0.1, 0.15, 0.2), 0.08)),
        (
            polygon_coverage(shape, torso),
            hsv_colour(rng.uniform(0, 360), rng.uniform(0.1, 0.7), 0.6),
        ),
    )
    for coverage, colour in parts:
        blend(canvas, coverage, np.clip(np.array(colour, np.float32) * folds * side, 0, 1))
    return np.maximum.reduce([coverage for coverage, _ in parts])


def paint_pole(rng: Generator, canvas: np.ndarray, x: float, top: float) -> np.ndarray:
    """Paint a pole from ``top`` to the lower edge of the canvas and return its coverage."""
    shape = canvas.shape[:2]
    width = rng.uniform(4, 9)
    pole = box_coverage(shape, x, top, width, shape[0] - top + 1)
    across = (np.arange(shape[1], dtype=np.float32) - x) / width
    roundness = np.clip(1.1 - np.abs(across - 0.35), 0.3, 1)[None, :, None]
    blend(canvas, pole, roundness * np.array(_jitter(rng, (0.45, 0.45, 0.45), 0.2), np.float32))
    return pole


def paint_box(
    rng: Generator, canvas: np.ndarray, x: float, y: float, width: float, height: float
) -> np.ndarray:
    """Paint a crate, sign or bench-like box with a lid on the canvas and return its coverage."""
    shape = canvas.shape[:2]
    colour = np.array(
        hsv_colour(rng.uniform(0, 360), rng.uniform(0.1, 0.6), rng.uniform(0.35, 0.8)), np.float32
    )
    body = box_coverage(shape, x, y, width, height)
    grain = 0.8 + 0.3 * smooth_noise(rng, shape, (4, 60), 2)[..., None]
    blend(canvas, body, np.clip(colour * grain, 0, 1))
    blend(canvas, box_coverage(shape, x, y, width, height * 0.14), np.clip(colour * 1.25, 0, 1))
    blend(canvas, box_coverage(shape, x + width * 0.82, y, width * 0.18, height), colour * 0.6)
    return body


def paint_pennants(rng: Generator, canvas: np.ndarray) -> None:
    """Paint a line of small flags across the upper part of the canvas."""
    height, width = canvas.shape[:2]
    start, end, sag = rng.uniform(0.02, 0.25, 3) * height
    flag = width / rng.integers(9, 15)
    share = np.linspace(0, 1, 60)
    line = np.stack(
        [share * width, start + (end - start) * share + sag * 4 * share * (1 - share)], 1
    )
    cv2.polylines(
        canvas, [np.round(line).astype(np.int32)], False, (0.85, 0.85, 0.85), 1, cv2.LINE_AA
    )
    for left in np.arange(0, width, flag * 1.15):
        y = np.interp([left, left + flag], line[:, 0], line[:, 1])
        points = np.array([[left, y[0]], [left + flag, y[1]], [left + flag / 2, y.mean() + flag]])
        blend(
            canvas,
            polygon_coverage((height, width), points),
            hsv_colour(rng.uniform(0, 360), 0.55, 0.8),
        )


def _outdoors(rng: Generator, shape_hw: tuple[int, int]) -> np.ndarray:
    height, width = shape_hw
    top, bottom = SKIES[rng.integers(len(SKIES))]
    canvas = vertical_gradient(shape_hw, _jitter(rng, top), _jitter(rng, bottom))
    clouds = np.clip(smooth_noise(rng, shape_hw, (4, 3), 5) * 2.4 - rng.uniform(0.9, 1.8), 0, 1)
    blend(canvas, clouds * 0.85, (0.97, 0.96, 0.95))
    horizon = height * rng.uniform(0.6, 0.88)
    ridge = horizon - height * rng.uniform(0.02, 0.14) * smooth_noise(rng, (8, width), (1, 4), 4)[0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    hills = 0.7 + 0.4 * smooth_noise(rng, shape_hw, (60, 40), 2)[..., None]
    blend(
        canvas,
        np.clip(rows - ridge, 0, 1),
        hills * np.array(_jitter(rng, (0.35, 0.42, 0.33)), np.float32),
    )
    for _ in range(rng.integers(0, 7)):
        paint_tree(
            rng, canvas, (rng.uniform(0, width), horizon + 3), height * rng.uniform(0.15, 0.4)
        )
    canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.8, 2.2))
    ground = np.array(_jitter(rng, GROUNDS[rng.integers(len(GROUNDS))]), np.float32)
    grain = smooth_noise(rng, shape_hw, (60, 16), 3)[..., None]
    blend(canvas, np.clip(rows - horizon, 0, 1), np.clip(ground * (0.65 + 0.7 * grain), 0, 1))
    return canvas


def _room(rng: Generator, shape_hw: tuple[int, int]) -> np.ndarray:
    height, width = shape_hw
    wall = np.array(_jitter(rng, WALLS[rng.integers(len(WALLS))]), np.float32)
    left, right = (0.7, 1.08) if rng.random() < 0.5 else (1.08, 0.7)
    glow = np.linspace(left, right, width, dtype=np.float32)[None, :, None]
    canvas = wall * glow * (0.92 + 0.12 * smooth_noise(rng, shape_hw, (3, 4), 4)[..., None])
    for _ in range(rng.integers(1, 4)):  # windows and pictures
        x, y = rng.uniform(0, 0.85) * width, rng.uniform(0.02, 0.35) * height
        across, down = rng.uniform(0.12, 0.3) * width, rng.uniform(0.18, 0.4) * height
        blend(
            canvas, box_coverage(shape_hw, x, y, across, down), _jitter(rng, (0.3, 0.35, 0.4), 0.25)
        )
        inside = vertical_gradient(
            shape_hw,
            hsv_colour(rng.uniform(0, 360), 0.25, 0.9),
            hsv_colour(rng.uniform(0, 360), 0.4, rng.uniform(0.3, 0.9)),
        )
        blend(
            canvas,
            box_coverage(shape_hw, x + 4, y + 4, across - 8, down - 8),
            inside * (0.6 + 0.5 * smooth_noise(rng, shape_hw, (12, 12), 3)[..., None]),
        )
    floor = height * rng.uniform(0.72, 0.92)
    boards = 0.75 + 0.4 * smooth_noise(rng, shape_hw, (50, 4), 3)[..., None]
    tone = np.array(_jitter(rng, (0.28, 0.4, 0.52), 0.12), np.float32)
    blend(
        canvas, box_coverage(shape_hw, -1, floor, width + 2, height), np.clip(tone * boards, 0, 1)
    )
    blend(canvas, box_coverage(shape_hw, -1, floor - 5, width + 2, 5), (0.85, 0.87, 0.88))
    for _ in range(rng.integers(1, 4)):  # furniture
        across, down = rng.uniform(0.15, 0.4) * width, rng.uniform(0.1, 0.3) * height
        paint_box(
            rng, canvas, rng.uniform(-0.1, 0.9) * width, floor + 0.06 * height - down, across, down
        )
    return cv2.GaussianBlur(canvas.astype(np.float32), (0, 0), rng.uniform(0.8, 2.0))


def _street(rng: Generator, shape_hw: tuple[int, int]) -> np.ndarray:
    height, width = shape_hw
    top, bottom = SKIES[rng.integers(len(SKIES))]
    canvas = vertical_gradient(shape_hw, _jitter(rng, top), _jitter(rng, bottom))
    road, x = height * rng.uniform(0.75, 0.9), -width * 0.1
    while x < width:
        across, roof = width * rng.uniform(0.14, 0.32), height * rng.uniform(0.05, 0.5)
        wall = np.array(
            hsv_colour(rng.uniform(5, 50), rng.uniform(0.05, 0.45), rng.uniform(0.35, 0.8)),
            np.float32,
        )
        stains = 0.85 + 0.25 * smooth_noise(rng, shape_hw, (20, 20), 3)[..., None]
        blend(
            canvas,
            box_coverage(shape_hw, x, roof, across, road - roof),
            np.clip(wall * stains, 0, 1),
        )
        columns, storey = rng.integers(2, 5), height * rng.uniform(0.09, 0.14)
        for column in range(columns):
            for y in np.arange(roof + storey * 0.4, road - storey, storey):
                pane = _jitter(rng, (0.4, 0.36, 0.32), 0.2)
                left = x + across * (column + 0.25) / columns
                blend(
                    canvas,
                    box_coverage(shape_hw, left, y, across * 0.5 / columns, storey * 0.55),
                    pane,
                )
        x += across
    grain = 0.8 + 0.3 * smooth_noise(rng, shape_hw, (80, 30), 2)[..., None]
    blend(canvas, box_coverage(shape_hw, -1, road, width + 2, height), grain * np.float32(0.42))
    return cv2.GaussianBlur(canvas, (0, 0), rng.uniform(1.0, 2.5))


def _out_of_focus(rng: Generator, shape_hw: tuple[int, int]) -> np.ndarray:
    height, width = shape_hw
    hue = rng.uniform(0, 360)
    canvas = vertical_gradient(
        shape_hw,
        hsv_colour(hue, 0.4, rng.uniform(0.3, 0.7)),
        hsv_colour(hue + rng.uniform(-60, 60), 0.5, rng.uniform(0.2, 0.5)),
    )
    for _ in range(3):
        patch = np.clip(smooth_noise(rng, shape_hw, (3, 4), 3) * 2 - 0.9, 0, 1)
        blend(
            canvas, patch * 0.7, hsv_colour(hue + rng.uniform(-90, 90), 0.45, rng.uniform(0.3, 0.8))
        )
    for _ in range(rng.integers(5, 20)):  # lights
        radius = height * rng.uniform(0.01, 0.035)
        light = ellipse_coverage(
            shape_hw, (rng.uniform(0, width), rng.uniform(0, height)), (radius, radius)
        )
        blend(
            canvas,
            light * rng.uniform(0.15, 0.5),
            hsv_colour(rng.uniform(20, 60), rng.uniform(0, 0.4), 1),
        )
    return cv2.GaussianBlur(canvas, (0, 0), rng.uniform(2.0, 4.0))


def paint_background(rng: Generator, shape_hw: tuple[int, int]) -> np.ndarray:
    """Return a canvas with a landscape, a room, a street or something out of focus, without a
    balloon.
    """
    kinds = (_outdoors, _room, _street, _out_of_focus)
    canvas = np.ascontiguousarray(
        kinds[rng.choice(4, p=[0.4, 0.25, 0.2, 0.15])](rng, shape_hw), dtype=np.float32
    )
    height, width = shape_hw
    if rng.random() < 0.25:
        paint_pennants(rng, canvas)
    for _ in range(rng.integers(0, 3)):
        paint_person(
            rng,
            canvas,
            (rng.uniform(0, width), height * rng.uniform(0.9, 1.1)),
            height * rng.uniform(0.3, 0.5),
        )
    if rng.random() < 0.3:
        paint_pole(rng, canvas, rng.uniform(0, width), rng.uniform(0, 0.5) * height)
    return canvas


def finish_photo(rng: Generator, canvas: np.ndarray) -> np.ndarray:
    """Return the canvas as a uint8 BGR picture, with a lens's falloff and softness and a sensor's
    noise.
    """
    height, width = canvas.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    falloff = 1 - rng.uniform(0.05, 0.25) * (x**2 + y**2) / 2
    photo = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.4, 0.7)) * falloff[..., None]
    photo *= 1 + rng.uniform(-0.04, 0.04, 3).astype(np.float32)  # white balance
    photo += rng.normal(0, rng.uniform(0.006, 0.02), photo.shape).astype(np.float32)
    return np.round(np.clip(photo, 0, 1) * 255).astype(np.uint8)
