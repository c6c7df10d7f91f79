"""A training set with a cache gives the samples it gives without, and says what it cannot do."""

import json
import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmyolo_lite.apis.datasets import build_datasets
from mmyolo_lite.datasets import image_cache, image_store, image_store_file
from mmyolo_lite.datasets.image_cache import CacheSettings, memory_limit
from mmyolo_lite.datasets.transforms.loading import LoadImageFromFile
from mmyolo_lite.errors import ConfigError, DataError
from tests.datasets.cached_sets import (
    LOAD,
    MOSAIC,
    PIPELINE,
    SCALE,
    SIZES_WH,
    are_equal,
    build,
    noise,
    samples,
    write_set,
)

COUNT = len(SIZES_WH)


@pytest.fixture
def root(tmp_path):
    return write_set(tmp_path)


@pytest.fixture(scope='module')
def expected(tmp_path_factory):
    """Return the samples of a set that was made without anything fast."""
    return samples(build(write_set(tmp_path_factory.mktemp('plain')), fast_pipeline=False))


@pytest.fixture(autouse=True)
def log(monkeypatch):
    lines = []
    for module in (image_store, image_store_file):
        monkeypatch.setattr(module, 'print_log', lambda text, logger: lines.append(text))
    return lines


@pytest.fixture
def decoded(monkeypatch):
    """Collect the names of the image files that are decoded."""
    names = []
    load, read = LoadImageFromFile._load, LoadImageFromFile._content
    monkeypatch.setattr(
        LoadImageFromFile,
        '_load',
        lambda self, results: names.append(results['img_path']) or load(self, results),
    )
    monkeypatch.setattr(
        LoadImageFromFile, '_content', lambda self, path: names.append(path) or read(self, path)
    )
    return names


@pytest.mark.parametrize('fast_pipeline', [True, False])
@pytest.mark.parametrize('cache', [None, 'ram', 'disk'])
def test_samples_are_equal_bit_for_bit(root, expected, cache, fast_pipeline, decoded):
    dataset = build(root, cache=cache, fast_pipeline=fast_pipeline)
    assert len(decoded) == (0 if cache is None else COUNT)
    found = samples(dataset)
    assert (len(decoded) == COUNT) is (cache is not None)
    # with the fast pipeline, seams of tiles are not rounded twice: it is compared with itself
    assert are_equal(found, samples(build(root)) if fast_pipeline else expected)


def test_a_second_run_decodes_nothing(root, decoded, log):
    first = samples(build(root, cache='disk'))
    assert len(decoded) == COUNT
    assert are_equal(samples(build(root, cache='disk')), first)
    assert len(decoded) == COUNT
    (path,) = (root / '.image_cache').glob('*.images')
    assert re.fullmatch(rf'{root.name}-ann-\w{{4}}-{SCALE[0]}x{SCALE[1]}-\w+.images', path.name)
    assert str(path) in log[-1]


def test_an_image_that_changed_is_seen(root, decoded):
    before = samples(build(root, cache='disk'))
    cv2.imwrite(str(root / '0.png'), noise(*SIZES_WH[0], seed=99))
    after = samples(build(root, cache='disk'))
    assert len(decoded) == 2 * COUNT and not are_equal(before, after)
    assert are_equal(after, samples(build(root)))


@pytest.mark.parametrize('cache', ['ram', 'disk'])
def test_what_exceeds_the_limit_is_read_each_time(root, cache, log, decoded):
    dataset = build(root, cache=cache, cache_limit_gb=2 * 48 * 64 * 3 / 1e9)
    assert 0 < len(decoded) < COUNT
    assert f'{len(decoded)} of {COUNT} images' in log[0]
    assert 'the others are read from their files each time' in log[0]
    assert are_equal(samples(dataset), samples(build(root)))


@pytest.mark.parametrize('limit', [0, -1, float('nan'), float('inf'), 10**400, '1', True, [1]])
def test_limits_that_make_no_sense_are_refused(limit):
    with pytest.raises(ConfigError, match='cache_limit_gb=.*positive number'):
        CacheSettings('ram', limit)


