"""Activation maps of a model that has learned: they lie on what they explain."""

import cv2
import numpy as np
import pytest
import torch

from mmyolo_lite.apis.cam_pictures import CamPictures, CamSettings
from mmyolo_lite.apis.choices import CAM_METHODS, CAM_TARGETS
from mmyolo_lite.apis.model import load_model
from mmyolo_lite.errors import ConfigError
from tests.apis.conftest import make_toy
from tests.tools import journey
from tests.visualization.planted_model import planted

__all__ = ['planted']
pytest.importorskip('pytorch_grad_cam', reason='pip install grad-cam')
DEMO = 'demo/boxam_vis_demo.py'


@pytest.fixture(scope='module')
def model(planted):
    return load_model(planted.config, planted.checkpoint, 'cpu')


@pytest.fixture(scope='module')
def toy_detector(toy_data, tmp_path_factory):
    return make_toy(tmp_path_factory.mktemp('toy_detector'), toy_data, journey.DET)


class Recorded(CamPictures):
    """Keeps what is drawn."""

    def _picture(self, image, heat, found):
        self.drawn.append((heat.copy(), found))
        return super()._picture(image, heat, found)

    def look(self, image):
        self.drawn = []
        self.names = [name for name, _ in self.draw(image)]
        return self.drawn


def look(model, image, method='gradcam', **settings):
    from mmyolo_lite.visualization.cam import CamOptions

    pictures = Recorded(model, CamSettings(options=CamOptions(method), **settings))
    return pictures.look(image), pictures.names


def concentration(heat, mask):
    return heat[mask].mean() / max(heat[~mask].mean(), 1e-9)


@pytest.mark.parametrize('method', CAM_METHODS)
def test_the_map_of_a_planted_mask_lies_inside_it(model, planted, method):
    for number, mask in enumerate(planted.masks):
        drawn, names = look(
            model, cv2.imread(str(planted.image(number))), method, targets=['mask'], topk=1
        )
        assert names == [f'{method}_mask_00_balloon', f'{method}_mask']
        (heat, found), (whole, _) = drawn
        assert float(found.scores[0]) > 0.5, 'the picture is learned'
        assert heat.shape == mask.shape
        assert concentration(heat, mask) > 3, number
        np.testing.assert_array_equal(heat, whole)


@pytest.mark.parametrize('shape', [(260, 420), (301, 190), (151, 149)])
def test_the_map_moves_with_the_object(model, planted, shape):
    """Letterboxed in different ways, the same object is found at its own place."""
    scale = max(shape) / 128  # what the letterbox will shrink by
    patch = cv2.imread(str(planted.image(0)))[16:72, 10:70]
    patch = cv2.resize(patch, None, fx=scale, fy=scale)
    height, width = patch.shape[:2]
    for y, x in ((5, 7), (shape[0] - height - 6, shape[1] - width - 3)):
        image = np.full((*shape, 3), 80, dtype=np.uint8)
        image[y : y + height, x : x + width] = patch
        drawn, _ = look(model, image, targets=['objectness'], topk=1, score_thr=0.01)
        (heat, found), _ = drawn
        top_y, top_x = np.unravel_index(heat.argmax(), heat.shape)
        # strides of the levels are 8, 16 and 32
        stride = 32 * scale
        assert abs(top_y - y - height / 2) <= stride and abs(top_x - x - width / 2) <= stride
        inside = np.zeros_like(heat, dtype=bool)
        inside[y : y + height, x : x + width] = True
        assert concentration(heat, inside) > 2


def test_default_targets_and_names(model, planted):
    image = cv2.imread(str(planted.image(0)))
    _, names = look(model, image, topk=1)
    assert names == [
        'gradcam_objectness_00_balloon',
        'gradcam_objectness',
        'gradcam_mask_00_balloon',
        'gradcam_mask',
    ]


