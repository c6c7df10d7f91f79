"""Maps lie over the image as the image lies in the network input."""

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from torch.nn import functional as F

from mmyolo_lite.errors import ConfigError
from mmyolo_lite.models.heads.results import measured_letterbox
from mmyolo_lite.ops.postprocess import Letterbox
from mmyolo_lite.registry import TRANSFORMS
from mmyolo_lite.visualization import feature_maps as fm

SHAPES = [(120, 320), (333, 141), (97, 101)]
STEPS = {
    'ins': [
        dict(type='YOLOv5KeepRatioResize', scale=(256, 256)),
        dict(
            type='LetterResize',
            scale=(256, 256),
            allow_scale_up=False,
            half_pad_param=True,
            pad_val=dict(img=114),
        ),
    ],
    'det': [
        dict(type='YOLOv5KeepRatioResize', scale=(256, 256)),
        dict(type='LetterResize', scale=(256, 256), allow_scale_up=False, pad_val=dict(img=114)),
    ],
    'stretch': [dict(type='mmdet.Resize', scale=(256, 256), keep_ratio=False)],
}


def placed(image, steps):
    """Return the network input (3, 256, 256) of an image, and how it lies there."""
    info = dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
    info = Compose([TRANSFORMS.build(step) for step in STEPS[steps]])(info)
    meta = dict(ori_shape=image.shape[:2], batch_input_shape=info['img'].shape[:2])
    if 'pad_param' in info:
        meta['pad_param'] = info['pad_param']
    return torch.from_numpy(info['img']).permute(2, 0, 1).float(), measured_letterbox(meta)


def square(shape, centre):
    image = np.full((*shape, 3), 114, dtype=np.uint8)  # as the padding
    y, x = (round(side * part) for side, part in zip(shape, centre, strict=True))
    image[y - 8 : y + 8, x - 8 : x + 8] = 255
    return image, (y, x)


@pytest.mark.parametrize('stride', [8, 16, 32])
@pytest.mark.parametrize('steps', STEPS)
@pytest.mark.parametrize('shape', SHAPES)
def test_a_bright_square_is_brightest_where_it_is(shape, steps, stride):
    """A layer that sees brightness alone; the overlay is read back as a picture."""
    for centre in ((0.2, 0.7), (0.8, 0.15), (0.5, 0.5)):
        image, at = square(shape, centre)
        inputs, letterbox = placed(image, steps)
        layer = F.avg_pool2d(inputs[None], stride)[0]
        drawing = fm.MapDrawing('squeeze_mean', alpha=1.0)
        picture = drawing.draw(layer, image, letterbox, (256, 256)).astype(int)
        assert picture.shape == image.shape
        red = picture[..., 2] - picture[..., 0]  # the colour map goes from blue to red
        rows, columns = np.nonzero(red == red.max())
        scale_w, scale_h = letterbox.scale_wh
        assert abs(rows.mean() + 0.5 - at[0]) * scale_h <= stride
        assert abs(columns.mean() + 0.5 - at[1]) * scale_w <= stride


def test_undo_letterbox_reads_the_map_where_the_pixel_lies():
    """A map of its own coordinates gives the coordinates of the pixels in the input."""
    letterbox = Letterbox((50, 90), (1.5, 1.25), (6.5, 20.0, 7.0, 21.0))
    input_hw, stride = (104, 152), 8
    rows = (torch.arange(input_hw[0] // stride) + 0.5) * stride
    columns = (torch.arange(input_hw[1] // stride) + 0.5) * stride
    maps = torch.stack(torch.meshgrid(rows, columns, indexing='ij'))
    found = fm.undo_letterbox(maps, letterbox, input_hw)
    y, x = torch.meshgrid(torch.arange(50) + 0.5, torch.arange(90) + 0.5, indexing='ij')
    wanted = letterbox.to_network(torch.stack([x, y, x, y], dim=-1))
    torch.testing.assert_close(found[0], wanted[..., 1])
    torch.testing.assert_close(found[1], wanted[..., 0])


def test_image_part_leaves_out_the_padding():
    letterbox = Letterbox((32, 64), (1.0, 1.0), (0.0, 16.0, 0.0, 16.0))
    maps = torch.zeros(2, 8, 8)
    maps[1, :2] = maps[1, 6:] = 100.0  # lights up in the padding alone
    maps[0, 3, 3] = 1.0
    inside = fm.image_part(maps, letterbox, (64, 64))
    assert inside.shape == (2, 4, 8)
    assert fm.strongest_channels(maps, 1) == [1]
    assert fm.strongest_channels(inside, 1) == [0]


WHOLE = Letterbox((64, 96), (1.0, 1.0))
IMAGE = np.full((64, 96, 3), 90, dtype=np.uint8)


@pytest.mark.parametrize('reduction', ['squeeze_mean', 'select_max'])
def test_512_channels(reduction):
    """OpenCV 5 takes 128."""
    maps = torch.rand(512, 8, 12, generator=torch.Generator().manual_seed(0))
    picture = fm.MapDrawing(reduction).draw(maps, IMAGE, WHOLE, (64, 96))
    assert picture.shape == IMAGE.shape and picture.std() > 1


@pytest.mark.parametrize(
    ('topk', 'arrangement', 'cells'), [(4, (2, 2), (2, 2)), (3, (3, 1), (3, 1))]
)
def test_topk_of_512_channels(topk, arrangement, cells):
    maps = torch.rand(512, 8, 12, generator=torch.Generator().manual_seed(0))
    picture = fm.MapDrawing(None, topk, arrangement).draw(maps, IMAGE, WHOLE, (64, 96))
    assert picture.shape[0] > cells[0] * 64 and picture.shape[1] > cells[1] * 96


def test_topk_shows_the_strongest(monkeypatch):
    titles = []
    monkeypatch.setattr(fm, 'with_title', lambda image, title: titles.append(title) or image)
    maps = torch.zeros(200, 8, 12)
    maps[170], maps[5], maps[60] = 3.0, 2.0, 1.0
    fm.MapDrawing(None, 3, (2, 2)).draw(maps, IMAGE, WHOLE, (64, 96))
    assert titles == ['channel: 170', 'channel: 5', 'channel: 60']


@pytest.mark.parametrize('channels', [1, 3])
def test_a_map_as_it_is(channels):
    maps = torch.rand(channels, 8, 12)
    assert fm.MapDrawing(None, -1).draw(maps, IMAGE, WHOLE, (64, 96)).shape == IMAGE.shape


def test_a_map_as_it_is_has_one_or_three_channels():
    with pytest.raises(ConfigError, match='this one has 512'):
        fm.MapDrawing(None, -1).draw(torch.rand(512, 8, 12), IMAGE, WHOLE, (64, 96))


@pytest.mark.parametrize(
    'options', [dict(topk=5), dict(topk=2, arrangement=(0, 4)), dict(alpha=1.5), dict(alpha=-1)]
)
def test_options_that_cannot_be(options):
    with pytest.raises(ConfigError):
        fm.MapDrawing(None, **options)


def test_maps_without_numbers_are_drawn():
    for value in (0.0, float('nan'), float('inf')):
        maps = torch.full((2, 8, 12), value)
        assert fm.MapDrawing('squeeze_mean').draw(maps, IMAGE, WHOLE, (64, 96)).shape == IMAGE.shape


def test_normalised():
    heat = fm.normalised(np.array([[-2.0, 1.0], [4.0, np.nan]]))
    np.testing.assert_allclose(heat, [[0, 0.25], [1, 0]])
    assert not fm.normalised(np.full((2, 2), -1.0)).any()
