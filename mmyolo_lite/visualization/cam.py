"""Class-activation maps of one layer and one scalar target, by the package grad-cam.

Letters: b batch, C channels, h w map, (H, W) network input.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from mmyolo_lite.errors import ConfigError, DependencyError
from mmyolo_lite.visualization.feature_maps import normalised
from mmyolo_lite.visualization.layers import maps_in

Target = Callable[[Any], Tensor]
"""From what the network gives for one image to the scalar that is explained."""
Map = NDArray[np.float32]

_CLASSES = {
    'gradcam': 'GradCAM',
    'gradcam++': 'GradCAMPlusPlus',
    'layercam': 'LayerCAM',
    'xgradcam': 'XGradCAM',
    'eigengradcam': 'EigenGradCAM',
    'ablationcam': 'AblationCAM',
    'eigencam': 'EigenCAM',
}


@dataclass(frozen=True)
class CamOptions:
    """How activation maps are computed.

    Attributes:
        method: one of ``gradcam, gradcam++, layercam, xgradcam, eigengradcam, ablationcam,
            eigencam``.
        max_shape_hw: activations and gradients are shrunk to at most so many cells; None leaves
            them.
        batch_size: channels that ablation switches off at a time.

    Raises:
        ConfigError: a value cannot be.
        DependencyError: grad-cam is not installed.
    """

    method: str = 'gradcam'
    max_shape_hw: tuple[int, int] | None = None
    batch_size: int = 8

    def __post_init__(self) -> None:
        _backend(self.method)
        if self.batch_size < 1 or min(self.max_shape_hw or (1, 1)) < 1:
            raise ConfigError('--batch-size and --max-shape must be 1 or more.')


def activation_maps(
    model: nn.Module,
    inputs: Tensor,
    layer: nn.Module,
    targets: Sequence[Target],
    options: CamOptions,
    image_ltrb: Sequence[float] = (0.0, 0.0, 1.0, 1.0),
) -> Iterator[Map]:
    """Yield for each target where the activations of a layer speak for it.

    Args:
        model: takes (b, 3, H, W) and gives b outputs, each of which a target reads; a layer that a
            target does not hang on must have a gradient of zero, not none.
        inputs: (1, 3, H, W).
        layer: gives one map (b, C, h, w).
        targets: what is explained, one by one; EigenCAM does not look at them.
        options: the method.
        image_ltrb: where the image lies in the input, in parts of its sides. What stands out most
            in a layer is often the padding, so principal components are those of the image alone.

    Yields:
        (H, W) arrays from 0 to 1; all 0 where nothing of the layer speaks for the target.
    """
    kind = _backend(options.method, image_ltrb)
    shrink = _shrink(options.max_shape_hw)
    if options.method == 'eigencam':
        same = _one_map(kind(model, [layer], shrink), inputs, _nothing)
        yield from [same] * len(targets)
        return
    drops = None
    if options.method == 'ablationcam':
        drops = ablation_drops(model, inputs, layer, targets, options.batch_size)
    for number, target in enumerate(targets):
        cam = kind(model, [layer], shrink)
        if drops is not None:
            # grad-cam would repeat the whole ablation for each target
            weights = drops[number : number + 1]
            cam.get_cam_weights = lambda *_, weights=weights: weights
        yield _one_map(cam, inputs, target)


def _one_map(cam: Any, inputs: Tensor, target: Target) -> Map:
    try:
        return normalised(cam(inputs, [target])[0])
    finally:
        cam.activations_and_grads.release()


def _nothing(output: Any) -> Tensor:
    return torch.zeros(())


def _shrink(max_shape_hw: tuple[int, int] | None) -> Callable[[Any], Tensor]:
    def transform(output: Any) -> Tensor:
        # a copy, since an activation may work in place afterwards
        (found,) = maps_in(output)
        height, width = found.shape[-2:]
        if max_shape_hw is None:
            return found.clone()
        size = min(height, max_shape_hw[0]), min(width, max_shape_hw[1])
        return F.interpolate(found, size, mode='bilinear', align_corners=False)

    return transform


def ablation_drops(
    model: nn.Module,
    inputs: Tensor,
    layer: nn.Module,
    targets: Sequence[Target],
    batch_size: int,
) -> Map:
    """Return how far each target falls when a channel of a layer is set to zero (Ablation-CAM,
    https://arxiv.org/abs/2001.09678 section 3, but for the division by the target, which has no
    meaning for logits of either sign).

    All targets are read from one run, so the cost does not grow with them: C network outputs, at
    most `batch_size` in memory. Arguments as in :func:`activation_maps`.

    Returns:
        (T, C).
    """
    shape: list[int] = []
    channels = range(0)

    def switch_off(module: nn.Module, given: Any, output: Tensor) -> Tensor:
        shape[:] = output.shape
        output = output.clone()
        for row, channel in enumerate(channels):
            output[row, channel] = 0
        return output

    def values(images: Tensor) -> list[list[float]]:
        return [[float(target(output)) for target in targets] for output in model(images)]

    handle = layer.register_forward_hook(switch_off)
    try:
        with torch.no_grad():
            (whole,) = values(inputs)
            rows: list[list[float]] = []
            with tqdm(total=shape[1], disable=None, unit=' channels', leave=False) as bar:
                while len(rows) < shape[1]:
                    channels = range(len(rows), min(len(rows) + batch_size, shape[1]))
                    rows += values(inputs.expand(len(channels), -1, -1, -1))
                    bar.update(len(channels))
    finally:
        handle.remove()
    return (np.array(whole) - np.array(rows)).astype(np.float32).T


def principal_map(activations: NDArray) -> Map:
    """Return a map (h, w): activations (C, h, w) projected onto their first principal component.

    The sign, which the component leaves open, is that which makes the largest value positive, as
    in Seg-Eigen-CAM (https://doi.org/10.3390/app15137562). Solved over channels, so that memory
    does not grow with the square of h * w.
    """
    channels = activations.shape[0]
    rows = np.nan_to_num(activations.reshape(channels, -1)).astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(rows @ rows.T)
    projection = (vectors[:, -1] @ rows).reshape(activations.shape[1:])
    if -projection.min() > projection.max():
        projection = -projection
    return projection.astype(np.float32)


def _backend(method: str, image_ltrb: Sequence[float] = (0.0, 0.0, 1.0, 1.0)) -> Any:
    """Return grad-cam's class of a method, adapted where it does not fit SiLU or large maps.

    Raises:
        ConfigError: the method is unknown.
        DependencyError: grad-cam is not installed.
    """
    if method not in _CLASSES:
        raise ConfigError(f'The method {method!r} is unknown; there are {", ".join(_CLASSES)}.')
    try:
        import pytorch_grad_cam
    except ImportError as error:
        raise DependencyError(
            f'Activation maps need the package grad-cam ({error}). Install it: pip install grad-cam'
        ) from error
    base = getattr(pytorch_grad_cam, _CLASSES[method])
    if method not in _IMAGES:
        return base
    image_of = _IMAGES[method]

    class Adapted(base):  # type: ignore[misc, valid-type]
        def get_cam_image(
            self, images: Any, layer: Any, targets: Any, activations: NDArray, grads: Any, *_: Any
        ) -> NDArray:
            return image_of(self, activations, grads, image_ltrb)

    return Adapted


def _eigen_image(cam: Any, activations: NDArray, grads: Any, ltrb: Sequence[float]) -> NDArray:
    height, width = activations.shape[2:]
    rows, columns = _cells(ltrb[1], ltrb[3], height), _cells(ltrb[0], ltrb[2], width)
    image = np.zeros((1, height, width), dtype=np.float32)
    image[0, rows, columns] = principal_map(activations[0, :, rows, columns])
    return image


def _cells(start: float, end: float, count: int) -> slice:
    """Return the cells of `count` whose centres lie between two parts of a side; at least one."""
    first = min(int(np.ceil(start * count - 0.5)), count - 1)
    return slice(first, max(int(np.ceil(end * count - 0.5)), first + 1))


def _eigen_grad_image(
    cam: Any, activations: NDArray, grads: NDArray, ltrb: Sequence[float]
) -> NDArray:
    return _eigen_image(cam, activations * grads, None, ltrb)


def _plus_plus_image(cam: Any, activations: NDArray, grads: NDArray, *_: Any) -> NDArray:
    """Return Grad-CAM++ for layers of SiLU.

    The method takes 0 for silence, as ReLU gives it: negative sums turn the signs of its weights,
    and what all channels have at rest becomes a light background. So weights are computed from
    what is positive, and channels are measured from their mean. Weights also hang on the scale of
    the target, which logits leave open: the largest gradient becomes 1.
    """
    grads = grads / max(np.abs(grads).max(), np.finfo(np.float32).tiny)
    weights = cam.get_cam_weights(None, None, None, np.maximum(activations, 0), grads)
    centred = activations - activations.mean(axis=(2, 3), keepdims=True)
    return (weights[:, :, None, None] * centred).sum(axis=1)


def _x_grad_image(cam: Any, activations: NDArray, grads: NDArray, *_: Any) -> NDArray:
    """Return XGrad-CAM for layers of SiLU: its weights divide by the sum of a channel, which is
    about 0 or negative where SiLU rests, so they are computed from what is positive.
    """
    weights = cam.get_cam_weights(None, None, None, np.maximum(activations, 0), grads)
    return (weights[:, :, None, None] * activations).sum(axis=1)


_IMAGES: dict[str, Callable[..., NDArray]] = {
    'eigencam': _eigen_image,
    'eigengradcam': _eigen_grad_image,
    'gradcam++': _plus_plus_image,
    'xgradcam': _x_grad_image,
}


def fuse(maps: Sequence[Map], how: str = 'mean') -> Map:
    """Return one map of those of several layers, from 0 to 1.

    Args:
        maps: at least one (H, W), from 0 to 1.
        how: ``'mean'`` or ``'max'`` of them at each pixel.
    """
    stack = np.stack(maps)
    return normalised(stack.mean(axis=0) if how == 'mean' else stack.max(axis=0))


def normalised_in_box(heat: Map, box: Sequence[float]) -> Map:
    """Return a map that is 0 outside a box and from 0 to 1, over the full range, inside.

    Args:
        heat: (H, W).
        box: xyxy in pixels of the map.
    """
    height, width = heat.shape
    x1, x2 = (int(np.clip(x, 0, width)) for x in (np.floor(box[0]), np.ceil(box[2])))
    y1, y2 = (int(np.clip(y, 0, height)) for y in (np.floor(box[1]), np.ceil(box[3])))
    result = np.zeros_like(heat)
    part = heat[y1:y2, x1:x2]
    if part.size:
        result[y1:y2, x1:x2] = normalised(part - part.min())
    return result


def max_shape_hw(sides: Sequence[int]) -> tuple[int, int] | None:
    """Return (h, w) of ``--max-shape``: -1 for no limit, one side, or width and height.

    Raises:
        ConfigError: it is none of these.
    """
    if list(sides) == [-1]:
        return None
    if len(sides) > 2 or min(sides) < 1:
        given = ' '.join(map(str, sides))
        raise ConfigError(f'--max-shape is {given}; give -1, one side, or width and height.')
    return sides[-1], sides[0]
