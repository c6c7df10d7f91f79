"""Candidate filter and letterbox."""

import numpy as np
import pytest
import torch

from mmyolo_lite.ops.postprocess import Letterbox, filter_candidates
from tests.shared_data import golden


@pytest.mark.parametrize(('threshold', 'top_k'), [('0.5', 1000), ('0.3', 10), ('0.99999', 5)])
def test_recorded_candidates(threshold: str, top_k: int) -> None:
    z = golden('golden_nms_tta.npz')
    found = filter_candidates(
        torch.from_numpy(z['filter/scores']), float(threshold), top_k, multi_label=True
    )
    for name, value in zip(('scores', 'labels', 'keep'), found, strict=True):
        np.testing.assert_array_equal(value.numpy(), z[f'filter/{threshold}_{top_k}/{name}'])


def test_ties_go_to_the_lower_flat_index_and_the_threshold_is_strict() -> None:
    scores = torch.full((50, 4), 0.5)
    values, labels, rows = filter_candidates(scores, 0.4, 10, multi_label=True)
    assert (rows * 4 + labels).tolist() == list(range(10))
    assert len(filter_candidates(scores, 0.5, 10, multi_label=True)[0]) == 0


@pytest.mark.parametrize('classes', [1, 3])
def test_single_label_takes_the_best_class_of_a_row(classes: int) -> None:
    scores = torch.rand((20, classes))
    values, labels, rows = filter_candidates(scores, 0.2, 100, multi_label=classes == 1)
    assert sorted(rows.tolist()) == (scores.amax(dim=1) > 0.2).nonzero()[:, 0].tolist()
    assert torch.equal(labels, scores[rows].argmax(dim=1))
    assert torch.equal(values, scores[rows, labels])


@pytest.mark.parametrize('multi_label', [True, False])
def test_no_rows_to_filter(multi_label: bool) -> None:
    values, labels, rows = filter_candidates(torch.zeros(0, 3), 0.1, 10, multi_label)
    assert [len(part) for part in (values, labels, rows)] == [0, 0, 0]
    assert labels.dtype == rows.dtype == torch.long


@pytest.mark.parametrize(
    'pad', [None, (0.0, 0.0, 0.0, 0.0), (6.5, 0.0, 6.5, 0.0), (7.0, 3.0, 6.0, 3.0)]
)
@pytest.mark.parametrize('ori_hw', [(480, 640), (3000, 4000), (1, 900)])
def test_letterbox_and_back(ori_hw: tuple[int, int], pad: tuple | None) -> None:
    letterbox = Letterbox(ori_hw, (0.16, 0.1601), pad)
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand((100, 4), generator=generator) * 640
    torch.testing.assert_close(
        letterbox.to_network(letterbox.to_original(boxes)), boxes, atol=1e-4, rtol=0
    )
    original = torch.rand((100, 4), generator=generator) * 600
    torch.testing.assert_close(
        letterbox.to_original(letterbox.to_network(original)), original, atol=2e-4, rtol=0
    )