@pytest.mark.parametrize('kind', ['RAM', 'memory', True, 1, [], {}, np.zeros(2)])
def test_unknown_kinds_are_refused(kind):
    with pytest.raises(ConfigError, match="none of 'ram', 'disk' and None"):
        CacheSettings(kind)


@pytest.mark.parametrize(
    'setting, words', [(dict(folder=3), 'cache_dir=3'), (dict(folder='a\0b'), 'null character')]
)
def test_folders_that_are_none_are_refused(setting, words):
    with pytest.raises(ConfigError, match=words):
        CacheSettings('disk', **setting)


def test_reduced_decoding_is_on_or_off():
    with pytest.raises(ConfigError, match='reduced_decode=.False'):
        CacheSettings(reduced_decode='False')


FLIP = dict(type='mmdet.RandomFlip', prob=0.5)
FLOATS = dict(type='mmyolo_lite.LoadImageFromFile', to_float32=True)


@pytest.mark.parametrize(
    'setting', [dict(cache='ram'), dict(cache='disk'), dict(reduced_decode=True)]
)
@pytest.mark.parametrize(
    'change',
    [
        dict(pipeline=LOAD),
        dict(pipeline=LOAD, test_mode=True),
        dict(pipeline=[*LOAD, FLIP, MOSAIC | dict(pre_transform=None)]),
        dict(pipeline=[FLOATS, *LOAD[1:], MOSAIC | dict(pre_transform=[FLOATS, *LOAD[1:]])]),
    ],
)
def test_a_pipeline_without_a_place_for_it_is_refused(root, setting, change):
    with pytest.raises(ConfigError, match=r'needs a training pipeline in which a Mosaic'):
        build(root, **setting, **change)


@pytest.mark.parametrize('cache', ['ram', 'disk'])
def test_an_unreadable_image_is_reported_by_training_as_without(root, cache):
    (root / '2.png').write_bytes(b'no image')
    dataset, plain = build(root, cache=cache), build(root)
    assert are_equal(samples(dataset), samples(plain))
    (number,) = dataset._unreadable.numbers
    assert dataset.get_data_info(number)['img_path'] == str(root / '2.png')
    assert plain._unreadable.numbers == [number]


@pytest.mark.parametrize('cache', ['ram', 'disk'])
def test_an_image_of_another_size_than_annotated_is_refused(root, cache):
    cv2.imwrite(str(root / '1.png'), noise(50, 40))
    with pytest.raises(DataError, match=r'1\.png is 50 x 40.*says 40 x 50'):
        samples(build(root, cache=cache))


@pytest.mark.parametrize('cache', ['ram', 'disk'])
def test_a_file_that_is_listed_with_two_sizes_is_refused(root, cache):
    content = json.loads((root / 'ann.json').read_text())
    content['images'][1].update(file_name='0.png', width=200, height=160)  # tiles of equal size
    (root / 'ann.json').write_text(json.dumps(content))
    with pytest.raises(DataError, match=r'0\.png is 100 x 80.*says 200 x 160'):
        samples(build(root, cache=cache))


def test_a_file_that_is_listed_twice_is_held_once(root, log, decoded):
    content = json.loads((root / 'ann.json').read_text())
    content['images'][1].update(file_name='0.png', width=100, height=80)
    (root / 'ann.json').write_text(json.dumps(content))
    dataset = build(root, cache='ram')
    assert len(decoded) == COUNT - 1 and f'{COUNT - 1} of {COUNT - 1} images' in log[0]
    assert are_equal(samples(dataset), samples(build(root)))


ODD_FILES = {
    'grey': lambda path, wh: cv2.imwrite(path, noise(*wh)[..., 0]),
    'sixteen-bits': lambda path, wh: cv2.imwrite(path, noise(*wh).astype(np.uint16) * 256),
    'alpha': lambda path, wh: cv2.imwrite(path, cv2.cvtColor(noise(*wh), cv2.COLOR_BGR2BGRA)),
    'turned': lambda path, wh: turned(path, wh),
    'palette': lambda path, wh: Image.fromarray(noise(*wh)).convert('P').save(path),
}


