"""From raw head maps to boxes of the original image (spec: predict.md 2 and 3).

Letters: P priors, C classes, n detections.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Letterbox:
    """How one image was put into the network input.

    `scale_wh` is resized over original size; `pad_ltrb` is left, top, right, bottom padding in
    network pixels, as recorded by the pipeline (halves are possible), or None where none was
    recorded.
    """

    ori_hw: tuple[int, int]
    scale_wh: tuple[float, float]
    pad_ltrb: tuple[float, float, float, float] | None = None

    def to_original(self, boxes: Tensor) -> Tensor:
        """Map xyxy boxes (..., 4) in pixels of the network input to pixels of the original image;
        undone by :meth:`to_network`.
        """
        if self.pad_ltrb is not None:
            boxes = boxes - boxes.new_tensor(self.pad_ltrb[:2] * 2)
        return boxes / boxes.new_tensor(self.scale_wh * 2)

    def to_network(self, boxes: Tensor) -> Tensor:
        """Map xyxy boxes (..., 4) in pixels of the original image to pixels of the network input;
        undone by :meth:`to_original`.
        """
        boxes = boxes * boxes.new_tensor(self.scale_wh * 2)
        return boxes if self.pad_ltrb is None else boxes + boxes.new_tensor(self.pad_ltrb[:2] * 2)


def filter_candidates(
    scores: Tensor, score_thr: float, top_k: int, multi_label: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Choose (row, class) pairs whose score passes.

    Args:
        scores: (P, C) in [0, 1].
        score_thr: keep scores above it, strict.
        top_k: keep at most so many, the best.
        multi_label: a row may give several classes; otherwise only its best.

    Returns:
        (n,) scores descending (ties: the lower flat index first), (n,) int64 labels, (n,) int64
        rows.
    """
    if multi_label and scores.shape[1] > 1:
        rows, labels = (scores > score_thr).nonzero(as_tuple=True)
        values = scores[rows, labels]
    else:
        best, best_label = scores.max(dim=1)
        rows = (best > score_thr).nonzero()[:, 0]
        values, labels = best[rows], best_label[rows]
    order = values.argsort(descending=True, stable=True)[:top_k]
    return values[order], labels[order], rows[order]
