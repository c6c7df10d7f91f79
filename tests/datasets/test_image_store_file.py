"""A store in a file: made once, never trusted when anything has changed."""

import errno
import json
import multiprocessing
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mmyolo_lite.datasets import image_store, image_store_file
from mmyolo_lite.datasets.download.locks import only_run
from mmyolo_lite.datasets.image_store_file import KEPT, MAX_NAME, Place, on_disk
from mmyolo_lite.errors import DataError
from tests.datasets.cached_sets import Tiles, colour

TILE = 8 * 8 * 3


@pytest.fixture(autouse=True)
def log(monkeypatch):
    lines = []
    for module in (image_store, image_store_file):
        monkeypatch.setattr(module, 'print_log', lambda text, logger: lines.append(text))
    monkeypatch.setattr(image_store_file, 'POLL_SECONDS', 0.01)
    return lines


@pytest.fixture
def images(tmp_path):
    """Return three images; their files exist, that is all."""
    found = []
    for name in ('a.jpg', 'b.jpg', 'c.jpg'):
        (tmp_path / name).write_bytes(name.encode())
        found.append((str(tmp_path / name), 16, 16))
    return found


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / 'deep' / 'cache', 'train')


def loads_of(images, place, limit=None, **kwargs):
    """Open the store and return how often an image was decoded for it."""
    loader = Tiles(**kwargs)
    check(on_disk(loader.wanted(images), limit, place), images, **kwargs)
    return len(loader.loads)


def check(store, images, unreadable=''):
    for path, *size_wh in images:
        tile = store.get(path, tuple(size_wh))
        if path == unreadable:
            assert tile is None
        elif tile is not None:
            np.testing.assert_array_equal(tile, colour(path))
            assert not tile.flags.writeable


def file_of(place, suffix='.images'):
    (path,) = place.folder.glob(f'*{suffix}')
    return path


def test_it_is_made_once(images, place, log):
    assert loads_of(images, place) == 3
    assert loads_of(images, place) == 0
    path = file_of(place)
    assert path.stat().st_size == 3 * TILE
    assert sorted(os.listdir(place.folder)) == sorted([path.name, file_of(place, '.json').name])
    text = 'image cache (disk): 3 of 3 images, scaled to fit 8 x 8 pixels, 0.1 MB'
    assert log == [f'{text}, making {path}', f'{text}, from {path}', f'{text}, from {path}']


@pytest.mark.parametrize('change', ['size', 'time', 'removed'])
def test_a_changed_image_makes_it_anew(images, place, tmp_path, change):
    loads_of(images, place)
    path = tmp_path / 'b.jpg'
    if change == 'size':
        status = path.stat()
        path.write_bytes(b'longer than before')
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == 'time':
        os.utime(path, ns=(0, 1))
    else:
        path.unlink()
    assert loads_of(images, place) == (2 if change == 'removed' else 3)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def scribble(path):
    content = bytearray(path.read_bytes())
    content[0] ^= 255
    path.write_bytes(content)
    os.utime(path, ns=(0, 1))


DAMAGES = {
    'cut': cut,
    'changed': scribble,
    'emptied': lambda path: path.write_bytes(b''),
    'missing': lambda path: path.unlink(),
}


@pytest.mark.parametrize(
    'damage, suffix',
    [(damage, '.images') for damage in DAMAGES]
    + [(damage, '.json') for damage in DAMAGES if damage != 'changed'],
)
def test_a_damaged_file_or_index_is_made_anew(images, place, damage, suffix):
    loads_of(images, place)
    DAMAGES[damage](file_of(place, suffix))
    assert loads_of(images, place) == 3
    assert loads_of(images, place) == 0


VALUES = [
    None,
    True,
    -1,
    1,
    10**30,
    2.5,
    float('nan'),
    'text',
    '3',
    [],
    [None],
    {},
    [[1]],
    {'a': 1},
]


def test_foreign_content_of_the_index_is_never_trusted_nor_stumbled_over(images, place):
    loads_of(images, place)
    index = file_of(place, '.json')
    good = json.loads(index.read_text())
    assert set(good) == {'stamp', 'limit', 'left_out'}
    contents = [*VALUES, *({**good, key: value} for key in good for value in VALUES)]
    contents += [{k: good[k] for k in good if k != key} for key in good]
    contents += [{**good, 'stamp': [value, good['stamp'][1]]} for value in VALUES]
    for content in contents:
        index.write_text(json.dumps(content))
        loads_of(images, place)  # checks the tiles
    for text in ('[' * 100_000, '9' * 5000, '{"stamp": ', '\udcff'):
        index.write_bytes(text.encode('utf-8', 'surrogateescape'))
        assert loads_of(images, place) == 3


