"""Activation maps show what a target hangs on."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from mmyolo_lite.apis.choices import CAM_METHODS
from mmyolo_lite.errors import ConfigError, DependencyError
from mmyolo_lite.visualization import cam

needs_grad_cam = pytest.fixture(lambda: pytest.importorskip('pytorch_grad_cam'))
# its import and that of what it brings
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning', 'ignore::FutureWarning')


def target(output):
    return output


class Bright(nn.Module):
    """The output is how much a bright square exceeds a background that other channels see."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 6, 4, stride=4)
        self.rest = nn.SiLU(inplace=True)
        torch.manual_seed(0)
        nn.init.uniform_(self.layer.weight, 0.05, 0.1)
        nn.init.zeros_(self.layer.bias)
        self.layer.weight.data[3:] *= -1
        self.out = torch.tensor([1.0, 0.5, 2.0, -0.5, -1.0, -0.2])

    def forward(self, images):
        maps = self.rest(self.layer(images))
        return list((maps * self.out[:, None, None]).sum(dim=(1, 2, 3)))


def with_square():
    image = torch.zeros(1, 3, 48, 64)
    image[..., 8:24, 32:48] = 1
    return image.requires_grad_()


@pytest.mark.usefixtures('needs_grad_cam')
@pytest.mark.parametrize('method', CAM_METHODS)
def test_a_square_is_found(method):
    """Behind the layer an activation works in place."""
    model = Bright()
    options = cam.CamOptions(method, batch_size=4)
    first, second = cam.activation_maps(model, with_square(), model.layer, [target] * 2, options)
    assert first.shape == (48, 64) and first.dtype == np.float32
    np.testing.assert_array_equal(first, second)
    assert first.max() == 1 and first.min() == 0
    inside = np.zeros_like(first, dtype=bool)
    inside[8:24, 32:48] = True
    assert first[inside].mean() > 3 * first[~inside].mean()
    assert not model.layer._forward_hooks


@pytest.mark.usefixtures('needs_grad_cam')
def test_max_shape_shrinks(monkeypatch):
    shapes = []
    real = cam.principal_map
    monkeypatch.setattr(cam, 'principal_map', lambda a: shapes.append(a.shape) or real(a))
    model = Bright()
    options = cam.CamOptions('eigengradcam', cam.max_shape_hw([8]))
    (heat,) = cam.activation_maps(model, with_square(), model.layer, [target], options)
    assert shapes == [(6, 8, 8)] and heat.shape == (48, 64)


def test_ablation_is_the_drop():
    model = Bright()
    seen = []
    model.register_forward_pre_hook(lambda module, images: seen.append(len(images[0])))
    with torch.no_grad():
        maps = model.rest(model.layer(with_square()))
        wanted = (maps * model.out[:, None, None]).sum(dim=(0, 2, 3)).numpy()
    twice = lambda output: 2 * output  # noqa: E731
    drops = cam.ablation_drops(model, with_square(), model.rest, [target, twice], 4)
    np.testing.assert_allclose(drops, [wanted, 2 * wanted], rtol=1e-4, atol=1e-5)
    assert seen == [1, 4, 2], 'no more than the batch at a time'


def test_principal_map_is_that_of_a_decomposition():
    activations = np.random.default_rng(0).normal(size=(5, 6, 7))
    activations[:, 2, 3] += 9
    rows = activations.reshape(5, -1).T
    rows = rows - rows.mean(axis=0)
    _, _, vectors = np.linalg.svd(rows, full_matrices=False)
    wanted = (rows @ vectors[0]).reshape(6, 7)
    found = cam.principal_map(activations)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-5)
    assert found.argmax() == 2 * 7 + 3


@pytest.mark.usefixtures('needs_grad_cam')
def test_padding_is_not_what_stands_out():
    """Padding brighter than the object takes the principal component of the whole input."""
    model = Bright()
    image = with_square().detach()
    image[:, :, 36:] = 3
    options = cam.CamOptions('eigencam')
    (whole,) = cam.activation_maps(model, image.requires_grad_(), model.layer, [target], options)
    (part,) = cam.activation_maps(
        model, image, model.layer, [target], options, (0.0, 0.0, 1.0, 0.75)
    )
    assert whole[40:].mean() > 0.9 and not part[40:].any()
    assert part[10:22, 34:46].mean() > 0.9


def test_fuse():
    one, other = np.float32([[1, 0, 0]]), np.float32([[0.5, 0.5, 0]])
    np.testing.assert_allclose(cam.fuse([one, other]), [[1, 1 / 3, 0]])
    np.testing.assert_allclose(cam.fuse([one, other], 'max'), [[1, 0.5, 0]])
    assert not cam.fuse([one * 0]).any()


@pytest.mark.parametrize('box', [(2.5, 1, 5.2, 3), (-9, -9, 4, 4), (3, 2, 3, 2), (90, 90, 99, 99)])
def test_normalised_in_box(box):
    heat = np.random.default_rng(0).random((6, 8)).astype(np.float32)
    found = cam.normalised_in_box(heat, box)
    inside = np.zeros_like(heat, dtype=bool)
    left, top = (max(int(np.floor(v)), 0) for v in box[:2])
    inside[top : max(int(np.ceil(box[3])), 0), left : max(int(np.ceil(box[2])), 0)] = True
    assert not found[~inside].any()
    if inside.any():
        assert found.max() == 1 and found[inside].min() == 0


def test_options_that_cannot_be():
    with pytest.raises(ConfigError, match='scorecam.*gradcam'):
        cam.CamOptions('scorecam')
    for sides in ([0], [1, 2, 3], [-2], [4, -1]):
        with pytest.raises(ConfigError, match='--max-shape'):
            cam.max_shape_hw(sides)
    assert cam.max_shape_hw([20, 10]) == (10, 20)


def test_without_grad_cam(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
    with pytest.raises(DependencyError, match='pip install grad-cam'):
        cam.CamOptions('gradcam')
