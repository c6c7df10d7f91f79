"""Run an exported instance-segmentation or detection model on a photo, a folder or a video.

    pip install numpy opencv-python-headless onnxruntime
    python onnx_infer.py model.onnx photo.jpg
    python onnx_infer.py model.onnx --info

It needs these three packages and nothing else: this file can be copied anywhere. Classes,
preprocessing and thresholds come from the metadata of the model, which tools/export.py of
mmyolo_lite wrote. Pictures with the objects go to --out, and with --json what was found.

The first half is the post- and preprocessing of the package mmyolo_lite (Apache-2.0), kept equal to
it by a test; the command line follows at the end.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

# ---- as in mmyolo_lite/ops/box_masks.py, letter by letter

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


# ---- as in mmyolo_lite/deploy/steps.py, letter by letter

Arrays = dict[str, NDArray]
"""The outputs of a network, by name."""


class Placement(NamedTuple):
    """How an image lies in the input.

    Attributes:
        image_hw: height and width of the image in pixels.
        input_hw: height and width of the input in pixels.
        scale_wh: resized over original size.
        pad_lt: padding at the left and at the top in input pixels, as boxes are moved by.
    """

    image_hw: tuple[int, int]
    input_hw: tuple[int, int]
    scale_wh: tuple[float, float]
    pad_lt: tuple[float, float]

    def boxes_of_image(self, boxes: Floats) -> Floats:
        """Return boxes (n, 4) of the input in pixels of the image, clipped to it."""
        shift, scale, most = (
            np.array(pair * 2, dtype=np.float32)
            for pair in (self.pad_lt, self.scale_wh, self.image_hw[::-1])
        )
        return np.clip((boxes - shift) / scale, 0, most)

    def mask_way(self) -> Way:
        """Return how masks go from the input to the image."""
        left, top = self.pad_lt
        height, width = self.input_hw
        window = (int(top), int(height - top), int(left), int(width - left))
        return Way(self.input_hw, window, self.image_hw)


class Detections(NamedTuple):
    """What was found in an image, by descending score.

    Attributes:
        boxes: (n, 4) xyxy in pixels of the image.
        scores: (n,) of 0 to 1.
        labels: (n,) int64.
        masks: yields n patches, made when asked for; None without masks.
    """

    boxes: Floats
    scores: Floats
    labels: NDArray[np.int64]
    masks: Iterator[Patch] | None


def target_size(image_hw: tuple[int, int], preprocess: dict[str, Any]) -> tuple[int, int]:
    """Return the (height, width) of the input of an image."""
    rule = preprocess['batch_shape']
    if rule is None:
        return tuple(preprocess['letterbox']['size_hw'])
    ratio = image_hw[0] / image_hw[1]
    unit = (min(ratio, 1.0), min(1 / ratio, 1.0))
    cells = (math.ceil(u * rule['img_size'] / rule['divisor'] + rule['extra_pad']) for u in unit)
    height, width = (count * rule['divisor'] for count in cells)
    return height, width


def letterbox(image: Any, preprocess: dict[str, Any]) -> tuple[NDArray[np.uint8], Placement]:
    """Return an image (H, W, 3) uint8, resized and padded to its input size, and where it lies."""
    first_hw, target_hw = image.shape[:2], target_size(image.shape[:2], preprocess)
    if preprocess['keep_ratio'] is not None:
        scale, (height, width) = preprocess['keep_ratio'], first_hw
        ratio = min(max(scale) / max(height, width), min(scale) / min(height, width))
        size = (max(int(width * ratio), 1), max(int(height * ratio), 1))
        if ratio != 1:
            kind = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
            image = cv2.resize(image, size, interpolation=kind)
    settings, (height, width) = preprocess['letterbox'], image.shape[:2]
    ratio = min(target_hw[0] / height, target_hw[1] / width)
    if not settings['allow_scale_up']:
        ratio = min(ratio, 1.0)
    new_h, new_w = max(round(height * ratio), 1), max(round(width * ratio), 1)
    if (new_h, new_w) != (height, width):
        image = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
    pad_h, pad_w = target_hw[0] - new_h, target_hw[1] - new_w
    top, left = pad_h // 2, pad_w // 2
    fill = cv2.BORDER_CONSTANT, None, tuple(settings['fill'])
    image = cv2.copyMakeBorder(image, top, pad_h - top, left, pad_w - left, *fill)
    shift = (pad_w / 2, pad_h / 2) if settings['half_pad'] else (float(left), float(top))
    scale_wh = (new_w / first_hw[1], new_h / first_hw[0])
    return image, Placement(first_hw, target_hw, scale_wh, shift)


def network_input(images: list[NDArray[np.uint8]], preprocess: dict[str, Any]) -> Floats:
    """Return letterboxed images of one size, (H, W, 3) uint8 BGR each, as (B, 3, H, W) float32."""
    mean, std = (np.array(preprocess[key], dtype=np.float32) for key in ('mean', 'std'))
    batch = np.empty((len(images), 3, *images[0].shape[:2]), dtype=np.float32)
    for place, image in zip(batch, images, strict=True):
        ordered = image[:, :, ::-1] if preprocess['to_rgb'] else image
        for channel in range(3):
            np.subtract(ordered[:, :, channel], mean[channel], out=place[channel])
            place[channel] /= std[channel]
    return batch


def detections(
    outputs: Arrays, number: int, placement: Placement, meta: dict[str, Any], score_thr: float
) -> Detections:
    """Return the detections of one image of a batch.

    Args:
        outputs: of the network for the batch, by their names in the file, whose metadata say
            shapes and meanings.
        number: of the image in the batch.
        placement: how the image lies in the input.
        meta: metadata of the file.
        score_thr: keep objects with a score above it, strict; the file's own is the lowest that
            works.
    """
    thresholds = meta['thresholds']
    boxes, scores = outputs['boxes'][number], outputs['scores'][number]
    if meta['nms'] == 'graph':
        values = scores[: outputs['num_dets'][number]]
        rows = np.flatnonzero(values > score_thr)
        labels, values = outputs['labels'][number][rows], values[rows]
    else:
        score_thr = max(score_thr, thresholds['score'])
        rows, labels = candidates(scores, score_thr, thresholds)
        values = scores[rows, labels]
        kept = suppressed(boxes[rows], values, labels, thresholds)
        rows, labels, values = rows[kept], labels[kept], values[kept]
    boxes, masks = boxes[rows], None
    if meta['masks']:
        masks = _masks(outputs, number, rows, (boxes, placement.mask_way(), thresholds['mask']))
    return Detections(placement.boxes_of_image(boxes), values, labels, masks)


def _masks(outputs: Arrays, number: int, rows: NDArray, paste: tuple) -> Iterator[Patch]:
    """Yield the masks of the rows `rows` of an image's outputs."""
    if 'masks' not in outputs:
        coefficients, prototypes = outputs['coefficients'][number], outputs['prototypes'][number]
        return masks_in_boxes(coefficients[rows], prototypes, *paste)
    maps = outputs['masks'][number]

    def probabilities(place: int, part_h: slice, part_w: slice) -> Floats:
        return maps[rows[place], part_h, part_w]

    return paste_in_boxes(probabilities, maps.shape[1:], *paste)