@pytest.mark.parametrize('kind', CAM_TARGETS)
def test_several_layers_are_fused(model, planted, kind):
    image = cv2.imread(str(planted.image(1)))
    names = ['neck.out_layers[0]', 'backbone.stage2', 'backbone.stage4[2].conv2']
    for how in ('mean', 'max'):
        drawn, _ = look(model, image, topk=1, layer_names=names, targets=[kind], fuse=how)
        assert drawn[0][0].max() > 0.5


def test_norm_in_bbox(model, planted):
    image = cv2.imread(str(planted.image(2)))
    drawn, _ = look(model, image, targets=['mask'], topk=1, norm_in_bbox=True)
    heat, found = drawn[0]
    x1, y1, x2, y2 = found.bboxes[0].tolist()
    outside = np.ones_like(heat, dtype=bool)
    outside[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = False
    assert heat.max() == 1 and not heat[outside].any()


def test_a_layer_that_has_no_say(model, planted, capsys):
    """The finest level does not hang on the coarsest output of the neck."""
    image = cv2.imread(str(planted.image(0)))
    drawn, _ = look(
        model,
        image,
        targets=['objectness'],
        topk=1,
        layer_names=['bbox_head.head_module.proto_pred'],
    )
    assert not drawn[0][0].any()
    assert 'note: instance 0: nothing in bbox_head' in capsys.readouterr().err


def test_parameters_and_results_stay(model, planted):
    image = cv2.imread(str(planted.image(3)))
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    look(model, image, 'ablationcam', topk=1, targets=['mask'])
    for key, value in model.network.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(parameter.grad is None for parameter in model.network.parameters())


@pytest.mark.parametrize(
    ('settings', 'text'),
    [
        (dict(layer_names=['neck.out']), 'nearest'),
        (dict(targets=['masks']), "'masks' is unknown"),
        (dict(topk=0), '--topk is 0'),
        (dict(layer_names=['neck']), 'gives 3 maps'),
        (dict(layer_names=['neck.out_layers']), 'ModuleList'),
        (dict(layer_names=['data_preprocessor']), 'no map'),
    ],
)
def test_settings_that_cannot_be(model, planted, settings, text):
    with pytest.raises(ConfigError, match=text):
        look(model, cv2.imread(str(planted.image(0))), **settings)


def test_command_line(tools, planted, tmp_path):
    """A folder, one of whose files is broken, with a class of its own in the name."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    (folder / 'good.png').write_bytes(planted.image(0).read_bytes())
    (folder / 'broken.jpg').write_text('no image')
    done = tools.run(
        tmp_path, DEMO, folder, planted.config, planted.checkpoint, '--method', 'layercam',
        '--target', 'class', 'mask', '--topk', '1', '--out-dir', 'out', '--device', 'cpu',
        '--target-layers', 'neck.out_layers[0]', 'neck.out_layers[1]', '--max-shape', '20', '10',
    )  # fmt: skip
    assert done.code == 1 and 'Traceback' not in done.err, done.err
    assert '1 of 2 images could not be read' in done.err.splitlines()[-1]
    assert 'class logit of a model with one class' in done.err
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'good_layercam_class.jpg',
        'good_layercam_class_00_balloon.jpg',
        'good_layercam_mask.jpg',
        'good_layercam_mask_00_balloon.jpg',
    ]
    assert cv2.imread(str(tmp_path / 'out/good_layercam_mask.jpg')).shape == (128, 128, 3)


def test_masks_of_a_detector(tools, toy_detector, tmp_path):
    done = tools.run(
        tmp_path, DEMO, toy_detector.images, toy_detector.config, toy_detector.checkpoint,
        '--target', 'mask', '--device', 'cpu',
    )  # fmt: skip
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith('error: ') and 'predicts boxes alone' in line


def test_boxes_of_a_detector(tools, toy_detector, tmp_path):
    image = sorted(toy_detector.images.iterdir())[0]
    done = tools.run(
        tmp_path, DEMO, image, toy_detector.config, toy_detector.checkpoint, '--topk', '2',
        '--score-thr', '0.01', '--device', 'cpu', '--target', 'objectness', 'box',
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.strip().endswith('6 pictures in output')
