"""The exported module gives the detections of the head."""

import pytest
import torch

from mmyolo_lite.apis.model import load_model
from mmyolo_lite.deploy.graph import (
    NO_LABEL,
    DecodedNetwork,
    FinalNetwork,
    Suppression,
    cropped_masks,
    select_by_torchvision,
    switch_to_deploy,
)
from mmyolo_lite.ops.masks import MaskSettings, paste_masks


@pytest.fixture(scope='module')
def network(toy):
    return load_model(toy.config, toy.checkpoint, 'cpu').network


@pytest.fixture(scope='module')
def images():
    return torch.rand((3, 3, 128, 96), generator=torch.Generator().manual_seed(3))


def final(network, settings, input_hw=None):
    return FinalNetwork(DecodedNetwork(network, input_hw), settings, select_by_torchvision).eval()


def test_folded_batch_norms_change_nothing_but_digits(toy, images):
    network = load_model(toy.config, toy.checkpoint, 'cpu').network
    with torch.no_grad():
        wanted = DecodedNetwork(network)(images)
        assert switch_to_deploy(network) is network
        found = DecodedNetwork(network)(images)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules())
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize('fixed', [False, True])
@pytest.mark.parametrize('most', [7, 300])
def test_detections_are_those_of_the_head(network, images, most, fixed):
    cfg = dict(
        network.bbox_head.test_cfg, score_thr=0.01, max_per_img=most, nms=dict(iou_threshold=0.5)
    )
    meta = dict(ori_shape=(128, 96), batch_input_shape=(128, 96), img_shape=(128, 96))
    with torch.no_grad():
        maps = network.bbox_head(network.extract_feat(images))
        wanted = network.bbox_head.predict_by_feat(maps, [meta] * 3, cfg, rescale=False)
        found = final(network, Suppression(0.01, 0.5, most, 0), (128, 96) if fixed else None)(
            images
        )
    boxes, scores, labels, num_dets, masks = found
    assert num_dets.tolist() == [len(one) for one in wanted]
    assert boxes.shape[1] == max(map(len, wanted)) <= most
    for number, one in enumerate(wanted):
        count = len(one)
        torch.testing.assert_close(scores[number, :count], one.scores)
        assert labels[number, :count].tolist() == one.labels.tolist()
        assert (labels[number, count:] == NO_LABEL).all()
        assert not masks[number, count:].any() and not boxes[number, count:].any()
        limit = torch.tensor([96.0, 128, 96, 128])
        clipped = torch.minimum(boxes[number, :count].clamp(min=0), limit)
        torch.testing.assert_close(clipped, one.bboxes, atol=1e-3, rtol=1e-5)


def test_no_detection_leaves_one_empty_row(network, images):
    with torch.no_grad():
        boxes, scores, labels, num_dets, masks = final(network, Suppression(0.999, 0.5, 300))(
            images
        )
    assert num_dets.tolist() == [0, 0, 0]
    assert boxes.shape == (3, 1, 4) and not boxes.any() and not scores.any()
    assert masks.shape == (3, 1, 32, 24) and not masks.any()
    assert (labels == NO_LABEL).all()


def test_one_class_a_prior(detector):
    network = load_model(detector.config, detector.checkpoint, 'cpu').network
    decoded = torch.zeros((1, 2, 4)), torch.tensor([[[0.5, 0.9, 0.7], [0.2, 0.1, 0.0]]])
    network = final(network, Suppression(0.15, 0.5, 9, multi_label=False))
    scores = network._candidates(*decoded)
    assert (scores[0] > 0.15).nonzero().tolist() == [[0, 1], [1, 0]]


def test_what_the_crop_leaves_gives_the_exact_masks():
    """Interpolated and cut at the box, cropped prototypes give the bits of whole ones."""
    random = torch.Generator().manual_seed(0)
    prototypes = torch.randn((1, 8, 20, 24), generator=random)
    coefficients = torch.randn((1, 200, 8), generator=random)
    corners = torch.rand((1, 200, 2), generator=random) * torch.tensor([110.0, 90]) - 8
    sides = torch.rand((1, 200, 2), generator=random) * 40
    boxes = torch.cat((corners, corners + sides), dim=2)
    boxes[0, :20] = boxes[0, :20].round()
    valid = torch.ones((1, 200), dtype=torch.bool)
    masks = cropped_masks(coefficients, prototypes, boxes, valid, (80, 96))[0]
    assert (masks > 0).float().mean() < 0.5
    settings = MaskSettings((80, 96), None)
    wanted = paste_masks(coefficients[0], prototypes[0], boxes[0], settings)
    logits = torch.logit(masks.double().clamp(1e-9, 1 - 1e-7)).float()
    for number in range(200):  # each mask as the only prototype
        one = paste_masks(
            torch.ones((1, 1)), logits[number][None], boxes[0, number : number + 1], settings
        )
        differing = (one[0] != wanted[number]).sum()
        assert differing <= 1, (number, boxes[0, number], differing)
