"""Anchor arithmetic against the golden numbers, and its laws."""

import tracemalloc

import numpy as np
import pytest

from mmyolo_lite.ops import anchors as ops
from tests.shared_data import golden

DEFAULTS = np.array(
    [
        (10, 13),
        (16, 30),
        (33, 23),
        (30, 61),
        (62, 45),
        (59, 119),
        (116, 90),
        (156, 198),
        (373, 326),
    ],
    dtype=np.float64,
)


@pytest.fixture
def boxes() -> np.ndarray:
    """Boxes around four sizes."""
    rng = np.random.default_rng(1)
    centers = np.array([(12, 30), (60, 20), (90, 120), (300, 200)])
    return np.repeat(centers, 100, axis=0) * rng.lognormal(0, 0.15, (400, 2))


def test_golden_ratio_metric_and_quality() -> None:
    data = golden('data_anchors.npz')
    whs, anchors = data['whs'], data['anchors']
    np.testing.assert_allclose(ops.ratio_metric(whs, anchors), data['v5_min_ratio'], rtol=1e-5)
    quality = ops.measure_anchors(whs, anchors)
    assert quality.fitness == pytest.approx(float(data['v5_fitness']), abs=1e-6)
    assert quality.recall == pytest.approx(float(data['v5_bpr']), abs=1e-6)
    assert quality.anchors_per_box == pytest.approx(float(data['v5_mean_matched']), abs=1e-6)
    assert 1 - quality.mean_iou == pytest.approx(float(data['de_cost']), abs=1e-6)
    assert ops.evolution_cost(whs, anchors[None])[0] == pytest.approx(float(data['de_cost']))


def test_golden_kmeans() -> None:
    data = golden('data_anchors.npz')
    whs = data['whs']
    centers, assigned, iters = ops.kmeans_by_iou(
        whs, whs[data['km_init_index']], 1000, np.random.default_rng(0)
    )
    np.testing.assert_allclose(centers, data['km_centers_wh'], rtol=1e-5)
    np.testing.assert_array_equal(assigned, data['km_assign'])
    assert iters == int(data['km_iters'])


def test_golden_scaling_to_the_input() -> None:
    data = golden('data_anchors.npz')
    sizes = data['whs'], data['img_wh']
    for stretch in (False, True):
        square = ops.fit_to_input(*sizes, (640, 640), stretch)
        np.testing.assert_allclose(square, data['scaled_sq'])
    np.testing.assert_allclose(ops.fit_to_input(*sizes, (608, 352), True), data['scaled_rect'])


def test_letterboxed_sizes_keep_their_ratio() -> None:
    scaled = ops.fit_to_input(np.array([[100.0, 50]]), np.array([[1000, 400]]), (640, 320))
    np.testing.assert_allclose(scaled, [[64, 32]])


def test_iou_around_one_centre() -> None:
    iou = ops.centred_iou(np.array([[10.0, 10], [20, 5]]), np.array([[10.0, 20], [10, 10]]))
    np.testing.assert_allclose(iou, [[0.5, 1], [50 / 250, 50 / 150]])


def test_perfect_anchors_have_perfect_quality() -> None:
    quality = ops.measure_anchors(DEFAULTS, DEFAULTS)
    assert (quality.fitness, quality.recall, quality.mean_iou) == (1, 1, 1)
    assert quality.average_recall == 1


def test_average_recall_counts_thresholds() -> None:
    boxes, anchor = np.array([[10.0, 10], [10, 7.2]]), np.array([[10.0, 10]])
    assert ops.measure_anchors(boxes, anchor).average_recall == pytest.approx((1 + 0.5) / 2)


@pytest.mark.parametrize('way', ['k-means', 'v5-k-means', 'DE'])
def test_fitted_anchors_are_better_sorted_and_reproducible(way: str, boxes: np.ndarray) -> None:
    def fit() -> np.ndarray:
        rng = np.random.default_rng(0)
        if way == 'DE':
            return ops.fit_by_evolution(boxes, 4, 150, rng, (640, 640))
        return (ops.fit_kmeans if way == 'k-means' else ops.fit_v5_kmeans)(boxes, 4, 300, rng)

    anchors = fit()
    assert anchors.shape == (4, 2)
    assert (np.diff(anchors.prod(axis=1)) >= 0).all()
    np.testing.assert_array_equal(anchors, fit())
    before, after = (ops.measure_anchors(boxes, one) for one in (DEFAULTS, anchors))
    assert after.fitness > before.fitness and after.mean_iou > before.mean_iou
    assert after.mean_iou > 0.73


def test_search_never_loses(boxes: np.ndarray) -> None:
    start = ops.fit_v5_kmeans(boxes, 4, 0, np.random.default_rng(0))
    evolved = ops.fit_v5_kmeans(boxes, 4, 200, np.random.default_rng(0))
    assert (
        ops.fitness_and_shortfall(boxes, evolved)[0] >= ops.fitness_and_shortfall(boxes, start)[0]
    )


def test_recall_is_reached_before_fitness() -> None:
    """Boxes of a rare size, which fitness alone would give up."""
    boxes = np.array([[40.0, 40]] * 300 + [[44.0, 38]] * 300 + [[9.0, 9]] * 2)
    fits = [
        ops.fit_v5_kmeans(boxes, 2, 1000, np.random.default_rng(0), 4.0, least_recall=least)
        for least in (0.0, 1.0)
    ]
    assert ops.fitness_and_shortfall(boxes, fits[1])[1] == 1.0
    assert ops.fitness_and_shortfall(boxes, fits[0])[1] < 1.0


def test_empty_clusters_start_anew() -> None:
    boxes = np.array([[10.0, 10], [11, 11], [100, 100], [101, 99]])
    start = np.array([[10.0, 10], [1e6, 1e6], [1e6, 1e6]])
    centers, assigned, _ = ops.kmeans_by_iou(boxes, start, 100, np.random.default_rng(0))
    assert (centers > 0).all() and len(set(assigned.tolist())) >= 2


def test_start_draws_different_boxes() -> None:
    boxes = np.array([[10.0, 10], [20, 20], [40, 10]]).repeat(20, axis=0)
    start = ops.spread_start(boxes, 3, np.random.default_rng(0))
    assert len(np.unique(start, axis=0)) == 3


def test_tiny_boxes_do_not_count_in_v5() -> None:
    boxes = np.array([[1.0, 1]] * 50 + [[50.0, 50], [60, 40], [30, 90]])
    anchors = ops.fit_v5_kmeans(boxes, 3, 50, np.random.default_rng(0))
    assert anchors.min() > 20


def test_memory_is_bounded() -> None:
    boxes = np.random.default_rng(0).uniform(4, 300, (300_000, 2))
    tracemalloc.start()
    ops.measure_anchors(boxes, DEFAULTS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 8 * ops.CHUNK_PAIRS
