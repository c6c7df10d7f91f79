"""Anchors (priors) fitted to boxes: how well they cover them, and three ways to find better ones.

Source: spec tools_data.md 7. Letters: N boxes, A anchors, P candidate sets of anchors. All sizes
are (width, height) in pixels of the network input.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_PAIRS = 2**21
"""Most pairs of box and anchor compared at a time: 16 MiB an array of float64."""
MIN_ANCHOR_SIDE = 2.0
"""Anchors of less are no use, and boxes with both sides below it are noise."""
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RESTARTS = 10
"""Starts of k-means over IoU."""
PATIENCE = 100
"""Genetic search ends after so many steps without gain."""
DE_MAX_BOXES = 10_000
"""Differential evolution, the slowest of the ways, looks at so many boxes, drawn at random."""

Sizes = NDArray[np.floating]


@dataclass(frozen=True)
class AnchorQuality:
    """How well anchors cover boxes; every number grows with quality but for anchors a box.

    Attributes:
        fitness: mean over boxes of the best ratio, 0 for a box whose best is below the threshold.
        recall: share of boxes with a matching anchor (BPR, best possible recall), 0 to 1.
        anchors_per_box: matching anchors of a box, mean; 0 to A.
        mean_iou: mean over boxes of the best IoU, box and anchor centred on one point.
        average_recall: share of boxes whose best IoU is above a threshold, mean over the thresholds
            0.5, 0.55, ..., 0.95 as in COCO's AR: it tells anchors apart whose ``recall`` is 1.
    """

    fitness: float
    recall: float
    anchors_per_box: float
    mean_iou: float
    average_recall: float


def fit_to_input(
    boxes_wh: Sizes, images_wh: Sizes, input_wh: tuple[int, int], stretch: bool = False
) -> Sizes:
    """Scale box sizes from images to the network input.

    Args:
        boxes_wh: (N, 2) in pixels of their images.
        images_wh: (N, 2) sizes of those images.
        input_wh: of the network input.
        stretch: scale each axis by the longer side of the image, as MMYOLO's tool does, instead of
            keeping the ratio as letterboxing does. The same for a square input.

    Returns:
        (N, 2) float64.
    """
    images = np.asarray(images_wh, dtype=np.float64)
    if stretch:
        return boxes_wh / (images.max(axis=1, keepdims=True) / np.array(input_wh))
    return boxes_wh * (np.array(input_wh) / images).min(axis=1, keepdims=True)


def ratio_metric(boxes_wh: Sizes, anchors: Sizes) -> Sizes:
    """Return (N, A): the smallest of ``b_w/a_w, a_w/b_w, b_h/a_h, a_h/b_h``, 0 to 1; training
    matches a box and an anchor above ``1 / prior_match_thr``.
    """
    ratio = boxes_wh[:, None] / anchors[None]
    return np.minimum(ratio, 1 / ratio).min(axis=2)


def centred_iou(boxes_wh: Sizes, anchors: Sizes) -> Sizes:
    """Return (..., N, A): IoU of boxes (N, 2) and anchors (..., A, 2) around one centre."""
    box_w, box_h = boxes_wh[:, :1], boxes_wh[:, 1:]
    anchor_w, anchor_h = anchors[..., None, :, 0], anchors[..., None, :, 1]
    inner = np.minimum(box_w, anchor_w) * np.minimum(box_h, anchor_h)
    return inner / (box_w * box_h + anchor_w * anchor_h - inner)


def _chunks(boxes_wh: Sizes, num_anchors: int) -> Iterator[Sizes]:
    step = max(CHUNK_PAIRS // num_anchors, 1)
    for start in range(0, len(boxes_wh), step):
        yield boxes_wh[start : start + step]


def measure_anchors(boxes_wh: Sizes, anchors: Sizes, match_thr: float = 4.0) -> AnchorQuality:
    """Measure how well anchors (A, 2) cover boxes (N, 2), N > 0.

    Args:
        boxes_wh: sizes in the network input.
        anchors: sizes in the network input.
        match_thr: ``prior_match_thr`` of the head.
    """
    best_sum = matched = pairs = iou_sum = overlapping = 0.0
    for part in _chunks(boxes_wh, len(anchors)):
        ratios = ratio_metric(part, anchors)
        best = ratios.max(axis=1)
        hits = best > 1 / match_thr
        best_sum += float(best[hits].sum())
        matched += int(hits.sum())
        pairs += int((ratios > 1 / match_thr).sum())
        ious = centred_iou(part, anchors).max(axis=1)
        iou_sum += float(ious.sum())
        overlapping += float((ious[:, None] > IOU_THRESHOLDS).mean(axis=1).sum())
    sums = (best_sum, matched, pairs, iou_sum, overlapping)
    return AnchorQuality(*(value / len(boxes_wh) for value in sums))


def fitness_and_shortfall(
    boxes_wh: Sizes, anchors: Sizes, match_thr: float = 4.0
) -> tuple[float, float, float]:
    """Return fitness and recall as in :class:`AnchorQuality`, and the mean over boxes of what the
    best ratio lacks to the threshold.
    """
    total = matched = lacking = 0.0
    for part in _chunks(boxes_wh, len(anchors)):
        best = ratio_metric(part, anchors).max(axis=1)
        hits = best > 1 / match_thr
        total += float(best[hits].sum())
        matched += int(hits.sum())
        lacking += float((1 / match_thr - best[~hits]).sum())
    return total / len(boxes_wh), matched / len(boxes_wh), lacking / len(boxes_wh)


def by_area(anchors: Sizes) -> Sizes:
    """Return anchors (A, 2) in order of growing area."""
    return anchors[np.argsort(anchors.prod(axis=1), kind='stable')]


def kmeans_by_iou(
    boxes_wh: Sizes, centers: Sizes, iters: int, rng: np.random.Generator
) -> tuple[Sizes, NDArray[np.intp], int]:
    """Cluster boxes by IoU: assign each to its best centre, move centres to the mean size.

    Args:
        boxes_wh: (N, 2).
        centers: (A, 2) to start from.
        iters: most rounds.
        rng: for clusters that lose all boxes: they start anew at a box drawn at random.

    Returns:
        Centres (A, 2) in the order of `centers`, the assignment (N,), and the number of moves until
        the assignment repeated.
    """
    centers = np.array(centers, dtype=np.float64)
    assigned = np.full(len(boxes_wh), -1)
    for step in range(1, iters + 1):
        parts = [
            centred_iou(part, centers).argmax(axis=1) for part in _chunks(boxes_wh, len(centers))
        ]
        closest = np.concatenate(parts)
        if (closest == assigned).all():
            return centers, assigned, step - 1
        assigned = closest
        counts = np.bincount(assigned, minlength=len(centers))
        for axis in range(2):
            sums = np.bincount(assigned, boxes_wh[:, axis], minlength=len(centers))
            centers[:, axis] = sums / np.maximum(counts, 1)
        for empty in np.flatnonzero(counts == 0):
            centers[empty] = boxes_wh[rng.integers(len(boxes_wh))]
    return centers, assigned, iters


def spread_start(boxes_wh: Sizes, num: int, rng: np.random.Generator) -> Sizes:
    """Return (num, 2) different boxes, each the likelier the less IoU it has with those before.

    Source: k-means++, Arthur and Vassilvitskii 2007, with 1 - IoU as the distance.
    """
    chosen = [boxes_wh[rng.integers(len(boxes_wh))]]
    distance = np.full(len(boxes_wh), np.inf)
    while len(chosen) < num:
        distance = np.minimum(distance, 1 - centred_iou(boxes_wh, chosen[-1][None])[:, 0])
        distance = distance.clip(min=0)
        chosen.append(boxes_wh[rng.choice(len(boxes_wh), p=distance / distance.sum())])
    return np.array(chosen)


def fit_kmeans(boxes_wh: Sizes, num: int, iters: int, rng: np.random.Generator) -> Sizes:
    """Return (num, 2) anchors by k-means over IoU, the best of several starts, in order of area."""
    fits = [
        kmeans_by_iou(boxes_wh, spread_start(boxes_wh, num, rng), iters, rng)[0]
        for _ in range(RESTARTS)
    ]
    return by_area(min(fits, key=lambda fit: evolution_cost(boxes_wh, fit[None])[0]))


def fit_v5_kmeans(
    boxes_wh: Sizes,
    num: int,
    iters: int,
    rng: np.random.Generator,
    match_thr: float = 4.0,
    mutation: tuple[float, float] = (0.9, 0.1),
    least_recall: float = 0.0,
    progress: Callable[[], object] = lambda: None,
) -> Sizes:
    """Return (num, 2) anchors as YOLOv5 fits them, in order of area: Euclidean k-means over sizes
    in units of their deviation, then genetic search for fitness.

    Unlike there, recall is not given up for fitness.

    Args:
        boxes_wh: (N, 2); those with both sides below 2 pixels are left out.
        num: of anchors.
        iters: most steps of the search; it ends earlier after :data:`PATIENCE` without gain.
        rng: source of chance.
        match_thr: ``prior_match_thr`` of the head.
        mutation: probability that a number changes, and the deviation of its factor.
        least_recall: the search goes there first, then for fitness without falling below.
        progress: called after each step.
    """
    from scipy.cluster.vq import kmeans

    boxes_wh = boxes_wh[(boxes_wh >= MIN_ANCHOR_SIDE).any(axis=1)]
    deviation = boxes_wh.std(axis=0)
    deviation[deviation == 0] = 1.0
    centers = kmeans(boxes_wh / deviation, num, iter=30, rng=rng)[0] * deviation
    if len(centers) < num:  # boxes of too few sizes for as many clusters
        centers = spread_start(boxes_wh, num, rng)

    def value(anchors: Sizes) -> tuple[bool, float, float]:
        whole = anchors.round()  # as configs have them
        gain, recall, lacking = fitness_and_shortfall(boxes_wh, whole, match_thr)
        enough = recall >= least_recall
        return enough, 0.0 if enough else -lacking, gain

    return by_area(_evolve(by_area(centers), value, iters, rng, mutation, progress))


def _evolve(
    anchors: Sizes,
    value: Callable[[Sizes], tuple],
    iters: int,
    rng: np.random.Generator,
    mutation: tuple[float, float],
    progress: Callable[[], object],
) -> Sizes:
    """Return anchors changed at random where that raised their value."""
    probability, sigma = mutation
    best, idle = value(anchors), 0
    for _ in range(iters):
        factors = np.ones_like(anchors)
        while (factors == 1).all():
            mask = rng.random(anchors.shape) < probability
            change = mask * rng.random() * rng.standard_normal(anchors.shape) * sigma
            factors = (change + 1).clip(0.3, 3)
        changed = (anchors * factors).clip(min=MIN_ANCHOR_SIDE)
        reached = value(changed)
        idle = 0 if reached > best else idle + 1
        if reached > best:
            anchors, best = changed, reached
        progress()
        if idle >= PATIENCE:
            break
    return anchors


def evolution_cost(boxes_wh: Sizes, candidates: Sizes) -> Sizes:
    """Return (P,): 1 - mean over boxes of the best IoU, for sets of anchors (P, A, 2)."""
    step = max(CHUNK_PAIRS // (len(boxes_wh) * candidates.shape[1]), 1)
    parts = [
        centred_iou(boxes_wh, candidates[start : start + step]).max(axis=2).mean(axis=1)
        for start in range(0, len(candidates), step)
    ]
    return 1 - np.concatenate(parts)


def fit_by_evolution(
    boxes_wh: Sizes,
    num: int,
    iters: int,
    rng: np.random.Generator,
    input_wh: tuple[int, int],
    progress: Callable[[], object] = lambda: None,
) -> Sizes:
    """Return (num, 2) anchors of least :func:`evolution_cost`, in order of area.

    Source: differential evolution, Storn and Price 1997, as SciPy has it (best1bin).

    Args:
        boxes_wh: (N, 2); of more than :data:`DE_MAX_BOXES` a random part.
        num: of anchors.
        iters: most generations of 15 candidates a number.
        rng: source of chance.
        input_wh: bounds of widths and heights.
        progress: called after each generation.
    """
    from scipy.optimize import differential_evolution

    if len(boxes_wh) > DE_MAX_BOXES:
        boxes_wh = boxes_wh[rng.choice(len(boxes_wh), DE_MAX_BOXES, replace=False)]

    def cost(numbers: Sizes) -> Sizes:  # (2A, P)
        return evolution_cost(boxes_wh, numbers.T.reshape(-1, num, 2).clip(min=1e-3))

    def after_generation(*_: object, **__: object) -> bool:
        progress()
        return False  # go on

    result = differential_evolution(
        cost,
        [(0, side) for side in (*input_wh,) * num],
        maxiter=iters,
        popsize=15,
        tol=1e-4,
        mutation=(0.5, 1),
        recombination=0.7,
        polish=False,
        vectorized=True,
        updating='deferred',
        rng=rng,
        callback=after_generation,
    )
    return by_area(result.x.reshape(num, 2))
