"""One rule for rings: alone and among others they have the same faults."""

import numpy as np
import pytest

from mmyolo_lite.datasets.doctor.rings import ring_defects, ring_fault

RINGS = [
    ([0, 0, 10, 0, 10, 10], ''),
    ([], 'polygon-too-short'),
    ([0, 0, 10, 0], 'polygon-too-short'),
    ([0, 0, 10, 0, 5], 'polygon-too-short'),
    ([0, 0, 10, 0, 10, 10, 5], 'polygon-odd'),
    ([0, 0, 10, 0, float('nan'), 10], 'polygon-not-finite'),
    ([0, 0, 10, 0, 10, 2e15], 'polygon-not-finite'),
    ([1e6, 1e6, 1e6 + 1, 1e6 + 1, 1e6 + 2, 1e6 + 2], 'polygon-flat'),
    ([1e9, 1e9, 1e9 + 1, 1e9, 1e9 + 1, 1e9 + 1], ''),
]


@pytest.mark.parametrize(('ring', 'fault'), RINGS)
def test_the_fault_of_a_ring(ring, fault):
    assert ring_fault(ring) == fault


def test_rings_among_others():
    objects = [{'segmentation': [ring], 'bbox': [0, 0, 10, 10], 'area': 50} for ring, _ in RINGS]
    sizes = np.full((len(objects), 2), 1e10)
    found = {index: code for code, index, _ in ring_defects(objects, sizes) if 'polygon' in code}
    assert [found.get(index, '') for index in range(len(RINGS))] == [fault for _, fault in RINGS]
