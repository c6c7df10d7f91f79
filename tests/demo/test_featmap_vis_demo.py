"""Feature maps from the command line."""

import cv2
import numpy as np
import pytest
import torch

from mmyolo_lite.apis import look_inside
from mmyolo_lite.apis.media import sources
from mmyolo_lite.apis.model import load_model
from mmyolo_lite.errors import DataError
from mmyolo_lite.visualization.layers import find_layers
from tests.visualization.planted_model import planted

__all__ = ['planted']
DEMO = 'demo/featmap_vis_demo.py'
STRETCH = """
_base_ = {base!r}
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=(128, 128), keep_ratio=False),
    dict(type='LoadAnnotations', with_bbox=True, _scope_='mmdet'),
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline, batch_shapes_cfg=None))
"""


def run(tools, folder, toy, image, *options):
    return tools.run(folder, DEMO, image, toy.config, toy.checkpoint, '--device', 'cpu', *options)


def assert_one_line(done, *parts):
    assert done.code == 1, done.out + done.err
    assert 'Traceback' not in done.err, done.err
    last = done.err.splitlines()[-1]
    assert last.startswith('error: ') and done.err.count('error: ') == 1, done.err
    for part in parts:
        assert part in last


def first_image(toy):
    return sorted(toy.images.glob('*.jpg'))[0]


def test_one_picture_for_each_level(tools, toy, tmp_path):
    image = first_image(toy)
    done = run(
        tools, tmp_path, toy, image, '--target-layers', 'backbone', 'neck', 'backbone.stage2[1]',
        '--channel-reduction', 'squeeze_mean', '--score-thr', '0.9',
    )  # fmt: skip
    assert done.code == 0, done.err
    names = sorted(path.name for path in (tmp_path / 'output').iterdir())
    levels = ['0_stride8', '1_stride16', '2_stride32']
    assert names == sorted(
        [f'{image.stem}_{layer}_{level}.jpg' for layer in ('backbone', 'neck') for level in levels]
        + [f'{image.stem}_backbone.stage2_1_stride8.jpg']
    )
    for name in names:
        assert cv2.imread(str(tmp_path / 'output' / name)).shape == cv2.imread(str(image)).shape


def test_a_pipeline_without_letterbox(tools, toy, tmp_path):
    config = tmp_path / 'stretch.py'
    config.write_text(STRETCH.format(base=str(toy.config)))
    done = tools.run(tmp_path, DEMO, first_image(toy), config, toy.checkpoint, '--device', 'cpu')
    assert done.code == 0, done.err
    assert len(list((tmp_path / 'output').iterdir())) == 3


@pytest.mark.parametrize('shape', [(200, 520), (431, 190), (233, 241)])
def test_a_trained_network_sees_a_square_where_it_is(planted, shape):
    """Maps of its first layers change where an image does, and as far around on each side."""
    from mmyolo_lite.apis.look_inside import network_input
    from mmyolo_lite.visualization.feature_maps import undo_letterbox
    from mmyolo_lite.visualization.layers import recorded_outputs

    model = load_model(planted.config, planted.checkpoint, 'cpu')
    layers = find_layers(
        model.network, ['backbone.stem', 'backbone.stage1[0]', 'backbone.stage2[0]']
    )

    def maps_of(image):
        given = network_input(model, image)
        with recorded_outputs(layers) as found, torch.no_grad():
            model.network.extract_feat(given.inputs)
        return given, [maps[0][0] for maps in found.values()]

    plain = np.full((*shape, 3), 90, dtype=np.uint8)
    side = round(max(shape) / 8)
    for part_y, part_x in ((0.2, 0.7), (0.75, 0.2)):
        y, x = round(shape[0] * part_y), round(shape[1] * part_x)
        marked = plain.copy()
        marked[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2] = 255
        given, with_square = maps_of(marked)
        _, without = maps_of(plain)
        for one, other in zip(with_square, without, strict=True):
            change = (one - other).abs().mean(dim=0, keepdim=True)
            stride = given.input_hw[0] / change.shape[-2] / min(given.letterbox.scale_wh)
            heat = undo_letterbox(change, given.letterbox, given.input_hw)[0].numpy()
            rows, columns = np.nonzero(heat > heat.max() / 10)
            assert abs((rows.min() + rows.max()) / 2 - y) <= stride
            assert abs((columns.min() + columns.max()) / 2 - x) <= stride