def test_a_folder_or_pipe_in_place_of_the_index_holds_nobody_up(images, place):
    loads_of(images, place)
    index = file_of(place, '.json')
    index.unlink()
    os.mkfifo(index)
    assert loads_of(images, place) == 3
    index.unlink()
    index.mkdir()
    with pytest.raises(DataError, match=r"cache='disk'.*cache_dir"):
        loads_of(images, place)


def test_a_folder_in_place_of_the_file_is_an_error(images, place):
    loads_of(images, place)
    path = file_of(place)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match=r'\.images cannot be written: .*cache_dir'):
        loads_of(images, place)


def test_an_unreadable_image_is_left_out_and_not_tried_again(images, place):
    assert loads_of(images, place, unreadable=images[1][0]) == 3
    assert loads_of(images, place, unreadable=images[1][0]) == 0


def test_images_that_are_no_local_files_are_left_out(images, place, tmp_path):
    (tmp_path / 'folder.jpg').mkdir()
    odd = [str(tmp_path / 'missing.jpg'), str(tmp_path / 'folder.jpg'), 's3://a/b.jpg', 'a\0b.jpg']
    assert loads_of([*images, *((path, 16, 16) for path in odd)], place) == 3


@pytest.mark.parametrize('limit, held', [(1, 0), (2 * TILE, 2), (10**9, 3), (None, 3)])
def test_the_limit_holds(images, place, log, limit, held):
    assert loads_of(images, place, limit) == held
    assert loads_of(images, place, limit) == 0
    assert f'{held} of 3 images' in log[-1]


def test_limits_that_leave_nothing_out_are_the_same(images, place):
    assert loads_of(images, place, 10**6) == 3
    assert loads_of(images, place, 10**9) == 0
    assert loads_of(images, place, TILE) == 1


def test_free_space_matters_only_when_the_file_is_made(images, place, monkeypatch):
    """Else a file that takes half of the rest would be made anew, smaller, with each run."""
    free = [2 * 2 * TILE]
    monkeypatch.setattr(
        image_store_file.shutil, 'disk_usage', lambda path: type('', (), {'free': free[0]})
    )
    assert loads_of(images, place) == 2
    free[0] = 0
    assert loads_of(images, place) == 0


def test_a_set_of_nothing(place):
    assert loads_of([], place) == 0
    assert len(on_disk(Tiles().wanted([]), None, place)) == 0


def test_other_sizes_of_tiles_are_another_file(images, place):
    loads_of(images, place)
    store = on_disk(Tiles().wanted(images, 4), None, place)
    assert store.get(*images[0][:1], (16, 16)).shape == (4, 4, 3)
    assert len(list(place.folder.glob('*.images'))) == 2


@pytest.mark.parametrize('name', ['a' * 400, 'ünïcödé 猫', '[x]*?', 'a.b', '%s{}', ' '])
def test_odd_names(images, place, name):
    place = Place(place.folder, name)
    assert loads_of(images, place) == 3
    assert loads_of(images, place) == 0
    assert file_of(place).name.startswith(name[:MAX_NAME] + '-')


