"""A dict that forgets."""

import pytest

from mmyolo_lite.datasets.transforms import memory
from mmyolo_lite.datasets.transforms.memory import Memory


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(memory, 'MAX_SAMPLES', 3)


def test_the_oldest_is_forgotten():
    known = Memory()
    for key in range(5):
        known[key] = -key
    assert known == {2: -2, 3: -3, 4: -4}


def test_a_known_key_drops_no_other():
    known = Memory()
    for key in (0, 1, 2, 2, 0):
        known[key] = key
    assert sorted(known) == [0, 1, 2]