def candidates(
    scores: Floats, score_thr: float, thresholds: dict[str, Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose (prior, class) pairs whose score passes.

    Args:
        scores: (P, C).
        score_thr: keep scores above it, strict.
        thresholds: ``multi_label``, and ``candidates``, how many to keep at most.

    Returns:
        Priors and labels, by descending score; ties by the lower prior, then the lower label.
    """
    if thresholds['multi_label'] or scores.shape[1] == 1:
        rows, labels = np.divmod(np.flatnonzero(scores > score_thr), scores.shape[1])
    else:
        labels = scores.argmax(axis=1)
        rows = np.flatnonzero(scores[np.arange(len(scores)), labels] > score_thr)
        labels = labels[rows]
    order = np.argsort(-scores[rows, labels], kind='stable')[: thresholds['candidates']]
    return rows[order], labels[order]


def suppressed(
    boxes: Floats, scores: Floats, labels: NDArray[np.int64], thresholds: dict[str, Any]
) -> NDArray[np.int64]:
    """Return the places of the boxes that stay after class-wise greedy suppression.

    Args:
        boxes: (n, 4) xyxy input pixels, by descending score.
        scores: (n,).
        labels: (n,).
        thresholds: ``iou``, strict, ``class_agnostic``, ``max_per_image``, and ``min_box_size`` in
            input pixels, strict, -1 for off.
    """
    corners, kept = boxes.astype(np.float64), []
    large = np.ones(len(boxes), dtype=bool)
    if thresholds['min_box_size'] >= 0:
        large = (corners[:, 2:] - corners[:, :2] > thresholds['min_box_size']).all(axis=1)
    groups = np.zeros_like(labels) if thresholds['class_agnostic'] else labels
    for group in np.unique(groups):
        left = np.flatnonzero((groups == group) & large)
        while len(left):
            kept.append(left[0])
            left = left[1:][_iou(corners[left[0]], corners[left[1:]]) <= thresholds['iou']]
    return np.sort(np.array(kept, dtype=np.int64))[: thresholds['max_per_image']]


def _iou(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU (n,) of a box (4,) with others (n, 4); 0 where neither has an area."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    inner = sides.clip(min=0).prod(axis=1)
    area, areas = ((b[..., 2:] - b[..., :2]).prod(axis=-1) for b in (box, others))
    return inner / np.maximum(area + areas - inner, 1e-300)


# ---- the command line

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v')


class Model:
    """An exported ONNX file.

    Args:
        path: of the file.
        score_thr: keep objects with a score above it; None takes what the file recommends.
    """

    def __init__(self, path: str, score_thr: float | None = None) -> None:
        if not Path(path).is_file():
            raise SystemExit(f'error: model not found: {path}')
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        known = onnxruntime.get_available_providers()
        wanted = ('CUDAExecutionProvider', 'CPUExecutionProvider')
        providers = [name for name in wanted if name in known]
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=providers)
        except Exception as error:  # onnxruntime has a kind for each way to be damaged
            reason = str(error).split('\n')[0][:200]
            raise SystemExit(f'error: {path} cannot be loaded: {reason}') from error
        text = self.session.get_modelmeta().custom_metadata_map.get('mmyolo_lite')
        if text is None:
            raise SystemExit(f'error: {path} was not exported by mmyolo_lite, it has no metadata')
        self.meta = json.loads(text)
        shown = self.meta['thresholds']['shown_score']
        self.score_thr = shown if score_thr is None else score_thr

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """Return what is in an image (H, W, 3) uint8 BGR."""
        boxed, placement = letterbox(image, self.meta['preprocess'])
        batch = self.meta['input']['shape'][0]
        copies = [boxed] * (batch if isinstance(batch, int) else 1)
        feed = {'images': network_input(copies, self.meta['preprocess'])}
        overridable = self.session.get_overridable_initializers()
        if any(one.name == 'score_threshold' for one in overridable):
            feed['score_threshold'] = np.array([self.score_thr], dtype=np.float32)
        names = [output.name for output in self.session.get_outputs()]
        outputs = dict(zip(names, self.session.run(None, feed), strict=True))
        return detections(outputs, 0, placement, self.meta, self.score_thr)


def show_and_list(
    image: NDArray[np.uint8], found: Detections, meta: dict[str, Any]
) -> list[dict[str, Any]]:
    """Draw the detections on an image, in place, and return them as JSON has them."""
    listed = []
    patches = found.masks or iter([None] * len(found.boxes))
    for box, score, label, patch in zip(
        found.boxes, found.scores, found.labels, patches, strict=True
    ):
        color, name = meta['palette'][label][::-1], meta['class_names'][label]
        entry = {'class': name, 'score': float(score), 'box': [float(value) for value in box]}
        if patch is not None:
            mask = np.zeros(image.shape[:2], dtype=np.bool_)
            width, height = patch.columns.shape
            inside = mask[patch.top : patch.top + height, patch.left : patch.left + width]
            inside[:] = patch.columns.T
            entry['mask'] = {'size': list(mask.shape), 'counts': run_lengths(mask)}
            image[mask] = (image[mask] * 0.5 + np.float32(color) * 0.5).astype(np.uint8)
        (x1, y1), (x2, y2) = np.round(box).astype(int).reshape(2, 2).tolist()
        cv2.rectangle(image, (x1, y1), (x2, y2), color, 2)
        where = (x1, max(y1 - 4, 12))
        cv2.putText(image, f'{name} {score:.2f}', where, cv2.FONT_HERSHEY_SIMPLEX, 0.5, color, 1)
        listed.append(entry)
    return listed


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return COCO's runs of 0, 1, 0 ... down the columns of a mask."""
    flat = mask.T.ravel()
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], starts, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs


def frames(path: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield the names and images of a photo, a folder or a video."""
    if path.suffix.lower() in VIDEOS:
        video, number = cv2.VideoCapture(str(path)), 0
        while (read := video.read())[0]:
            yield f'{path.stem}_{number:06d}.jpg', read[1]
            number += 1
        video.release()
        if not number:
            raise SystemExit(f'error: {path} holds no video that can be decoded')
        return
    names = [path] if path.is_file() else sorted(path.rglob('*'))
    names = [name for name in names if name.suffix.lower() in IMAGES]
    if not names:
        raise SystemExit(f'error: no image or video at {path}')
    for name in names:
        image = cv2.imread(str(name), cv2.IMREAD_COLOR)
        if image is None:
            print(f'left out: {name} holds no image that can be decoded', file=sys.stderr)
            continue
        yield str(name.relative_to(path if path.is_dir() else path.parent)), image


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('model', help='exported .onnx file')
    parser.add_argument('input', nargs='?', type=Path, help='photo, folder or video')
    parser.add_argument(
        '--out', type=Path, default=Path('output'), help='folder of pictures (default: output)'
    )
    parser.add_argument('--score-thr', type=float, help='keep objects above it')
    parser.add_argument('--json', type=Path, metavar='F', help='write what was found')
    parser.add_argument('--info', action='store_true', help='show what the file says of itself')
    args = parser.parse_args()
    # OpenCV's own lines about damaged files; before 4.13 the function stands elsewhere
    getattr(cv2.utils, 'logging', cv2).setLogLevel(0)
    model = Model(args.model, args.score_thr)
    if args.info or args.input is None:
        print(json.dumps(model.meta, indent=1))
        return
    video, results = None, {}
    for name, image in frames(args.input):
        target = args.out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        results[name] = show_and_list(image, model(image), model.meta)
        print(f'{name}: {len(results[name])} objects')
        if args.input.suffix.lower() not in VIDEOS:
            cv2.imwrite(str(target), image)
            continue
        if video is None:
            rate = cv2.VideoCapture(str(args.input)).get(cv2.CAP_PROP_FPS) or 25
            coder, size = cv2.VideoWriter_fourcc(*'mp4v'), (image.shape[1], image.shape[0])
            video = cv2.VideoWriter(str(args.out / f'{args.input.stem}.mp4'), coder, rate, size)
        video.write(image)
    if video is not None:
        video.release()
    if args.json is not None:
        args.json.write_text(json.dumps(results))


if __name__ == '__main__':
    main()
