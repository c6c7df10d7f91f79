"""The loss over a fixed number of candidates, for accelerators, is the loss over the positives."""

from typing import Any

import pytest
import torch

from tests.models.tiny import INPUT_HW, detector
from tests.ops.host_waits import host_waits

IMAGES = 3


def batch(kind: str, objects: int, overlap: bool = True) -> dict[str, Any]:
    """Return a training batch; some boxes end at the border, some centres lie between cells."""
    generator = torch.Generator().manual_seed(objects)
    height, width = INPUT_HW
    sides = 6 + 50 * torch.rand((objects, 2), generator=generator)
    corners = torch.rand((objects, 2), generator=generator) * torch.tensor((width, height))
    boxes = torch.cat((corners, corners + sides), dim=1)
    boxes[1::3] = (boxes[1::3] / 16).round() * 16
    boxes[1::3, 2:] += 16
    image = (torch.arange(objects) * 2 // max(objects, 1) * 2)[:, None]  # the second has none
    labels = torch.arange(objects)[:, None] % 3
    found = {
        'bboxes_labels': torch.cat((image, labels, boxes), dim=1),
        'img_metas': [{'batch_input_shape': INPUT_HW}] * IMAGES,
    }
    if kind == 'ins':
        size, count = (height // 4, width // 4), IMAGES if overlap else objects
        found['masks'] = torch.randint(0, 9 if overlap else 2, (count, *size), generator=generator)
    return found


def losses_and_gradients(
    model: Any, data: dict[str, Any], padded: bool
) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
    model.bbox_head.padded_positives = padded
    generator = torch.Generator().manual_seed(0)
    features = [
        torch.randn((IMAGES, channels, *(side // stride for side in INPUT_HW)), generator=generator)
        for channels, stride in ((32, 8), (64, 16), (128, 32))
    ]
    losses = model.bbox_head.loss(features, data)
    gradients = torch.autograd.grad(
        sum(losses.values()), list(model.bbox_head.parameters()), allow_unused=True
    )
    assert all(gradient is not None for gradient in gradients)
    return losses, list(gradients)


CASES = [
    ('ins', 20, {}),
    ('ins', 20, {'mask_overlap': False}),
    ('ins', 20, {'near_neighbor_thr': 0.8}),
    ('ins', 1, {}),
    ('ins', 0, {}),
    ('ins', 0, {'mask_overlap': False}),
    ('ins', 20, {'prior_match_thr': 1.0}),  # nothing matches
    ('det', 20, {}),
    ('det', 20, {'num_classes': 1}),
    ('det', 20, {'ignore_iof_thr': 0.5}),
]


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(('kind', 'objects', 'settings'), CASES)
def test_equal_losses_and_gradients(kind: str, objects: int, settings: dict[str, Any]) -> None:
    model = detector(kind, **settings).train()
    data = batch(kind, objects, settings.get('mask_overlap', True))
    if 'ignore_iof_thr' in settings:
        data['ignored'] = torch.tensor([[0, 0, 0.0, 0, 40, 40], [2, 0, 30.0, 10, 90, 60]])
    losses, gradients = losses_and_gradients(model, data, padded=False)
    padded_losses, padded_gradients = losses_and_gradients(model, data, padded=True)
    assert set(losses) == set(padded_losses)
    matches = objects > 1 and 'prior_match_thr' not in settings
    for name, value in losses.items():
        assert not matches or settings.get('num_classes') == 1 or value > 0, name
        torch.testing.assert_close(padded_losses[name], value, rtol=1e-6, atol=1e-7, msg=name)
    for one, other in zip(padded_gradients, gradients, strict=True):
        assert float((one - other).norm()) <= 2e-6 * float(other.norm()) + 1e-7


@pytest.mark.parametrize('kind', ['det', 'ins'])
def test_forward_and_loss_make_no_host_wait(kind: str) -> None:
    model = detector(kind, ignore_iof_thr=0.5).train()
    model.bbox_head.padded_positives = True
    data = batch(kind, 20)
    data['ignored'] = torch.tensor([[0, 0, 0.0, 0, 40, 40]])
    model.bbox_head.priors.levels([(8, 12), (4, 6), (2, 3)], torch.float32, torch.device('cpu'))
    pictures = torch.rand(IMAGES, 3, *INPUT_HW)

    def step() -> None:
        sum(model(pictures, data, mode='loss').values()).backward()

    assert host_waits(step) == []
    model.bbox_head.padded_positives = False
    assert host_waits(step) != []


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_cuda_never_waits_and_gives_the_losses_of_the_cpu() -> None:
    model = detector('ins').train()
    data, pictures = batch('ins', 20), torch.rand(IMAGES, 3, *INPUT_HW)
    expected = model(pictures, data, mode='loss')
    model.cuda()
    pictures = pictures.cuda()
    data = {k: v.cuda() if isinstance(v, torch.Tensor) else v for k, v in data.items()}
    torch.cuda.set_sync_debug_mode('error')
    try:
        found = model(pictures, data, mode='loss')
        sum(found.values()).backward()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    for name, value in expected.items():
        torch.testing.assert_close(found[name].cpu(), value, rtol=1e-2, atol=1e-3, msg=name)
