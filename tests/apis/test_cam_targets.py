"""Where instances come from, and the scalars that explain them."""

import pytest
import torch

from mmyolo_lite.apis import cam_targets
from mmyolo_lite.models.heads.head_modules import flatten_levels
from tests.models import tiny

PRIORS = 3


@pytest.fixture(scope='module')
def network():
    return tiny.detector('ins').eval()


@pytest.fixture(scope='module')
def image():
    return tiny.images(1).float() / 255


@pytest.fixture(scope='module')
def maps(network, image):
    with torch.no_grad():
        return network.bbox_head(network.extract_feat(image))


def metas():
    height, width = tiny.INPUT_HW
    return [
        dict(
            ori_shape=(height, width),
            img_shape=(height, width),
            batch_input_shape=(height, width),
            scale_factor=(1.0, 1.0),
        )
    ]


def test_the_prior_of_each_detection_is_known(network, maps):
    """The prior's own numbers give the detection's score, and all else stays as without."""
    cfg = dict(network.bbox_head.test_cfg)
    (plain,) = network.bbox_head.predict_by_feat(maps, metas(), cfg)
    (found,) = network.bbox_head.predict_by_feat(maps, metas(), {**cfg, 'with_priors': True})
    assert set(found.keys()) == {*plain.keys(), 'priors'} and len(found) > 5
    assert torch.equal(found.scores, plain.scores) and torch.equal(found.bboxes, plain.bboxes)
    classes = flatten_levels(maps[0], PRIORS)[0].sigmoid()
    objectness = flatten_levels(maps[2], PRIORS)[0].sigmoid()
    scores = (classes * objectness)[found.priors, found.labels]
    torch.testing.assert_close(scores, found.scores)


def test_level_of(maps):
    sizes = [part[0, 0].numel() * PRIORS for part in maps[0]]
    first = [0, sizes[0], sizes[0] + sizes[1]]
    for level, start in enumerate(first):
        assert cam_targets.level_of(start, maps[0], PRIORS) == level
        assert cam_targets.level_of(start + sizes[level] - 1, maps[0], PRIORS) == level
    with pytest.raises(IndexError):
        cam_targets.level_of(sum(sizes), maps[0], PRIORS)


def test_mask_pixels():
    prototypes = torch.tensor([[[1.0, 1, -1, 1], [1, -1, 1, 1]], [[0, 0, 0, 0], [0, 5, 0, 0]]])
    box = torch.tensor([0.0, 0, 3, 2])
    found = cam_targets.mask_pixels(torch.tensor([1.0, 1.0]), prototypes, box)
    assert found.tolist() == [0, 1, 4, 5, 6]
    nothing = cam_targets.mask_pixels(torch.tensor([0.0, -1.0]), prototypes, box)
    assert nothing.tolist() == [0, 1, 2, 4, 5, 6], 'all of the box'


@pytest.mark.parametrize('prior', [0, 17, 300, 371])
def test_targets_are_the_logits_of_the_prior(maps, prior):
    pixels = torch.tensor([3, 40, 77])
    level = cam_targets.level_of(prior, maps[0], PRIORS)
    origin = cam_targets.Origin(prior, level, 2, PRIORS, pixels)
    classes, boxes, objectness, coefficients = (
        flatten_levels(part, PRIORS)[0, prior] for part in maps[:4]
    )
    wanted = {
        'class': classes[2],
        'objectness': objectness[0],
        'box': boxes.square().sum() / 2,
        'mask': (coefficients @ maps[4][0].flatten(1))[pixels].sum(),
    }
    for kind, value in wanted.items():
        torch.testing.assert_close(cam_targets.target_of(kind, origin)(list(maps)), value)


@pytest.mark.parametrize(
    ('start', 'keep'),
    [('backbone', False), ('neck', False), ('out_layers', False), ('out_layers', True)],
)
def test_raw_head_gives_the_maps_of_the_network(network, image, maps, start, keep):
    raw = cam_targets.RawHead(network, image, start, keep)
    with torch.no_grad():
        both = raw(image.expand(2, -1, -1, -1))
    assert len(both) == 2
    for one in both:
        for found, wanted in zip(one, maps, strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
