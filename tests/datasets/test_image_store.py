"""Tiles in one block of memory that workers share."""

import copy
import multiprocessing
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from mmyolo_lite.datasets import image_store
from mmyolo_lite.datasets.image_store import Wanted, in_memory, plan, total_size
from mmyolo_lite.errors import ConfigError
from tests.datasets.cached_sets import Tiles, colour

IMAGES = [('a.jpg', 4, 4), ('b.jpg', 16, 16), ('c.jpg', 8, 8)]
TILE = 8 * 8 * 3
ENOUGH = 10**9


@pytest.fixture(autouse=True)
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(image_store, 'print_log', lambda text, logger: lines.append(text))
    return lines


def test_tiles_come_back_and_cannot_be_changed(log):
    store = in_memory(Tiles().wanted(IMAGES), ENOUGH)
    assert len(store) == 3
    for path, *size_wh in IMAGES:
        tile = store.get(path, tuple(size_wh))
        np.testing.assert_array_equal(tile, colour(path))
        with pytest.raises(ValueError, match='read-only'):
            tile[0, 0] = 0
    assert log == ['image cache (ram): 3 of 3 images, scaled to fit 8 x 8 pixels, 0.1 MB']


def test_an_unknown_image_or_another_size_has_no_tile():
    store = in_memory(Tiles().wanted(IMAGES), ENOUGH)
    assert store.get('d.jpg', (4, 4)) is None
    assert store.get('a.jpg', (5, 4)) is None


@pytest.mark.parametrize('limit, held', [(0, 0), (TILE - 1, 0), (TILE, 1), (3 * TILE - 1, 2)])
def test_no_more_than_the_limit_is_held_and_the_log_says_so(log, limit, held):
    loader = Tiles()
    store = in_memory(loader.wanted(IMAGES), limit)
    assert len(store) == len(loader.loads) == held
    assert f'{held} of 3 images' in log[0] and 'the others are read from their files' in log[0]


def test_a_large_tile_leaves_room_to_smaller_ones():
    wanted = Wanted([('wide', 8, 8), ('flat', 8, 2), ('tall', 1, 8)], (8, 8), Tiles())
    entries = plan(wanted, 8 * 2 * 3 + 8 * 3)
    assert [(entry.image[0], entry.tile_wh, entry.offset) for entry in entries] == [
        ('flat', (8, 2), 0),
        ('tall', (1, 8), 48),
    ]
    assert total_size(entries) == 72


@pytest.mark.parametrize('size_wh', [(1000, 1), (1, 1000), (1, 1)])
def test_extreme_sizes_have_tiles_of_at_least_a_pixel(size_wh):
    (entry,) = plan(Wanted([('a', *size_wh)], (8, 8), Tiles()), ENOUGH)
    assert 1 <= min(entry.tile_wh) <= max(entry.tile_wh) <= 8


def test_a_store_of_nothing():
    assert len(in_memory(Tiles().wanted([]), ENOUGH)) == 0


def test_an_unreadable_image_is_left_out():
    store = in_memory(Tiles(unreadable='b.jpg').wanted(IMAGES), ENOUGH)
    assert len(store) == 2 and store.get('b.jpg', (16, 16)) is None
    np.testing.assert_array_equal(store.get('c.jpg', (8, 8)), colour('c.jpg'))


def test_a_defect_of_the_code_is_not_taken_for_an_unreadable_image():
    def broken(image):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_memory(Wanted(IMAGES, (8, 8), broken), ENOUGH)


def test_memory_that_cannot_be_had_is_explained(monkeypatch):
    def refuse(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(image_store.np, 'empty', refuse)
    with pytest.raises(ConfigError, match=r'0\.1 MB of memory.*cache_limit_gb'):
        in_memory(Tiles().wanted(IMAGES), ENOUGH)


def test_copies_are_the_same_store():
    store = in_memory(Tiles().wanted(IMAGES), ENOUGH)
    assert copy.deepcopy([store])[0] is store


def test_memory_is_not_sent_to_workers_that_are_not_forked():
    store = in_memory(Tiles().wanted(IMAGES), ENOUGH)
    with pytest.raises(ConfigError, match=r"spawn.*cache='disk'"):
        pickle.dumps(store)


def private_kilobytes():
    """Return the memory that this process shares with nobody."""
    text = Path('/proc/self/smaps_rollup').read_text()
    return sum(int(number) for number in re.findall(r'Private_\w+:\s+(\d+) kB', text))


@pytest.mark.skipif(
    not Path('/proc/self/smaps_rollup').exists(), reason='the system does not tell private memory'
)
def test_forked_workers_have_no_copy():
    side, count = 512, 64
    images = [(f'{number}.jpg', side, side) for number in range(count)]
    store = in_memory(Tiles().wanted(images, side), ENOUGH)
    size = side * side * 3 * count / 1000

    def read_all(pipe):
        before = private_kilobytes()
        checksum = sum(int(store.get(*image[:1], image[1:]).sum()) for image in images)
        pipe.send((private_kilobytes() - before, checksum))

    context = multiprocessing.get_context('fork')
    pipe, other_end = context.Pipe()
    worker = context.Process(target=read_all, args=(other_end,))
    worker.start()
    assert pipe.poll(60)
    grown, checksum = pipe.recv()
    worker.join()
    assert checksum == sum(int(colour(path, side, side).sum()) for path, *_ in images)
    assert grown < size / 10
