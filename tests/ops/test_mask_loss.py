"""The two ways of the mask loss agree with each other and with plain readings of the formula."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmyolo_lite.ops import mask_loss
from mmyolo_lite.ops.assign import Positives, assign_levels
from mmyolo_lite.ops.mask_loss import (
    TargetMasks,
    mask_loss_per_candidate,
    mask_loss_per_positive,
    mask_references,
    resize_target_masks,
)
from tests.ops.host_waits import host_waits
from tests.ops.plain_mask_loss import plain_mask_terms

IMAGES, CHANNELS, HEIGHT, WIDTH = 3, 4, 20, 24
# cxcywh, units of the input; image 1 has no object, two boxes reach beyond the border, one is a
# sliver
OBJECTS = [
    (0, 0.3, 0.4, 0.3, 0.3),
    (0, 0.95, 0.1, 0.4, 0.5),
    (0, 0.35, 0.45, 0.2, 0.2),
    (2, 0.02, 0.98, 0.3, 0.4),
    (2, 0.5, 0.5, 0.6, 0.02),
]


def pixel_loss(logits: Tensor, truth: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, truth, reduction='none')


def scene(overlap: bool, positives: int = 23) -> dict[str, Any]:
    """Return the arguments of the loss for a batch of three images."""
    generator = torch.Generator().manual_seed(3)
    rows = [(image, 0, *box) for image, *box in OBJECTS]
    targets = torch.tensor(rows)
    if overlap:
        masks = torch.randint(0, 4, (IMAGES, HEIGHT, WIDTH), generator=generator, dtype=torch.uint8)
    else:
        masks = torch.randint(
            0, 2, (len(rows), HEIGHT, WIDTH), generator=generator, dtype=torch.uint8
        )
    return {
        'coefficients': torch.randn((positives, CHANNELS), generator=generator, requires_grad=True),
        'prototypes': torch.randn(
            (IMAGES, CHANNELS, HEIGHT, WIDTH), generator=generator, requires_grad=True
        ),
        'masks': masks,
        'targets': targets,
        'target_index': torch.randint(0, len(rows), (positives,), generator=generator),
        'overlap': overlap,
        'pixel_loss': pixel_loss,
    }


def plain(
    coefficients: Tensor,
    prototypes: Tensor,
    masks: Tensor,
    targets: Tensor,
    target_index: Tensor,
    overlap: bool,
    **_: Any,
) -> Tensor:
    """Compute what spec: loss.md 5 says, positive by positive over the whole map."""
    in_image = {
        row: 1 + sum(int(targets[k, 0]) == int(targets[row, 0]) for k in range(row))
        for row in range(len(targets))
    }
    values = []
    for coefficient, row in zip(coefficients, target_index.tolist(), strict=True):
        image, _, cx, cy, w, h = targets[row].tolist()
        logits = (coefficient[:, None, None] * prototypes[int(image)]).sum(0)
        truth = (masks[int(image)] == in_image[row]) if overlap else masks[row]
        loss = pixel_loss(logits, truth.float())
        x1, x2, y1, y2 = (
            (cx - w / 2) * WIDTH,
            (cx + w / 2) * WIDTH,
            (cy - h / 2) * HEIGHT,
            (cy + h / 2) * HEIGHT,
        )
        j, i = torch.arange(WIDTH), torch.arange(HEIGHT)[:, None]
        values.append((loss * ((j >= x1) & (j < x2) & (i >= y1) & (i < y2))).mean() / (w * h))
    return torch.stack(values)


def per_positive(
    *,
    coefficients: Tensor,
    prototypes: Tensor,
    target_index: Tensor,
    pixel_loss: Any,
    **wanted: Any,
) -> Tensor:
    return mask_loss_per_positive(
        coefficients, prototypes, target_index, TargetMasks(**wanted), pixel_loss
    )


def per_candidate(
    *,
    coefficients: Tensor,
    prototypes: Tensor,
    target_index: Tensor,
    pixel_loss: Any,
    **wanted: Any,
) -> Tensor:
    """Offer each positive as a candidate of every object, and take it from its own."""
    candidates = coefficients.expand(len(wanted['targets']), *coefficients.shape)
    values = mask_loss_per_candidate(candidates, prototypes, TargetMasks(**wanted), pixel_loss)
    return values[target_index, torch.arange(len(target_index))]


WAYS = [per_positive, per_candidate]


def values_and_gradients(way: Any, arguments: dict[str, Any]) -> list[Tensor]:
    values = way(**arguments)
    weights = torch.linspace(1, 2, len(values))
    return [
        values,
        *torch.autograd.grad(
            (values * weights).sum(), (arguments['coefficients'], arguments['prototypes'])
        ),
    ]


@pytest.mark.parametrize('overlap', [True, False])
@pytest.mark.parametrize('chunk_pixels', [1, 3 * HEIGHT * WIDTH, 2**25])
@pytest.mark.parametrize('way', WAYS)
def test_equal_to_the_formula(
    way: Any, overlap: bool, chunk_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_loss, 'MAX_CHUNK_PIXELS', chunk_pixels)
    arguments = scene(overlap)
    expected = values_and_gradients(plain, arguments)
    for one, other in zip(values_and_gradients(way, arguments), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def crowd(overlap: bool) -> tuple[list[Positives], dict[str, Any]]:
    """Return the positives of two levels of a crowded batch, and the arguments of the loss."""
    generator = torch.Generator().manual_seed(7)
    count = 24
    images = torch.arange(count, dtype=torch.float)[:, None].mul(2 / count).floor() * 2
    centres = torch.rand((count, 2), generator=generator)
    sides = 0.05 + 0.4 * torch.rand((count, 2), generator=generator)
    targets = torch.cat((images, torch.zeros(count, 1), centres, sides), dim=1)
    anchors = torch.tensor([[[2.0, 2.0], [4.0, 3.0]], [[1.0, 1.0], [2.0, 2.5]]])
    found = assign_levels(targets, anchors, [(10, 12), (5, 6)])
    index = torch.cat([level.target for level in found])
    arguments = scene(overlap, positives=len(index))
    masks = torch.randint(0, 12 if overlap else 2, (count, HEIGHT, WIDTH), generator=generator)
    masks = masks[:IMAGES] if overlap else masks
    return found, {**arguments, 'targets': targets, 'target_index': index, 'masks': masks.byte()}


@pytest.mark.parametrize('overlap', [True, False])
def test_means_of_levels_and_images_are_those_of_the_plain_loop(overlap: bool) -> None:
    found, arguments = crowd(overlap)
    sizes = [len(level) for level in found]
    assert min(sizes) > 20
    inputs = arguments['coefficients'], arguments['prototypes']
    expected = plain_mask_terms(
        inputs[0].split(sizes), inputs[1], found, arguments['masks'], arguments['targets'], overlap
    )
    terms = [
        values[level.image == image].mean() if (level.image == image).any() else torch.zeros(())
        for level, values in zip(found, per_positive(**arguments).split(sizes), strict=True)
        for image in range(IMAGES)
    ]
    torch.testing.assert_close(torch.stack(terms), expected.flatten(), rtol=1e-6, atol=0)
    gradients, plain_gradients = (
        torch.autograd.grad(total, inputs) for total in (sum(terms), expected.sum())
    )
    for one, other in zip(gradients, plain_gradients, strict=True):
        assert float((one - other).norm()) <= 1e-6 * float(other.norm())


@pytest.mark.parametrize(
    ('way', 'chunk_pixels'), [(per_positive, 700), (per_candidate, 3 * 44 * HEIGHT * WIDTH)]
)
def test_work_stays_under_its_bound(
    way: Any, chunk_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_loss, 'MAX_CHUNK_PIXELS', chunk_pixels)
    at_once: list[int] = []
    run = mask_loss.checkpoint

    def counted(*args: Any, **kwargs: Any) -> Tensor:
        at_once.append(0)
        return run(*args, **kwargs)

    def measured(logits: Tensor, truth: Tensor) -> Tensor:
        at_once[-1] += logits.numel()
        return pixel_loss(logits, truth)

    monkeypatch.setattr(mask_loss, 'checkpoint', counted)
    way(**{**scene(True, positives=40), 'pixel_loss': measured})
    assert len(at_once) > 1
    assert 0 < max(at_once) <= chunk_pixels


def test_nothing_waits_for_an_accelerator() -> None:
    arguments = scene(True)
    wanted = TargetMasks(arguments['masks'], arguments['targets'], True)
    coefficients = torch.randn(len(OBJECTS), 3, CHANNELS, requires_grad=True)

    def step() -> None:
        mask_loss_per_candidate(
            coefficients, arguments['prototypes'], wanted, pixel_loss
        ).sum().backward()

    assert host_waits(step) == []
    assert host_waits(lambda: per_positive(**arguments)) != []  # the watch sees what waits


def test_no_positives() -> None:
    values = per_positive(**scene(True, positives=0))
    assert values.shape == (0,)
    assert values.requires_grad


def test_objects_outside_the_map_have_no_pixels() -> None:
    arguments = scene(True)
    arguments['targets'] = arguments['targets'] + torch.tensor([0.0, 0, 2, -2, 0, 0])
    for way in WAYS:
        values, *gradients = values_and_gradients(way, arguments)
        assert not values.any()
        assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize('way', WAYS)
def test_more_objects_than_bytes_can_number(way: Any) -> None:
    objects = 300
    arguments = scene(True, positives=objects)
    arguments['targets'] = torch.tensor([[0, 0, 0.5, 0.5, 0.9, 0.9]]).repeat(objects, 1)
    arguments['target_index'] = torch.arange(objects)
    arguments['masks'] = torch.zeros((IMAGES, HEIGHT, WIDTH), dtype=torch.int32)
    arguments['masks'][0, 5:9, 5:9] = objects
    arguments['pixel_loss'] = lambda logits, truth: truth
    values = way(**arguments) * HEIGHT * WIDTH * 0.81
    assert values.round().tolist() == [0] * (objects - 1) + [16]


def test_where_masks_are_found() -> None:
    images = torch.tensor([0, 0, 0, 2, 2, 5])
    assert mask_references(images, overlap=True).tolist() == [1, 2, 3, 1, 2, 1]
    assert mask_references(images, overlap=False).tolist() == [0, 1, 2, 3, 4, 5]
    assert mask_references(images[:0], overlap=True).tolist() == []


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int32, torch.bool, torch.float32])
@pytest.mark.parametrize('size', [(10, 12), (37, 45), (7, 24)])
def test_resampling_takes_the_older_nearest(size: tuple[int, int], dtype: torch.dtype) -> None:
    masks = torch.randint(0, 300, (2, HEIGHT, WIDTH)).to(dtype)
    rows, columns = (
        torch.arange(out) * full // out for out, full in zip(size, (HEIGHT, WIDTH), strict=True)
    )
    resized = resize_target_masks(masks, size)
    assert resized.dtype == dtype
    assert torch.equal(resized, masks[:, rows][:, :, columns])


def test_masks_of_the_right_size_are_not_copied() -> None:
    masks = torch.zeros((1, HEIGHT, WIDTH), dtype=torch.uint8)
    assert resize_target_masks(masks, (HEIGHT, WIDTH)) is masks


@pytest.mark.parametrize('way', WAYS)
def test_memory_kept_for_the_backward_pass_follows_the_chunk_size(
    way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(0)
    objects, size = 16, (40, 40)
    arguments = {
        'coefficients': torch.randn((objects, 8), generator=generator, requires_grad=True),
        'prototypes': torch.randn((1, 8, *size), generator=generator, requires_grad=True),
        'masks': torch.ones((1, *size), dtype=torch.uint8),
        'targets': torch.tensor([[0.0, 0, 0.5, 0.5, 1, 1]]).repeat(objects, 1),
        'target_index': torch.arange(objects),
        'overlap': True,
        'pixel_loss': pixel_loss,
    }

    def saved_bytes(chunk_pixels: int) -> int:
        monkeypatch.setattr(mask_loss, 'MAX_CHUNK_PIXELS', chunk_pixels)
        kept: dict[int, int] = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: kept.update({tensor.data_ptr(): tensor.nbytes}) or tensor,
            lambda tensor: tensor,
        ):
            way(**arguments)
        return sum(kept.values())

    assert saved_bytes(1) < saved_bytes(2**25) / 4
