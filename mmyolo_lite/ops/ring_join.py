"""Join the separate rings of one polygon object into a single ring.

A ring is a flat float array ``(2K,)`` holding ``x1, y1, x2, y2, ...`` of K vertices, in pixels.
"""

from collections.abc import Sequence

import numpy as np


def nearest_vertices(first: np.ndarray, second: np.ndarray) -> tuple[int, int]:
    """Find the closest pair of vertices of two rings.

    Args:
        first: (K1, 2) xy vertices.
        second: (K2, 2) xy vertices.

    Returns:
        Index into `first` and index into `second`; of equally close pairs the first in row-major
        order.
    """
    squared = ((first[:, None, :] - second[None, :, :]) ** 2).sum(-1)  # (K1, K2)
    row, column = np.unravel_index(squared.argmin(), squared.shape)
    return int(row), int(column)


def _anchored(points: np.ndarray, links: list[int]) -> tuple[np.ndarray, int | None]:
    """Turn a ring so that it starts, and ends again, where the previous ring is joined to it.

    Args:
        points: (K, 2) xy vertices.
        links: one vertex index for an end ring; ``[from the previous, to the next]`` for a middle
            ring.

    Returns:
        The (K + 1, 2) closed ring, and the index in it of the vertex that leads on (None for an end
        ring).
    """
    start, stop = (links[0], None) if len(links) == 1 else (min(links), max(links))
    if len(links) == 2 and links[0] > links[1]:
        # The indices are not mapped to the reversed ring: MMYOLO's behaviour, kept so that trained
        # results compare.
        points = points[::-1]
    closed = np.concatenate((points[start:], points[:start], points[start : start + 1]))
    return closed, None if stop is None else stop - start


def join_rings(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Join rings, in the order given, by doubled connecting lines between closest vertices.

    The path runs through all rings to the last one and back along the other side of the middle
    ones, so that filling the result fills every ring. A single ring comes back as it is. Source:
    spec data.md 3.3.

    Args:
        rings: N >= 1 flat arrays (2K_i,), xy in pixels.

    Returns:
        One flat float64 array (2M,).
    """
    if len(rings) == 1:
        return np.asarray(rings[0], dtype=np.float64)
    points = [np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings]
    links: list[list[int]] = [[] for _ in points]
    for i in range(1, len(points)):
        a, b = nearest_vertices(points[i - 1], points[i])
        links[i - 1].append(a)
        links[i].append(b)

    turned = [_anchored(ring, link) for ring, link in zip(points, links, strict=True)]
    forward = [ring if leave is None else ring[: leave + 1] for ring, leave in turned]
    backward = [ring[leave:] for ring, leave in reversed(turned) if leave is not None]
    return np.concatenate(forward + backward).reshape(-1)
