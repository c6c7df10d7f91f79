"""Masks worked on inside their boxes, with NumPy: the way of a CPU (spec: predict.md 3.1).

Letters: K mask channels, n instances, (H, W) network input, (h, w) prototype map.

Each axis goes from prototype pixels over network pixels to pixels of the mask, bilinear both times;
between the two everything outside the box is zero.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_STRIP_PIXELS = 2**21
"""Most pixels of one instance that are interpolated at a time: 8 MiB an array of float32."""

Floats = NDArray[np.float32]


class Patch(NamedTuple):
    """The part of a mask that can be inside.

    Attributes:
        top: its first row in the mask.
        left: its first column in the mask.
        columns: bool, transposed: its columns as rows.
    """

    top: int
    left: int
    columns: NDArray[np.bool_]


class Way(NamedTuple):
    """From the network input to the mask.

    Attributes:
        input_hw: (H, W).
        window: first and end row, first and end column of what becomes the mask in the input.
        out_hw: height and width of masks.
    """

    input_hw: tuple[int, int]
    window: tuple[int, int, int, int]
    out_hw: tuple[int, int]


def masks_in_boxes(
    coefficients: Floats, prototypes: Floats, boxes: Floats, way: Way, mask_thr: float
) -> Iterator[Patch]:
    """Yield the mask of each instance in order.

    Args:
        coefficients: (n, K).
        prototypes: (K, h, w).
        boxes: (n, 4) xyxy network pixels.
        way: sizes.
        mask_thr: a pixel is inside if its probability is above it, strict.
    """

    def probabilities(number: int, rows: slice, columns: slice) -> Floats:
        part = prototypes[:, rows, columns]
        values = (coefficients[number] @ part.reshape(len(part), -1)).reshape(part.shape[1:])
        return 0.5 * np.tanh(0.5 * values) + 0.5  # the sigmoid, without overflow

    height, width = prototypes.shape[1:]
    return paste_in_boxes(probabilities, (height, width), boxes, way, mask_thr)


def paste_in_boxes(
    probabilities: Callable[[int, slice, slice], Floats],
    proto_hw: tuple[int, int],
    boxes: Floats,
    way: Way,
    mask_thr: float,
) -> Iterator[Patch]:
    """Yield the mask of each instance in order, from its probabilities at prototype size.

    Args:
        probabilities: gives those of an instance, by its number, and some rows and columns.
        proto_hw: (h, w).
        boxes: as :func:`masks_in_boxes`, and so are `way` and `mask_thr`.
        way: sizes.
        mask_thr: a threshold.
    """
    (height, width), (out_h, out_w) = way.input_hw, way.out_hw
    top, bottom, left, right = way.window
    vertical = _Axis(proto_hw[0], height, (top, bottom), out_h)
    horizontal = _Axis(proto_hw[1], width, (left, right), out_w)
    # pixel j is inside if x1 <= j < x2, so a box covers the whole pixels [ceil x1, ceil x2)
    for number, (x1, y1, x2, y2) in enumerate(np.ceil(boxes).astype(np.int64).tolist()):
        rows, columns = vertical.span(y1, y2), horizontal.span(x1, x2)
        if rows is None or columns is None:
            yield Patch(0, 0, np.zeros((0, 0), dtype=np.bool_))
            continue
        values = probabilities(number, rows.proto, columns.proto)
        values = columns.to_network(rows.to_network(values).T)
        # columns of the network as rows, rows of the image as columns
        values = np.ascontiguousarray(rows.to_image(values.T).T)
        yield Patch(rows.out_start, columns.out_start, _above(values, columns, mask_thr))


class _Taps(NamedTuple):
    """Bilinear resampling of one axis: two source pixels for each pixel, weight of the second."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    weight: Floats

    @classmethod
    def make(cls, size: int, source_size: int) -> '_Taps':
        """Return those of `size` pixels from `source_size` pixels, as PyTorch's
        ``align_corners=False`` has them.
        """
        step = source_size / size
        source = ((np.arange(size, dtype=np.float32) + 0.5) * np.float32(step) - 0.5).clip(min=0)
        low = source.astype(np.int64).clip(max=source_size - 1)
        weight = (source - low).astype(np.float32)
        return cls(low, (low + 1).clip(max=source_size - 1), weight[:, None])

    def apply(self, values: Floats, part: slice, shift: int) -> Floats:
        """Resample the pixels `part` from `values` (source, m), whose first is source pixel
        `shift`.
        """
        last = len(values) - 1
        # the functions themselves: np.clip takes longer to find them than they take
        low, high = (
            np.minimum(np.maximum(tap[part] - shift, 0), last) for tap in (self.low, self.high)
        )
        found, more = values[low], values[high]
        more -= found
        more *= self.weight[part]
        more += found
        return more