def turned(path, wh):
    """Write a picture that lies on its side and says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(*wh[::-1])).save(path, exif=exif)


@pytest.mark.parametrize('cache', ['ram', 'disk'])
@pytest.mark.parametrize('kind', ODD_FILES)
def test_odd_files_are_the_same_with_a_cache(root, cache, kind, decoded):
    ODD_FILES[kind](str(root / '0.png'), SIZES_WH[0])
    dataset = build(root, cache=cache)
    decoded.clear()
    found = samples(dataset)
    assert decoded == []
    assert are_equal(found, samples(build(root)))


@pytest.mark.parametrize('cache', [None, 'ram', 'disk'])
@pytest.mark.parametrize('fast_pipeline', [True, False])
def test_reduced_decoding_with_any_cache(tmp_path, monkeypatch, cache, fast_pipeline):
    root = write_set(tmp_path, '.jpg')
    flags = []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, 'imdecode', lambda b, flag: flags.append(flag) or decode(b, flag))
    kwargs = dict(cache=cache, fast_pipeline=fast_pipeline)
    full = samples(build(root, **kwargs))
    assert cv2.IMREAD_REDUCED_COLOR_2 not in flags
    reduced = samples(build(root, **kwargs, reduced_decode=True))
    assert cv2.IMREAD_REDUCED_COLOR_2 in flags
    images = zip(full[::4], reduced[::4], strict=True)
    assert max((one.float() - other).abs().mean() for one, other in images) < 10
    assert not are_equal(full, reduced)
    for nth in (1, 2, 3):
        assert are_equal(full[nth::4], reduced[nth::4])  # boxes, labels, masks


def test_tiles_decoded_reduced_and_in_full_are_different_files(tmp_path):
    root = write_set(tmp_path, '.jpg')
    for reduced_decode in (True, False):
        build(root, cache='disk', reduced_decode=reduced_decode)
    assert len(list((root / '.image_cache').glob('*.images'))) == 2


def test_sets_share_a_folder(tmp_path):
    """Files of one name push each other out, and all annotation files are called ann.json."""
    folder = tmp_path / 'common'
    for name in ('one', 'two', 'three'):
        (tmp_path / name).mkdir()
        build(write_set(tmp_path / name), cache='disk', cache_dir=str(folder))
    assert len(list(folder.glob('*.images'))) == 3
    assert not (tmp_path / 'one' / '.image_cache').exists()


def test_a_folder_that_cannot_be_made_is_named(root):
    with pytest.raises(DataError, match=r"cache='disk'.*ann\.json/deep.*Set cache_dir"):
        build(root, cache='disk', cache_dir=str(root / 'ann.json' / 'deep'))


def worker_samples(start_method, dataset):
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=None,
        num_workers=1,
        multiprocessing_context=start_method,
        worker_init_fn=seed_zero,
    )
    return [packed['inputs'] for packed in loader]


def seed_zero(worker):
    np.random.seed(0)


def test_memory_is_refused_to_spawned_workers(root):
    with pytest.raises(ConfigError, match=r"spawn.*cache='disk'"):
        worker_samples('spawn', build(root, cache='ram'))


@pytest.mark.parametrize(
    'cache, start_method', [('ram', 'fork'), ('disk', 'fork'), ('disk', 'spawn')]
)
def test_workers_give_the_same_samples(root, cache, start_method):
    dataset = build(root, cache=cache)
    np.random.seed(0)
    expected = [dataset[index]['inputs'] for index in range(COUNT)]
    for path in root.glob('*.png'):
        path.unlink()  # tiles come from the cache alone
    assert are_equal(worker_samples(start_method, dataset), expected)


def test_a_subset_keeps_the_store(root):
    dataset = build(root, cache='ram')
    part = dataset.get_subset([0, 2])
    for path in root.glob('*.png'):
        path.unlink()
    assert part[1]['inputs'].shape[0] == 3


GB = 10**9


@pytest.mark.parametrize(
    'configured, processes, wanted',
    [
        (None, '', 10 * GB),
        (None, '4', 10 * GB // 4),
        (GB, '', GB),
        (GB, '4', GB // 4),
        (30 * GB, '', 18 * GB),
        (30 * GB, '2', 9 * GB),
        (GB, '0', GB),
        (GB, 'two', GB),
    ],
)
def test_processes_of_a_machine_share_its_memory(monkeypatch, configured, processes, wanted):
    monkeypatch.setenv('LOCAL_WORLD_SIZE', processes)
    monkeypatch.setattr(image_cache, 'free_memory', lambda: 20 * GB)
    assert memory_limit(configured) == wanted


def test_processes_of_other_launchers_are_counted_by_gpu(monkeypatch):
    monkeypatch.delenv('LOCAL_WORLD_SIZE', raising=False)
    monkeypatch.setattr(image_cache, 'get_world_size', lambda: 16)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 8)
    assert image_cache.local_processes() == 8


def test_free_memory_is_a_sensible_number():
    assert 2**20 < image_cache.free_memory() < 2**50


def write_group(folder, names, limit, used, **statistics):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f'{value}\n')
    lines = [f'{key} {value}\n' for key, value in statistics.items()]
    (folder / 'memory.stat').write_text(''.join(lines))


def test_the_limit_of_a_container_counts_and_cached_files_do_not(tmp_path):
    names = ('memory.max', 'memory.current')
    write_group(tmp_path, names, 'max', 900)
    write_group(tmp_path / 'a', names, 1000, 900, active_file=200, inactive_file=400)
    write_group(tmp_path / 'a/b', names, 500, 600)
    (tmp_path / 'self').write_text('0::/a/b\n')
    assert list(image_cache._rooms_of_groups(tmp_path / 'self', tmp_path)) == [0, 700]


def test_the_limit_of_an_older_container_counts(tmp_path):
    names = ('memory.limit_in_bytes', 'memory.usage_in_bytes')
    write_group(tmp_path / 'memory/job', names, 1000, 900, total_inactive_file=50, inactive_file=7)
    (tmp_path / 'self').write_text('5:cpu:/job\n4:memory,x:/job\nodd\n')
    assert list(image_cache._rooms_of_groups(tmp_path / 'self', tmp_path)) == [150]


@pytest.mark.parametrize('content', [None, b'', b'\xff\xfe', b'::::', b'0::/../../..', b'\n\n'])
def test_odd_answers_of_the_system_are_no_hindrance(tmp_path, content):
    if content is not None:
        (tmp_path / 'self').write_bytes(content)
    assert list(image_cache._rooms_of_groups(tmp_path / 'self', tmp_path)) == []


@pytest.mark.parametrize('method', ['spawn', 'forkserver'])
def test_without_fork_a_file_takes_the_place_of_memory(root, monkeypatch, method):
    lines = []
    monkeypatch.setattr(image_cache, 'print_log', lambda text, *_: lines.append(text))
    monkeypatch.setattr(image_cache.multiprocessing, 'get_start_method', lambda **_: method)
    build(root, cache='ram')
    assert list((root / '.image_cache').glob('*.images'))
    assert method in lines[0] and "'disk'" in lines[0]


def test_loaders_that_are_not_served_are_named(root, monkeypatch):
    lines = []
    monkeypatch.setattr(image_cache, 'print_log', lambda text, *_: lines.append(text))
    hue = dict(type='mmyolo_lite.YOLOv5HSVRandomAug')
    build(root, cache='ram', pipeline=[*LOAD, hue, MOSAIC])
    assert '1 of 2 steps' in lines[0]
    build(root, cache='ram')
    assert len(lines) == 1


def test_settings_of_the_cache_do_not_reach_tools_that_look_at_data(root):
    settings = dict(cache='ram', reduced_decode=True, cache_limit_gb=1, cache_dir='x')
    node = dict(
        type='YOLOv5CocoDataset',
        data_root=str(root),
        ann_file='ann.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=('a',)),
        pipeline=PIPELINE,
        **settings,
    )
    config = Config(dict(train_dataloader=dict(dataset=node), default_scope='mmyolo_lite'))
    (without_steps,) = build_datasets(config)
    assert len(without_steps) == COUNT
    (dataset,) = build_datasets(config, pipeline=None)
    names = [type(step).__name__ for step in dataset.pipeline.transforms]
    assert names[2:4] == ['Mosaic', 'YOLOv5RandomAffine'], 'each step is seen by itself'
    loaded = dataset.pipeline.transforms[0](dict(dataset.get_data_info(0), dataset=dataset))
    assert loaded['img'].shape[1::-1] == SIZES_WH[0]
