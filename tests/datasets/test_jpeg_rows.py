"""Tests of decoding the first rows of a JPEG file alone."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from mmyolo_lite.datasets.jpeg_rows import first_rows
from tests.shared_data import shared_path

WIDTH, HEIGHT = 75, 131


def pixels(channels=3, seed=0):
    """Return a picture with edges and noise, which interpolated chroma shows most."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 7, channels), dtype=np.uint8)
    large = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return cv2.add(large.reshape(HEIGHT, WIDTH, channels), rng.integers(0, 40, (1,), np.uint8))


def jpeg(image=None, mode=None, **options):
    """Return a JPEG file by Pillow's encoder."""
    image = pixels() if image is None else image
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).convert(mode).save(file, 'JPEG', **options)
    return file.getvalue()


def decode(content):
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


def with_orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif.tobytes()


@pytest.mark.parametrize('rows', [1, 7, 8, 9, 31, 48, 97])
@pytest.mark.parametrize(
    'options',
    [
        {'subsampling': 0},
        {'subsampling': 1},
        {'subsampling': 2},
        {'subsampling': 2, 'optimize': True, 'quality': 95},
        {'exif': with_orientation(1)},
        {'image': pixels(1)},
    ],
    ids=str,
)
def test_the_first_rows_are_those_of_the_whole_image(options, rows, capfd):
    content = jpeg(**options)
    cut = first_rows(content, rows, (WIDTH, HEIGHT))
    top, whole = decode(cut), decode(content)
    assert rows <= len(top) < HEIGHT and top.shape[1] == WIDTH
    assert np.array_equal(top[:rows], whole[:rows])
    assert capfd.readouterr().err == ''  # where decoders complain of damaged files


@pytest.mark.parametrize(
    'content',
    [
        jpeg(progressive=True),
        jpeg(exif=with_orientation(3)),
        jpeg(exif=with_orientation(6)),
        jpeg(restart_marker_blocks=2),
        jpeg(mode='CMYK'),
        jpeg()[:-2],
        jpeg() + b'a film',
        jpeg().replace(b'\xff\xdb', b'\xff\xe2\x00\x06MPF\0\xff\xdb', 1),
        jpeg()[:300],
        jpeg()[:4],
        b'',
        b'\x89PNG\r\n',
        b'\xff\xd8' + b'\xff' * 20,
    ],
    ids=[
        'progressive',
        'upside down',
        'turned',
        'restart marks',
        'four inks',
        'without an end',
        'with an appendix',
        'of several pictures',
        'cut',
        'a mark',
        'empty',
        'no JPEG',
        'fill bytes',
    ],
)
def test_other_files_are_decoded_as_a_whole(content):
    assert first_rows(content, 10, (WIDTH, HEIGHT)) is None


def test_another_size_than_expected_is_left_to_the_check_of_whole_images():
    assert first_rows(jpeg(), 10, (WIDTH, HEIGHT)) is not None
    assert first_rows(jpeg(), 10, (HEIGHT, WIDTH)) is None
    assert first_rows(jpeg(), 10, (WIDTH, 70_000)) is None


@pytest.mark.parametrize('rows', [HEIGHT - 16, HEIGHT - 1, HEIGHT])
def test_nearly_all_rows_are_the_whole_image(rows):
    assert first_rows(jpeg(subsampling=2), rows, (WIDTH, HEIGHT)) is None


def test_damaged_headers_never_raise():
    content = jpeg(exif=with_orientation(1))
    rng = np.random.default_rng(0)
    for _ in range(2000):
        broken = bytearray(content)
        for place in rng.integers(0, 700, rng.integers(1, 4)):
            broken[place] = rng.integers(0, 256)
        cut = first_rows(bytes(broken), 10, (WIDTH, HEIGHT))
        assert cut is None or len(cut) < len(content)


def test_first_rows_of_real_photos(capfd):
    photos = sorted(shared_path('data/coco_mini/train2017').glob('*.jpg'))[:20]
    photos += sorted(shared_path('data/balloon/train').glob('*.jpg'))[:10]
    found = 0
    for photo in photos:
        content = photo.read_bytes()
        whole = decode(content)
        rows = len(whole) // 3
        cut = first_rows(content, rows, whole.shape[1::-1])
        if cut is not None:
            found += 1
            assert np.array_equal(decode(cut)[:rows], whole[:rows]), photo.name
    assert found >= 20
    assert capfd.readouterr().err == ''