class _Axis:
    """One axis of all instances of an image.

    Args:
        proto_size: prototype pixels of the input.
        input_size: network pixels of the input.
        window: first and end network pixel of the image.
        out_size: pixels of the mask.
    """

    def __init__(
        self, proto_size: int, input_size: int, window: tuple[int, int], out_size: int
    ) -> None:
        self.window, self.out_size = window, out_size
        self.step = (window[1] - window[0]) / out_size
        self.to_network = _Taps.make(input_size, proto_size)
        self.to_image = _Taps.make(out_size, max(window[1] - window[0], 1))

    def span(self, start: int, stop: int) -> '_Span | None':
        """Return the part of the axis from network pixel `start` to `stop`; None if it is empty."""
        if self.step == 0:
            return None
        start, stop = max(start, self.window[0]), min(stop, self.window[1])
        first, last = start - self.window[0], stop - self.window[0]
        # a mask pixel counts if one of its two network pixels lies in the box
        out_start = max(math.floor((first - 0.5) / self.step - 0.5), 0)
        out_stop = min(math.ceil((last + 0.5) / self.step - 0.5) + 1, self.out_size)
        if stop <= start or out_stop <= out_start:
            return None
        return _Span(self, start, stop, out_start, out_stop)


class _Span(NamedTuple):
    """A box along one axis: its network pixels [start, stop), its mask pixels [out_start,
    out_stop).
    """

    axis: _Axis
    start: int
    stop: int
    out_start: int
    out_stop: int

    @property
    def proto(self) -> slice:
        """The prototype pixels that it takes."""
        taps = self.axis.to_network
        return slice(int(taps.low[self.start]), int(taps.high[self.stop - 1]) + 1)

    def to_network(self, values: Floats) -> Floats:
        """Resample prototype pixels ``proto``, (., m), to network pixels (stop - start, m)."""
        return self.axis.to_network.apply(values, slice(self.start, self.stop), self.proto.start)

    def to_image(self, values: Floats, part: slice | None = None) -> Floats:
        """Resample network pixels (stop - start, m), with zeros around them, to mask pixels.

        Args:
            values: of the box.
            part: of the mask pixels from ``out_start``; None for all.
        """
        start, stop = self.out_start, self.out_stop
        if part is not None:
            start, stop = start + part.start, start + part.stop
        padded = np.zeros((len(values) + 2, values.shape[1]), dtype=np.float32)
        padded[1:-1] = values
        shift = self.start - self.axis.window[0] - 1
        return self.axis.to_image.apply(padded, slice(start, stop), shift)


def _above(values: Floats, span: _Span, mask_thr: float) -> NDArray[np.bool_]:
    """Return (out, m) bool: network pixels (stop - start, m) resampled to the mask and compared, in
    strips under :data:`MAX_STRIP_PIXELS`.
    """
    size, width = span.out_stop - span.out_start, values.shape[1]
    step = max(MAX_STRIP_PIXELS // max(width, 1), 1)
    if step >= size:
        return span.to_image(values) > mask_thr
    found = np.empty((size, width), dtype=np.bool_)
    for start in range(0, size, step):
        part = slice(start, min(start + step, size))
        found[part] = span.to_image(values, part) > mask_thr
    return found
