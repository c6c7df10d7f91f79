"""The two strategies of the mask loss agree with each other and with a plain reading of the
formula.
"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmyolo_lite.ops import mask_loss
from mmyolo_lite.ops.mask_loss import (
    TargetMasks,
    mask_loss_per_positive,
    mask_references,
    resize_target_masks,
)

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


def call(
    strategy: Any, *, coefficients: Tensor, prototypes: Tensor, pixel_loss: Any, **wanted: Any
) -> Tensor:
    return strategy(coefficients, prototypes, TargetMasks(**wanted), pixel_loss)


def values_and_gradients(strategy: Any, arguments: dict[str, Any]) -> list[Tensor]:
    values = plain(**arguments) if strategy is plain else call(strategy, **arguments)
    weights = torch.linspace(1, 2, len(values))
    return [
        values,
        *torch.autograd.grad(
            (values * weights).sum(), (arguments['coefficients'], arguments['prototypes'])
        ),
    ]


@pytest.mark.parametrize('overlap', [True, False])
@pytest.mark.parametrize('chunk_pixels', [1, 3 * IMAGES * HEIGHT * WIDTH, 2**25])
def test_strategies_agree(
    overlap: bool, chunk_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_loss, 'MAX_CHUNK_PIXELS', chunk_pixels)
    arguments = scene(overlap)
    inside = values_and_gradients(mask_loss._inside_boxes, arguments)
    dense = values_and_gradients(mask_loss._dense, arguments)
    for one, other in zip(inside, dense, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('overlap', [True, False])
@pytest.mark.parametrize('strategy', ['_inside_boxes', '_dense'])
def test_equal_to_the_formula(
    overlap: bool, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = getattr(mask_loss, strategy)
    monkeypatch.setattr(mask_loss, '_inside_boxes', chosen)
    monkeypatch.setattr(mask_loss, '_dense', chosen)
    arguments = scene(overlap)
    expected = values_and_gradients(plain, arguments)
    for one, other in zip(
        values_and_gradients(mask_loss_per_positive, arguments), expected, strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('chunk_pixels', [1, 5 * IMAGES * HEIGHT * WIDTH])
def test_dense_stays_under_its_bound(chunk_pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_loss, 'MAX_CHUNK_PIXELS', chunk_pixels)
    sizes = []

    def measured(logits: Tensor, truth: Tensor) -> Tensor:
        sizes.append(logits.numel())
        return pixel_loss(logits, truth)

    call(mask_loss._dense, **{**scene(True), 'pixel_loss': measured})
    assert max(sizes) <= max(chunk_pixels, IMAGES * HEIGHT * WIDTH)
    assert len(sizes) > 1


@pytest.mark.parametrize('strategy', [mask_loss._inside_boxes, mask_loss._dense])
def test_no_positives(strategy: Any) -> None:
    arguments = scene(True, positives=0)
    values = call(strategy, **arguments)
    assert values.shape == (0,)


@pytest.mark.parametrize('strategy', [mask_loss._inside_boxes, mask_loss._dense])
def test_more_objects_than_bytes_can_number(strategy: Any) -> None:
    objects = 300
    arguments = scene(True, positives=objects)
    arguments['targets'] = torch.tensor([[0, 0, 0.5, 0.5, 0.9, 0.9]]).repeat(objects, 1)
    arguments['target_index'] = torch.arange(objects)
    arguments['masks'] = torch.zeros((IMAGES, HEIGHT, WIDTH), dtype=torch.int32)
    arguments['masks'][0, 5:9, 5:9] = objects
    arguments['pixel_loss'] = lambda logits, truth: truth
    assert call(strategy, **arguments).tolist() == [0] * (objects - 1) + [16]


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


def test_memory_kept_for_the_backward_pass_follows_the_chunk_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(0)
    coefficients = torch.randn((64, 8), generator=generator, requires_grad=True)
    prototypes = torch.randn((1, 8, 40, 40), generator=generator, requires_grad=True)
    masks = torch.ones((1, 40, 40), dtype=torch.uint8)
    targets = torch.tensor([[0.0, 0, 0.5, 0.5, 1, 1]])
    index = torch.zeros(64, dtype=torch.long)

    def saved_bytes(chunk_pixels: int) -> int:
        monkeypatch.setattr(mask_loss, 'MAX_CHUNK_PIXELS', chunk_pixels)
        kept: dict[int, int] = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: kept.update({tensor.data_ptr(): tensor.nbytes}) or tensor,
            lambda tensor: tensor,
        ):
            mask_loss._dense(
                coefficients,
                prototypes,
                TargetMasks(masks, targets, index, True),
                lambda logits, truth: torch.nn.functional.binary_cross_entropy_with_logits(
                    logits, truth, reduction='none'
                ),
            )
        return sum(kept.values())

    assert saved_bytes(8 * 40 * 40) < saved_bytes(64 * 40 * 40) / 4
