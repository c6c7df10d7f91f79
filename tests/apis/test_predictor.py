"""Predictions are those of the test, lazy, and without growing memory."""

import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset

from mmyolo_lite.apis import Predictor
from mmyolo_lite.datasets.converters.coco_json import coco_dict, image_size_wh
from mmyolo_lite.datasets.transforms.loading import UnreadableImageError
from mmyolo_lite.errors import CheckpointError, ConfigError, DataError
from tests.apis.conftest import BATCH_SHAPES, Toy, make_toy
from tests.shared_data import REPO, shared_path
from tests.tools import journey

LOW = 0.15
"""Below the scores of random weights."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Work on as many threads as the command lines that are compared with: sums of several threads
    differ in their last bits.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def predictor(toy: Toy) -> Predictor:
    return Predictor(toy.config, toy.checkpoint, 'cpu', score_thr=LOW)


def results_of_test(toy: Toy, tools, folder: Path, *options: str) -> dict[str, dict]:
    """Return what ``tools/test.py`` finds, by the name of the image."""
    arguments = (toy.config, toy.checkpoint, '--out', folder / 'r.pkl', '--work-dir', folder)
    tools.run(folder, 'tools/test.py', *arguments, *options).check()
    results = pickle.loads((folder / 'r.pkl').read_bytes())
    return {Path(one['img_path']).name: one['pred_instances'] for one in results}


def assert_equal(prediction, expected: dict, score_thr: float = 0.0) -> None:
    """Require the same detections, bit for bit, out of those above a threshold."""
    scores = np.asarray(expected['scores'])
    above = scores > score_thr
    assert 0 < above.sum() == len(prediction)
    for mine, name in ((prediction.boxes, 'bboxes'), (prediction.scores, 'scores')):
        assert mine.dtype == np.float32
        np.testing.assert_array_equal(mine, np.asarray(expected[name])[above])
    np.testing.assert_array_equal(prediction.labels, np.asarray(expected['labels'])[above])
    if prediction.masks is None:
        assert 'masks' not in expected
    else:
        runs = [rle for rle, keeps in zip(expected['masks'], above, strict=True) if keeps]
        assert list(prediction.masks.runs) == runs


@pytest.mark.parametrize(
    ('base', 'extra', 'batch_size'),
    [
        (journey.INS, '', 1),
        (journey.INS, '', 3),
        (journey.INS, BATCH_SHAPES, 1),
        (journey.DET, BATCH_SHAPES, 1),
        (journey.DET, '', 2),
    ],
)
def test_detections_are_those_of_the_test(base, extra, batch_size, toy_data, tools, tmp_path):
    toy = make_toy(tmp_path, toy_data, base, extra)
    option = f'test_dataloader.batch_size={batch_size}'
    expected = results_of_test(toy, tools, tmp_path, '--cfg-options', option)
    every = Predictor(toy.config, toy.checkpoint, 'cpu', score_thr=None, batch_size=batch_size)
    found = list(every(toy.images))
    assert {one.name for one in found} == set(expected)
    for one in found:
        assert_equal(one, expected[one.name])
    threshold = float(np.median([score for one in found for score in one.scores]))
    some = Predictor(toy.config, toy.checkpoint, 'cpu', threshold, batch_size)
    for one in some(toy.images):
        assert_equal(one, expected[one.name], threshold)


def test_detections_of_trained_weights_on_photos(tools, tmp_path):
    photos = shared_path('data/balloon/val')
    weights = shared_path('data/weights/yolov5n_seg_coco.pth')
    images = [
        dict(id=number, file_name=path.name, width=size[0], height=size[1])
        for number, path in enumerate(sorted(photos.glob('*.jpg'))[:6], 1)
        for size in [image_size_wh(path)]
    ]
    content = coco_dict(images, [], CocoDataset.METAINFO['classes'], first_category_id=1)
    (tmp_path / 'photos.json').write_text(json.dumps(content))
    base = 'yolov5/ins_seg/yolov5_ins_n-v61_syncbn_fast_8xb16-300e_coco_instance.py'
    config = tmp_path / 'photos.py'
    config.write_text(
        f"""_base_ = {str(REPO / 'configs' / base)!r}
