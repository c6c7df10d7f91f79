"""Polygons in fixture archives, where ragged rings are stored as flat arrays with offsets."""

import numpy as np


def read_rings(archive, name: str) -> list[list[np.ndarray]]:
    """Return the objects' rings as flat float64 arrays."""
    points, offsets = archive[f'{name}_pts'], archive[f'{name}_off']
    rings = [points[a:b].reshape(-1).copy() for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    objects = []
    for count in archive[f'{name}_nring']:
        objects.append(rings[:count])
        rings = rings[count:]
    return objects
