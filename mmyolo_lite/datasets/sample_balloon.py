"""Paint the balloons of the embedded sample set: eggs with a knot, shading, a highlight, some
striped.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from mmyolo_lite.datasets.sample_painting import Colour, Generator, blend, hsv_colour

GREYS = (0.92, 0.75, 0.16)


@dataclass(frozen=True)
class Balloon:
    """A balloon: an egg with its narrow end, and a knot, at the bottom.

    Attributes:
        centre_xy: Middle of the egg, pixels.
        radii_xy: Half of its width and height before turning, pixels.
        taper: How much narrower the lower half is, 0 to 0.4.
        turn: Clockwise turn around the centre, radians.
        colour: BGR, 0 to 1.
        stripe: Colour of every second segment, or None.
        gloss: Strength of the highlight, 0 to 1.
        sharpness: Exponent of the highlight: larger is smaller.
    """

    centre_xy: tuple[float, float]
    radii_xy: tuple[float, float]
    taper: float
    turn: float
    colour: Colour
    stripe: Colour | None
    gloss: float
    sharpness: float


def random_balloon(rng: Generator, centre_xy: tuple[float, float], radius: float) -> Balloon:
    """Return a balloon of random shape and colour whose half width is ``radius``."""
    hue = rng.uniform(0, 360)
    colour = hsv_colour(hue, rng.uniform(0.7, 1), rng.uniform(0.65, 1))
    if rng.random() < 0.1:
        colour = (GREYS[rng.integers(len(GREYS))],) * 3
    stripe = hsv_colour(hue + rng.uniform(90, 270), 0.8, 0.95) if rng.random() < 0.12 else None
    return Balloon(
        centre_xy,
        (radius, radius * rng.uniform(1.0, 1.4)),
        rng.uniform(0.05, 0.3),
        rng.normal(0, 0.22),
        colour,
        stripe,
        rng.uniform(0.25, 0.85),
        rng.uniform(15, 60),
    )


def paint_balloon(canvas: np.ndarray, balloon: Balloon, light: np.ndarray) -> np.ndarray:
    """Paint a balloon on the canvas and return its coverage, string excluded.

    Args:
        canvas: Changed in place.
        balloon: What to paint.
        light: Unit vector ``(x, y, z)`` towards the light; y down, z towards the camera.
    """
    radius_x, radius_y = balloon.radii_xy
    reach_px = 1.5 * max(balloon.radii_xy)
    left, top = (max(int(centre - reach_px), 0) for centre in balloon.centre_xy)
    right, bottom = (max(int(centre + reach_px) + 1, 0) for centre in balloon.centre_xy)
    window = canvas[top:bottom, left:right]
    whole = np.zeros(canvas.shape[:2], np.float32)
    if min(window.shape[:2]) < 2:  # all but outside of the picture
        return whole
    y, x = np.mgrid[: window.shape[0], : window.shape[1]].astype(np.float32)
    x, y = x + left - balloon.centre_xy[0], y + top - balloon.centre_xy[1]
    cosine, sine = np.cos(balloon.turn), np.sin(balloon.turn)
    along, down = (
        (x * cosine + y * sine).astype(np.float32),
        (y * cosine - x * sine).astype(np.float32),
    )
    side = along / (radius_x * np.clip(1 - balloon.taper * down / radius_y, 0.3, 1.7))
    lift = down / radius_y
    reach = np.sqrt(side**2 + lift**2)
    slope = np.hypot(*np.gradient(reach))
    outside = (reach - 1) / np.maximum(slope, 1e-3)  # distance from the outline to first order
    knot = np.maximum(
        np.abs(along) - 0.05 * radius_x - 0.45 * np.clip(down - 0.97 * radius_y, 0, None),
        np.maximum(0.9 * radius_y - down, down - 1.09 * radius_y),
    )
    coverage = np.clip(0.5 - np.minimum(outside, knot), 0, 1).astype(np.float32)
    blend(window, coverage, _shade(balloon, side, lift, np.minimum(reach, 1), light))
    whole[top:bottom, left:right] = coverage
    return whole


def _shade(
    balloon: Balloon, side: np.ndarray, lift: np.ndarray, reach: np.ndarray, light: np.ndarray
) -> np.ndarray:
    """Return the surface colour ``(H, W, 3)``.

    Args:
        balloon: What is painted.
        side: x on the unit sphere before turning, ``(H, W)``.
        lift: y on it, downwards.
        reach: Distance from its middle, at most 1.
        light: Unit vector towards the light.
    """
    front = np.sqrt(1 - reach**2)
    cosine, sine = np.cos(balloon.turn), np.sin(balloon.turn)
    normal = np.stack([side * cosine - lift * sine, side * sine + lift * cosine, front], axis=-1)
    facing = np.clip(normal @ light.astype(np.float32), 0, 1)
    halfway = (light + [0, 0, 1]) / np.linalg.norm(light + [0, 0, 1])
    highlight = (
        balloon.gloss * np.clip(normal @ halfway.astype(np.float32), 0, 1) ** balloon.sharpness
    )
    base = np.broadcast_to(np.array(balloon.colour, np.float32), (*reach.shape, 3))
    if balloon.stripe is not None:
        meridian = np.arcsin(np.clip(side / np.sqrt(np.clip(1 - lift**2, 1e-3, 1)), -1, 1))
        odd = (np.floor(meridian / np.pi * 8) % 2).astype(np.float32)[..., None]
        base = base * (1 - odd) + np.array(balloon.stripe, np.float32) * odd
    brightness = (0.42 + 0.62 * facing + 0.1 * np.clip(lift, 0, 1)) * (0.78 + 0.22 * front)
    return np.clip(base * brightness[..., None] + highlight[..., None], 0, 1).astype(np.float32)


def paint_string(rng: Generator, canvas: np.ndarray, balloon: Balloon) -> None:
    """Paint the string of a balloon, hanging from its knot; it belongs to no outline."""
    knot = balloon.radii_xy[1] * 1.09
    x, y = (
        balloon.centre_xy[0] - knot * np.sin(balloon.turn),
        balloon.centre_xy[1] + knot * np.cos(balloon.turn),
    )
    share = np.linspace(0, 1, 40)
    length = balloon.radii_xy[1] * rng.uniform(2, 5)
    sway = rng.uniform(-0.25, 0.25) * length * share**2 + rng.uniform(0, 4) * np.sin(
        share * rng.uniform(4, 12)
    )
    points = np.round(np.stack([x + sway, y + length * share], 1) * 16).astype(np.int32)
    grey = rng.uniform(0.4, 0.95)
    cv2.polylines(canvas, [points], False, (grey, grey, grey), 1, cv2.LINE_AA, shift=4)
