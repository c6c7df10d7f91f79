"""Masks are pasted as the specification says, by both strategies, in bounded memory."""

import resource
from typing import Any
from unittest import mock

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.nn import functional as F

from mmyolo_lite.ops import box_masks
from mmyolo_lite.ops import masks as module
from mmyolo_lite.ops.masks import MaskSettings, encode_masks, paste_masks
from mmyolo_lite.ops.postprocess import Letterbox

INPUT_HW = (64, 96)
LETTERBOX = Letterbox((50, 81), (80 / 81, 48 / 50), (8.0, 8.0, 8.0, 8.0))


def instances(count: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(count)
    corner = torch.rand((count, 2), generator=generator) * torch.tensor([70.0, 40.0])
    size = torch.rand((count, 2), generator=generator) * 24
    return {
        'coefficients': torch.randn((count, 4), generator=generator) * 3,
        'prototypes': torch.randn((4, 16, 24), generator=generator),
        'boxes': torch.cat((corner, corner + size), dim=1),
    }


def in_chunks(arguments: dict[str, Any], settings: MaskSettings) -> Tensor:
    """Masks by whole maps."""
    return torch.cat(list(module._chunks(**arguments, settings=settings)))


@pytest.mark.parametrize('fast', [True, False])
@pytest.mark.parametrize('count', [1, 129, 513])
def test_many_instances_in_bounded_chunks(
    count: int, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = instances(count)
    settings = MaskSettings(INPUT_HW, LETTERBOX, 0.5, fast)
    at_once = in_chunks(arguments, settings)
    monkeypatch.setattr(module, 'MAX_CHUNK_PIXELS', 20 * INPUT_HW[0] * INPUT_HW[1])
    with mock.patch.object(F, 'interpolate', side_effect=F.interpolate) as interpolated:
        chunked = in_chunks(arguments, settings)
    assert max(call.args[0].shape[1] for call in interpolated.call_args_list) == min(count, 20)
    assert chunked.dtype == torch.bool and chunked.shape == (count, 50, 81)
    assert torch.equal(chunked, at_once)
    assert chunked.any()


def test_chunks_count_the_pixels_of_a_large_original(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, 'MAX_CHUNK_PIXELS', 3 * 500 * 810)
    letterbox = Letterbox((500, 810), (80 / 810, 48 / 500), (8.0, 8.0, 8.0, 8.0))
    arguments = instances(7)
    with mock.patch.object(F, 'interpolate', side_effect=F.interpolate) as interpolated:
        in_chunks(arguments, MaskSettings(INPUT_HW, letterbox))
    assert [call.args[0].shape[1] for call in interpolated.call_args_list] == [3, 3, 3, 3, 1, 1]


@pytest.mark.parametrize(
    'letterbox',
    [
        None,
        LETTERBOX,
        Letterbox((50, 81), (80 / 81, 48 / 50), (7.5, 8.5, 7.5, 8.5)),
        Letterbox((301, 222), (1.0, 1.0)),
        Letterbox((20, 30), (1.0, 1.0), (0.0, 8.0, 0.0, 8.0)),
        Letterbox((1, 400), (1.0, 1.0)),
    ],
)
def test_both_strategies_agree(letterbox: Letterbox | None) -> None:
    arguments = instances(60)
    boxes = torch.cat(
        (
            arguments['boxes'],
            torch.tensor([[-20.0, -9.0, 30.0, 30.0], [80.0, 50.0, 300.0, 90.0], [0, 0, 96, 64]]),
        )
    )
    coefficients = torch.cat((arguments['coefficients'], arguments['coefficients'][:3]))
    arguments.update(coefficients=coefficients, boxes=boxes)
    settings = MaskSettings(INPUT_HW, letterbox)
    inside, full = paste_masks(**arguments, settings=settings), in_chunks(arguments, settings)
    assert full.any()
    assert (inside != full).flatten(1).sum(dim=1).max() <= 1  # rounding at the threshold


@pytest.mark.parametrize('fast', [True, False])
def test_masks_stay_inside_their_boxes(fast: bool) -> None:
    arguments = instances(40)
    masks = paste_masks(**arguments, settings=MaskSettings(INPUT_HW, LETTERBOX, 0.5, fast))
    boxes = LETTERBOX.to_original(arguments['boxes'])
    margin = 2  # the interpolation softens the crop by up to one network pixel
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.tolist(), strict=True):
        rows, columns = mask.nonzero(as_tuple=True)
        if len(rows):
            assert columns.min() >= x1 - margin and columns.max() <= x2 + margin
            assert rows.min() >= y1 - margin and rows.max() <= y2 + margin


def plain_masks(coefficients: Tensor, prototypes: Tensor, boxes: Tensor, fast: bool) -> np.ndarray:
    """Follow spec: predict.md 3.1 with OpenCV alone, one instance at a time."""
    height, width = INPUT_HW
    left, top = 8, 8
    found = []
    for coefficient, (x1, y1, x2, y2) in zip(coefficients.numpy(), boxes.tolist(), strict=True):
        probability = 1 / (1 + np.exp(-(coefficient[:, None, None] * prototypes.numpy()).sum(0)))
        probability = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
        j, i = np.arange(width), np.arange(height)[:, None]
        probability = probability * ((j >= x1) & (j < x2) & (i >= y1) & (i < y2))
        cut = probability[top : height - top, left : width - left]
        if fast:
            found.append(cv2.resize(cut, (81, 50), interpolation=cv2.INTER_LINEAR) > 0.5)
        else:
            found.append(
                cv2.resize((cut > 0.5).astype(np.uint8), (81, 50), interpolation=cv2.INTER_LINEAR)
                > 0
            )
    return np.stack(found)


@pytest.mark.parametrize('fast', [True, False])
def test_equal_to_the_formula(fast: bool) -> None:
    arguments = instances(30)
    masks = paste_masks(**arguments, settings=MaskSettings(INPUT_HW, LETTERBOX, 0.5, fast))
    assert (masks.numpy() != plain_masks(**arguments, fast=fast)).sum(axis=(1, 2)).max() <= 2


def test_without_letterbox_masks_have_network_size() -> None:
    arguments = instances(5)
    settings = MaskSettings(INPUT_HW, None)
    masks = paste_masks(**arguments, settings=settings)
    assert masks.shape == (5, *INPUT_HW)
    assert torch.equal(masks, in_chunks(arguments, settings))


@pytest.mark.parametrize('fast', [True, False])
def test_boxes_without_area_have_empty_masks(fast: bool) -> None:
    arguments = {**instances(2), 'boxes': torch.tensor([[10.0, 10, 10, 10], [5.0, 20, 40, 20]])}
    masks = paste_masks(**arguments, settings=MaskSettings(INPUT_HW, LETTERBOX, 0.5, fast))
    assert masks.shape == (2, 50, 81) and not masks.any()


@pytest.mark.parametrize(('letterbox', 'shape'), [(LETTERBOX, (0, 50, 81)), (None, (0, *INPUT_HW))])
def test_no_instances(letterbox: Letterbox | None, shape: tuple) -> None:
    masks = paste_masks(**instances(0), settings=MaskSettings(INPUT_HW, letterbox))
    assert masks.shape == shape and masks.dtype == torch.bool


def test_half_precision_maps_are_computed_in_float32() -> None:
    arguments = instances(8)
    half = {name: arguments[name].half() for name in ('coefficients', 'prototypes')}
    more = {'boxes': arguments['boxes'], 'settings': MaskSettings(INPUT_HW, LETTERBOX)}
    rounded = {name: value.float() for name, value in half.items()}
    assert torch.equal(paste_masks(**half, **more), paste_masks(**rounded, **more))


# ---- run-length masks


@pytest.mark.parametrize('fast', [True, False])
@pytest.mark.parametrize('strip', [2**21, 50])
@pytest.mark.parametrize('letterbox', [None, LETTERBOX, Letterbox((301, 222), (1.0, 1.0))])
def test_encoded_masks_equal_pasted_ones(
    fast: bool, strip: int, letterbox: Letterbox | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = instances(40)
    arguments['boxes'][:3] = torch.tensor([[-9.0, -9, 200, 200], [10, 10, 10, 10], [0, 0, 96, 9]])
    settings = MaskSettings(INPUT_HW, letterbox, 0.5, fast)
    pasted = paste_masks(**arguments, settings=settings)
    monkeypatch.setattr(box_masks, 'MAX_STRIP_PIXELS', strip)
    encoded = encode_masks(**arguments, settings=settings)
    assert torch.equal(encoded.to_tensor(), pasted) and pasted.any()
    for rle, mask in zip(encoded, pasted.numpy(), strict=True):
        assert rle == coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def test_no_masks_keep_their_size() -> None:
    encoded = encode_masks(**instances(0), settings=MaskSettings(INPUT_HW, LETTERBOX))
    assert encoded.shape == (0, 50, 81) and encoded.numpy().shape == (0, 50, 81)


def test_three_hundred_masks_of_a_large_photo_stay_small() -> None:
    """As bool they would take 3.6 GB."""
    arguments = instances(300)
    arguments['boxes'][:5] = torch.tensor([0.0, 0, 96, 64])
    settings = MaskSettings(INPUT_HW, Letterbox((3000, 4500), (96 / 4500, 64 / 3000)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    encoded = encode_masks(**arguments, settings=settings)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024  # KiB
    assert len(encoded) == 300 and sum(map(coco_mask.area, encoded)) > 10**6