def test_topk(tools, toy, tmp_path):
    image = first_image(toy)
    done = run(
        tools, tmp_path, toy, image, '--topk', '2', '--arrangement', '1', '2', '--target-layers',
        'neck.out_layers[2]',
    )  # fmt: skip
    assert done.code == 0, done.err
    (path,) = (tmp_path / 'output').iterdir()
    assert cv2.imread(str(path)).shape[1] > 2 * cv2.imread(str(image)).shape[1]


def test_preview_model(tools, toy, tmp_path):
    done = run(tools, tmp_path, toy, 'no_such.jpg', '--preview-model')
    assert done.code == 0 and '(out_layers): ModuleList' in done.out
    assert not (tmp_path / 'output').exists()
    network = load_model(toy.config, toy.checkpoint, 'cpu').network
    examples = done.out.split('Name layers as in ')[1].strip().rstrip('.').split(' or ')
    assert len(find_layers(network, examples)) == 2


def test_a_broken_image_in_a_folder(tools, toy, tmp_path):
    folder = tmp_path / 'photos'
    (folder / 'deep').mkdir(parents=True)
    content = first_image(toy).read_bytes()
    (folder / 'deep/a.jpg').write_bytes(content)
    (folder / 'a.jpg').write_bytes(content)
    (folder / 'a.jpeg').write_bytes(content)
    (folder / 'text.jpg').write_text('no image')
    done = run(tools, tmp_path, toy, folder, '--target-layers', 'backbone.stem')
    assert_one_line(done, '1 of 4 images could not be read')
    assert 'text.jpg' in done.err
    written = sorted(str(path.relative_to(tmp_path / 'output')) for path in
                     (tmp_path / 'output').rglob('*.jpg'))  # fmt: skip
    assert len(written) == 3 and written[-1] == 'deep/a_backbone.stem_stride2.jpg'


@pytest.mark.parametrize(
    ('options', 'parts'),
    [
        (('--target-layers', 'neck.out_layer[2]'), ('neck.out_layers[2]',)),
        (('--target-layers', 'neck.out_layers'), ('neck.out_layers[0]',)),
        (('--target-layers', "__import__('os')"), ()),
        (('--topk', '-1'), ('--topk',)),
        (('--topk', '9'), ('--arrangement 5 2',)),
        (('--alpha', '2'), ('alpha',)),
        (('--score-thr', '3'), ('--score-thr',)),
        (('--device', 'cuda:77'), ('device',)),
        (('--out-dir', 'a_file'), ('a_file', 'it is a file')),
    ],
)
def test_options_that_cannot_be(tools, toy, tmp_path, options, parts):
    (tmp_path / 'a_file').write_text('')
    assert_one_line(run(tools, tmp_path, toy, first_image(toy), *options), *parts)


def test_images_that_are_not_there(tools, toy, tmp_path):
    assert_one_line(run(tools, tmp_path, toy, 'no_such.jpg'), 'no_such.jpg')
    (tmp_path / 'empty').mkdir()
    assert_one_line(run(tools, tmp_path, toy, 'empty'), 'no image')
    (tmp_path / 'text.jpg').write_text('no image')
    done = run(tools, tmp_path, toy, 'text.jpg')
    assert_one_line(done, 'text.jpg')
    assert done.out == ''


def test_failures_count_when_the_user_ends_the_work(toy, tmp_path, monkeypatch, capsys):
    (tmp_path / 'a.jpg').write_text('no image')
    images = [*sources(tmp_path / 'a.jpg'), *sources(first_image(toy)), *sources(first_image(toy))]
    monkeypatch.setattr(look_inside, 'shows_end', lambda *_: True)
    with pytest.raises(DataError, match='1 of 3 images could not be read; the work was ended'):
        look_inside.deliver_pictures(
            images,
            load_model(toy.config, toy.checkpoint, 'cpu').read,
            lambda image, _: iter([('one', image), ('two', image)]),
            tmp_path / 'out',
            show=True,
        )
    assert len(list((tmp_path / 'out').iterdir())) == 1
    assert capsys.readouterr().out.startswith('1 pictures in ')
