"""Tests of loading images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmyolo_lite.datasets.tile_decoding import decode_reduced
from mmyolo_lite.datasets.transforms import LoadImageFromFile
from mmyolo_lite.datasets.transforms.loading import DeferredTile, UnreadableImageError
from mmyolo_lite.errors import DataError
from tests.shared_data import shared_path


@pytest.mark.parametrize(
    'pixels',
    [
        np.full((8, 9), 7, np.uint8),
        np.full((8, 9), 7000, np.uint16),
        np.full((8, 9, 3), 7000, np.uint16),
        np.full((8, 9, 4), 7, np.uint8),
    ],
)
def test_grey_16_bit_and_alpha_files_end_as_three_8_bit_channels(tmp_path, pixels):
    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, pixels)
    results = LoadImageFromFile().transform(dict(img_path=path, height=8, width=9))
    assert results['img'].shape == (8, 9, 3) and results['img'].dtype == np.uint8
    assert results['img_shape'] == results['ori_shape'] == (8, 9)


@pytest.mark.parametrize('content', [None, b'', b'no image'])
def test_an_unreadable_image_is_named(tmp_path, content):
    path = tmp_path / 'broken.jpg'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match='broken.jpg') as caught:
        LoadImageFromFile().transform(dict(img_path=str(path)))
    assert caught.value.path == str(path)
    assert LoadImageFromFile(ignore_empty=True).transform(dict(img_path=str(path))) is None


def test_an_image_of_another_size_than_annotated_is_refused(tmp_path):
    path = str(tmp_path / 'turned.png')
    cv2.imwrite(path, np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(DataError, match=r'turned.png is 9 x 8 .* 8 x 9.*EXIF'):
        LoadImageFromFile().transform(dict(img_path=path, height=9, width=8))


def write_jpeg(path, width, height, color=True, kind=(), **kwargs):
    """Write a smooth picture, with gradients in each channel."""
    x, y = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 7, height))
    pixels = np.stack([127 + 120 * np.sin(x + shift) * np.cos(y) for shift in range(3)], axis=-1)
    pixels = pixels.astype(np.uint8) if color else pixels[..., 0].astype(np.uint8)
    data = cv2.imencode('.jpg', pixels, kind)[1]
    path.write_bytes(data.tobytes())
    return dict(img_path=str(path), width=width, height=height)


def tiles_of(results, fit_to):
    """Return the tile decoded in full, the tile of reduced decoding, and whether that reduced."""
    full, reduced = LoadImageFromFile(), LoadImageFromFile()
    full.fit_to = reduced.fit_to = fit_to
    reduced.reduced_decode = True
    size_wh = results['width'], results['height']
    ratio = min(fit / size for fit, size in zip(fit_to, size_wh, strict=True))
    tile_wh = tuple(int(size * ratio) for size in size_wh)
    content = Path(results['img_path']).read_bytes()
    is_reduced = decode_reduced(content, size_wh, tile_wh) is not None
    return full.transform(dict(results)), reduced.transform(dict(results)), is_reduced


def difference(one, other):
    return np.abs(one['img'].astype(int) - other['img']).mean()


def same_but_pixels(one, other):
    return {k: v for k, v in one.items() if k != 'img'} == {
        k: v for k, v in other.items() if k != 'img'
    }


@pytest.mark.parametrize('fit, factor', [(512, 1), (257, 1), (256, 2), (100, 4), (64, 8), (3, 8)])
def test_reduced_decoding_never_goes_below_the_tile(tmp_path, monkeypatch, fit, factor):
    results = write_jpeg(tmp_path / 'a.jpg', 513, 512)
    shapes = []
    decode = cv2.imdecode
    monkeypatch.setattr(
        cv2, 'imdecode', lambda *args: shapes.append(decode(*args)) or shapes[-1].copy()
    )
    loader = LoadImageFromFile()
    loader.fit_to, loader.reduced_decode = (fit, fit), True
    tile = loader.transform(results)
    assert tile['img'].shape[1] == fit
    assert shapes[0].shape == (-(-512 // factor), -(-513 // factor), 3)
    assert tile['img_shape'] == tile['img'].shape[:2] and tile['ori_shape'] == (512, 513)


def test_reduced_decoding_looks_the_same_on_large_photos():
    folder = shared_path('data/balloon/train')
    for path in sorted(folder.glob('*_k.jpg'))[:3]:
        height, width = cv2.imread(str(path)).shape[:2]
        results = dict(img_path=str(path), width=width, height=height)
        for fit_to in ((640, 640), (320, 320)):
            full, reduced, is_reduced = tiles_of(results, fit_to)
            assert is_reduced and difference(full, reduced) < 3
            assert same_but_pixels(full, reduced)


@pytest.mark.parametrize('name', ['a.JPG', 'a.jpeg', 'a.Jpe', 'a.jfif'])
def test_jpeg_files_of_any_extension_are_decoded_reduced(tmp_path, name):
    full, reduced, is_reduced = tiles_of(write_jpeg(tmp_path / name, 200, 160), (50, 50))
    assert is_reduced and difference(full, reduced) < 2


@pytest.mark.parametrize('kind', ['progressive', 'grey', 'turned', 'cmyk'])
def test_unusual_jpeg_files_are_decoded_reduced(tmp_path, kind):
    path = tmp_path / 'a.jpg'
    progressive = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1) if kind == 'progressive' else ()
    results = write_jpeg(path, 200, 160, color=kind != 'grey', kind=progressive)
    with Image.open(path) as picture:
        if kind == 'turned':
            exif = Image.Exif()
            exif[0x0112] = 6  # a quarter turn
            picture.save(path, exif=exif)
            results.update(width=160, height=200)
        elif kind == 'cmyk':
            picture.convert('CMYK').save(path)
    full, reduced, is_reduced = tiles_of(results, (50, 50))
    assert is_reduced and difference(full, reduced) < 2 and same_but_pixels(full, reduced)


@pytest.mark.parametrize('name', ['a.png', 'a.webp', 'png_called.jpg'])
def test_other_files_are_decoded_in_full(tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 255, (160, 200, 3), dtype=np.uint8)
    suffix = '.webp' if name.endswith('webp') else '.png'
    (tmp_path / name).write_bytes(cv2.imencode(suffix, pixels)[1].tobytes())
    results = dict(img_path=str(tmp_path / name), width=200, height=160)
    full, reduced, is_reduced = tiles_of(results, (50, 50))
    assert not is_reduced and difference(full, reduced) == 0


@pytest.mark.parametrize('content', [None, b'', b'no image', b'\xff\xd8\xff', b'\xff\xd8' * 500])
def test_reduced_decoding_names_unreadable_images_as_usual(tmp_path, content):
    path = tmp_path / 'broken.jpg'
    if content is not None:
        path.write_bytes(content)
    loader = LoadImageFromFile()
    loader.fit_to, loader.reduced_decode = (8, 8), True
    with pytest.raises(UnreadableImageError, match='broken.jpg'):
        loader.transform(dict(img_path=str(path), width=100, height=100))


@pytest.mark.parametrize('error', [cv2.error('too many pixels'), MemoryError(), OSError('gone')])
def test_failures_of_the_decoder_name_the_image(tmp_path, monkeypatch, error):
    results = write_jpeg(tmp_path / 'odd.jpg', 200, 160)

    def fail(*args):
        raise error

    monkeypatch.setattr(cv2, 'imdecode', fail)
    loader = LoadImageFromFile()
    loader.fit_to, loader.reduced_decode = (8, 8), True
    with pytest.raises(UnreadableImageError, match='odd.jpg'):
        loader.transform(results)


@pytest.mark.parametrize('is_reduced', [False, True])
def test_a_tile_of_another_image_than_annotated_is_refused(tmp_path, is_reduced):
    results = write_jpeg(tmp_path / 'a.jpg', 200, 160)
    loader = LoadImageFromFile()
    loader.fit_to, loader.reduced_decode = (8, 8), is_reduced
    with pytest.raises(DataError, match=r'200 x 160 .* 160 x 200.*EXIF'):
        loader.transform({**results, 'width': 160, 'height': 200})


@pytest.mark.parametrize('size_wh', [(64, 96), (50, 77), (133, 200), (63, 95)])
@pytest.mark.parametrize('rows', [1, 20, 47, 80])
def test_the_upper_part_of_a_tile_is_that_of_the_whole_one(tmp_path, size_wh, rows):
    results = write_jpeg(tmp_path / 'image.jpg', *size_wh)
    loader = LoadImageFromFile()
    loader.fit_to = (96, 96)
    whole = loader.read_tile(results['img_path'], size_wh)
    top = loader.read_tile(results['img_path'], size_wh, rows)
    assert len(whole) == 96 and rows <= len(top) and top.shape[1] == whole.shape[1]
    assert np.array_equal(top[:rows], whole[:rows])
    if rows in (20, 47) and size_wh != (63, 95):  # of that OpenCV would copy, not scale, the part
        assert len(top) < 96


def test_a_deferred_tile_is_decoded_once_more_at_most():
    asked = []

    def make(rows):
        asked.append(rows)
        return np.zeros((100 if rows is None else rows, 2, 3), np.uint8)

    tile = DeferredTile(make)
    assert [len(tile.array(rows)) for rows in (30, 20, 30, 31, 50, None)] == [30] * 3 + [100] * 3
    assert asked == [30, None]
    assert len(DeferredTile(make).array()) == 100