def test_a_folder_that_cannot_be_written_is_named_once(images, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(DataError, match=r'file/deep cannot be written: .*\. Set cache_dir'):
        loads_of(images, Place(tmp_path / 'file' / 'deep', 'train'))


def test_a_folder_that_refuses_files_is_named(images, place, monkeypatch):
    def refuse(path):
        raise DataError(f'{path}: cannot be made (Permission denied)')

    monkeypatch.setattr(image_store_file, 'only_run', refuse)
    with pytest.raises(DataError, match=r"^cache='disk'.*Permission denied.*cache_dir"):
        loads_of(images, place)


@pytest.mark.parametrize('step', ['posix_fallocate', 'fsync', 'replace'])
def test_a_full_disk_leaves_nothing_behind(images, place, monkeypatch, step):
    def fail(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(image_store_file.os, step, fail, raising=False)
    with pytest.raises(DataError, match=r'No space left.*make room.*cache_dir'):
        loads_of(images, place)
    assert os.listdir(place.folder) == []


def test_a_file_system_that_cannot_reserve_is_no_hindrance(images, place, monkeypatch):
    def fail(*args):
        raise OSError(errno.EOPNOTSUPP, 'Operation not supported')

    monkeypatch.setattr(image_store_file.os, 'posix_fallocate', fail, raising=False)
    assert loads_of(images, place) == 3


@pytest.mark.parametrize('error', [KeyboardInterrupt, ZeroDivisionError])
def test_a_stopped_run_leaves_nothing_behind(images, place, error):
    def stop(image):
        raise error

    with pytest.raises(error):
        on_disk(Tiles().wanted(images)._replace(load=stop), None, place)
    assert os.listdir(place.folder) == []


def change_images(images, stamp):
    for path, *_ in images:
        os.utime(path, ns=(0, stamp))


def test_files_of_images_that_changed_do_not_pile_up(images, place):
    other = place.folder / 'val-0123456789ab.images'
    place.folder.mkdir(parents=True)
    other.write_bytes(b'of another set')
    (place.folder / '.train-0123456789ab.images.part').write_bytes(b'of a killed run')
    for stamp in range(1, KEPT + 3):
        change_images(images, stamp)
        assert loads_of(images, place) == 3
    assert len(list(place.folder.glob('train-*.images'))) == KEPT
    assert len(os.listdir(place.folder)) == 2 * KEPT + 1
    assert other.exists()


def test_two_sets_in_turn_are_both_kept(images, place):
    assert loads_of(images, place) == 3
    assert loads_of(images[:1], place) == 1
    for _ in range(2):
        assert loads_of(images, place) == 0
        assert loads_of(images[:1], place) == 0


def test_a_mapped_file_may_be_removed(images, place):
    store = on_disk(Tiles().wanted(images), None, place)
    for path in place.folder.iterdir():
        path.unlink()
    check(store, images)


def test_it_travels_by_name_and_is_empty_where_the_file_is_another(images, place):
    store = on_disk(Tiles().wanted(images), None, place)
    sent = pickle.dumps(store)
    assert len(sent) < 3000
    check(pickle.loads(sent), images)
    assert len(pickle.loads(pickle.dumps(pickle.loads(sent)))) == 3
    scribble(file_of(place))
    assert len(pickle.loads(sent)) == 0
    file_of(place).unlink()
    assert len(pickle.loads(sent)) == 0


def test_a_second_run_waits_for_the_first_and_uses_its_file(images, place, log):
    slow, second = Tiles(), Tiles()

    def load_slowly(image):
        time.sleep(0.1)
        return slow((image[0], 8, 8))

    with ThreadPoolExecutor() as pool:
        first = pool.submit(on_disk, slow.wanted(images)._replace(load=load_slowly), None, place)
        while not slow.loads:
            time.sleep(0.01)
        store = on_disk(second.wanted(images), None, place)
    check(store, images)
    assert len(first.result()) == len(store) == 3
    assert second.loads == []
    assert sum('waiting for the run' in line for line in log) == 1


def hold_lock(path, pipe):
    with only_run(path):
        pipe.send('held')
        time.sleep(60)


def test_a_dead_run_is_taken_over(images, place):
    loads_of(images, place)
    path = file_of(place)
    path.unlink()
    context = multiprocessing.get_context('fork')
    pipe, other_end = context.Pipe()
    holder = context.Process(target=hold_lock, args=(path, other_end))
    holder.start()
    assert pipe.recv() == 'held'
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(loads_of, images, place)
        time.sleep(0.1)
        assert not waiting.done()
        holder.kill()
        holder.join()
        assert waiting.result() == 3


def open_it(images, place, pipe):
    loader = Tiles()
    store = on_disk(loader.wanted(images), None, place)
    pipe.send((len(loader.loads), len(store)))


def test_of_several_processes_one_makes_it(images, place):
    context = multiprocessing.get_context('fork')
    pipes, workers = [], []
    for _ in range(4):
        pipe, other_end = context.Pipe()
        pipes.append(pipe)
        workers.append(context.Process(target=open_it, args=(images, place, other_end)))
        workers[-1].start()
    found = [pipe.recv() for pipe in pipes if pipe.poll(60)]
    for worker in workers:
        worker.join()
    assert sorted(found) == [(0, 3)] * 3 + [(3, 3)]


def test_a_file_that_is_changed_as_soon_as_it_is_made(images, place, monkeypatch):
    write_json = image_store_file.write_json

    def write_and_touch(content, path):
        write_json(content, path)
        block = path.with_suffix('.images')
        block.write_bytes(block.read_bytes() + b'more')

    monkeypatch.setattr(image_store_file, 'write_json', write_and_touch)
    with pytest.raises(DataError, match='was changed or removed as soon as it was made'):
        loads_of(images, place)
    monkeypatch.undo()
    assert loads_of(images, place) == 3