test_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False,
    dataset=dict(
        data_root='', ann_file={str(tmp_path / 'photos.json')!r}, batch_shapes_cfg=None,
        data_prefix=dict(img={str(photos)!r})))
test_evaluator = dict(
    ann_file={str(tmp_path / 'photos.json')!r}, format_only=True,
    outfile_prefix={str(tmp_path / 'results')!r})
"""
    )
    expected = results_of_test(Toy(config, weights, photos), tools, tmp_path)
    found = list(Predictor(config, weights, 'cpu', 0.25)([photos / name for name in expected]))
    assert len(found) == 6
    for one in found:
        assert_equal(one, expected[one.name], 0.25)


def test_images_in_all_forms(predictor, toy):
    paths = sorted(toy.images.glob('*.jpg'))
    arrays = [cv2.imread(str(path)) for path in paths]
    expected = list(predictor(str(toy.images)))
    forms = [
        paths,
        (str(path) for path in paths),
        str(toy.images / '*.jpg'),
        arrays,
        iter(arrays),
        [[paths[0], *arrays[1:3]], *map(str, paths[3:])],
    ]
    for form in forms:
        for mine, one in zip(predictor(form), expected, strict=True):
            assert mine.shape == one.shape and len(mine) == len(one) > 0
            np.testing.assert_array_equal(mine.boxes, one.boxes)
            assert mine.masks.runs == one.masks.runs


def test_pillow_and_grey_images(predictor, toy):
    from PIL import Image

    path = min(toy.images.glob('*.jpg'))
    pillow = Image.fromarray(cv2.imread(str(path))[:, :, ::-1])
    np.testing.assert_array_equal(
        predictor.predict_one(pillow).boxes, predictor.predict_one(path).boxes
    )
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert predictor.predict_one(grey).shape == grey.shape


def test_results_come_while_images_are_drawn(predictor):
    drawn = []

    def frames():
        for number in range(100):
            drawn.append(number)
            yield np.full((40, 60, 3), number, dtype=np.uint8)

    found = predictor(frames())
    assert drawn == []
    next(found)
    assert len(drawn) <= 3 * predictor.batch_size
    found.close()


def test_a_batch_of_different_shapes_changes_nothing(toy, predictor):
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 255, size, dtype=np.uint8)
        for size in ((90, 128, 3), (128, 40, 3), (90, 128, 3), (1, 1, 3), (300, 20, 3))
    ]
    together = Predictor(toy.config, toy.checkpoint, 'cpu', LOW, batch_size=5)
    for one, alone in zip(together(images), predictor(images), strict=True):
        assert one.shape == alone.shape and len(one) == len(alone)
        np.testing.assert_allclose(one.scores, alone.scores, atol=1e-4)


def test_unreadable_images(predictor, toy, tmp_path):
    good = min(toy.images.glob('*.jpg')).read_bytes()
    for name, content in {'a.jpg': good, 'b.jpg': b'text', 'c.png': b'', 'd.jpg': good}.items():
        (tmp_path / name).write_bytes(content)
    errors = []
    found = list(predictor(tmp_path, on_error=errors.append))
    assert [one.name for one in found] == ['a.jpg', 'd.jpg']
    assert [Path(error.path).name for error in errors] == ['b.jpg', 'c.png']
    assert str(errors[0]) == f'{tmp_path / "b.jpg"}: it holds no image that can be decoded'
    with pytest.raises(UnreadableImageError, match=r'b\.jpg'):
        list(predictor(tmp_path))


def test_missing_files_in_a_list(predictor, toy, tmp_path):
    good = min(toy.images.glob('*.jpg'))
    errors = []
    given = [good, tmp_path / 'no.jpg', str(tmp_path / '*.png'), good]
    found = list(predictor(given, on_error=errors.append))
    assert [one.path for one in found] == [str(good)] * 2
    assert [error.path for error in errors] == [str(path) for path in given[1:3]]
    assert str(errors[0]).startswith(f'{tmp_path / "no.jpg"}: no such file')
    results = predictor([good, 'no.jpg'])
    assert next(results).path == str(good)
    with pytest.raises(UnreadableImageError, match=r'^no\.jpg: no such file'):
        next(results)
    with pytest.raises(DataError, match='no such file'):
        list(predictor('no.jpg', on_error=errors.append))


@pytest.mark.parametrize('given', [[], iter(()), [[]]])
def test_one_of_none(given, predictor):
    with pytest.raises(DataError, match='no image to predict'):
        predictor.predict_one(given)


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ('no/such/file.jpg', 'no such file'),
        ('no/*.jpg', 'no image has such a name'),
        (3, 'a int is no image'),
        (torch.zeros(3, 4, 4), 'a tensor is no image'),
        (np.zeros((4, 4, 3)), 'float64 is no image'),
        (np.zeros((4, 4, 7), dtype=np.uint8), r'\(4, 4, 7\)'),
        (np.zeros((0, 4, 3), dtype=np.uint8), r'\(0, 4, 3\)'),
        ([['no/such.png']], 'no such file'),
    ],
)
def test_what_is_no_image(given, words, predictor):
    with pytest.raises(DataError, match=f'(?i){words}'):
        list(predictor(given))


def test_folders_without_images_and_videos(predictor, tmp_path):
    with pytest.raises(DataError, match='no image in this folder'):
        list(predictor(tmp_path))
    (tmp_path / 'a.mp4').write_bytes(b'')
    with pytest.raises(DataError, match='video_demo'):
        list(predictor(tmp_path / 'a.mp4'))


@pytest.mark.parametrize(
    ('arguments', 'error', 'words'),
    [
        (dict(batch_size=0), ConfigError, 'batch_size is 0'),
        (dict(score_thr=1.5), ConfigError, r'score_thr is 1\.5'),
        (dict(class_names=['kite']), ConfigError, "'kite' is no class of this model.*balloon"),
        (dict(device='cuda:99'), ConfigError, 'cuda:99'),
        (
            dict(device='gpu'),
            ConfigError,
            "'gpu' is not there: PyTorch cannot use it here. Give cpu",
        ),
        (dict(device='meta'), ConfigError, "'meta' is not there"),
        (dict(device='hpu'), ConfigError, "'hpu' is not there"),
        (dict(checkpoint='no.pth'), CheckpointError, r'no\.pth'),
        (dict(config='no.py'), ConfigError, r'no\.py'),
    ],
)
def test_impossible_arguments(arguments, error, words, toy):
    given = dict(config=toy.config, checkpoint=toy.checkpoint, device='cpu') | arguments
    with pytest.raises(error, match=words):
        Predictor(**given)


def test_classes_can_be_chosen(toy, predictor):
    chosen = Predictor(toy.config, toy.checkpoint, 'cpu', LOW, class_names=['balloon'])
    image = min(toy.images.glob('*.jpg'))
    assert len(chosen.predict_one(image)) == len(predictor.predict_one(image)) > 0
    assert set(chosen.predict_one(image).names) == {'balloon'}


def test_folded_batch_norms_find_the_same(toy, predictor):
    folded = Predictor(toy.config, toy.checkpoint, 'cpu', LOW, deploy=True)
    image = min(toy.images.glob('*.jpg'))
    names = [type(module).__name__ for module in folded.model.network.modules()]
    assert 'BatchNorm2d' not in names
    mine, expected = folded.predict_one(image), predictor.predict_one(image)
    count = min(len(mine), len(expected), 20)
    np.testing.assert_allclose(mine.scores[:count], expected.scores[:count], atol=1e-4)


MEMORY = """
import sys
import numpy as np
from mmyolo_lite.apis import Predictor

def resident():
    with open('/proc/self/status') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmRSS')) / 1024

def images(count):
    for number in range(count):
        yield np.full((600, 1000, 3), number % 200, dtype=np.uint8)

options = {'model.test_cfg.max_per_img': 60}
predictor = Predictor(
    sys.argv[1], sys.argv[2], 'cpu', score_thr=None, batch_size=2, options=options)
for warm_up in predictor(images(12)):
    pass
before = resident()
for found in predictor(images(60)):
    next(iter(found.masks))
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='reads /proc')
def test_memory_stays_flat(toy):
    """Sixty images with 60 masks each: kept, the images alone would take 108 MB."""
    done = subprocess.run(
        [sys.executable, '-c', MEMORY, toy.config, toy.checkpoint],
        capture_output=True,
        text=True,
        env=journey.environment(),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(done.stdout.split()[-1]) < 40
