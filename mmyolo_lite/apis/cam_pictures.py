"""Pictures of what predicted instances hang on: class-activation maps.

Letters: (H, W) network input, (H0, W0) original image.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from mmengine.structures import InstanceData
from tqdm import tqdm

from mmyolo_lite.apis.cam_targets import Origin, RawHead, level_of, mask_pixels, target_of
from mmyolo_lite.apis.choices import CAM_TARGETS
from mmyolo_lite.apis.look_inside import (
    Named,
    NetworkInput,
    as_tensor,
    boxes_drawn,
    name_part,
    network_input,
    predict,
)
from mmyolo_lite.apis.media import Image
from mmyolo_lite.apis.model import InferenceModel
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.ops.mask_crops import crop_mask
from mmyolo_lite.visualization.cam import (
    CamOptions,
    Map,
    Target,
    activation_maps,
    fuse,
    normalised_in_box,
)
from mmyolo_lite.visualization.drawing import Legend
from mmyolo_lite.visualization.feature_maps import normalised, overlay, undo_letterbox
from mmyolo_lite.visualization.layers import (
    find_layer,
    find_layers,
    recorded_outputs,
    require_one_map,
    split_name,
)


@dataclass(frozen=True)
class CamSettings:
    """What is explained, and how it is shown.

    Attributes:
        options: the method.
        layer_names: whose activations are shown, fused; empty takes for each instance the output
            of the neck that it was predicted from.
        targets: of :data:`CAM_TARGETS`; empty takes the score, and the mask where there is one.
        fuse: ``'mean'`` or ``'max'`` of several layers.
        score_thr: instances with this score or more.
        topk: at most so many of an image, the best; -1 for all.
        norm_in_bbox: stretch each map over its full range inside the box of its instance, and
            leave out the rest.
        alpha: opacity of the maps.
    """

    options: CamOptions = field(default_factory=CamOptions)
    layer_names: Sequence[str] = ()
    targets: Sequence[str] = ()
    fuse: str = 'mean'
    score_thr: float = 0.3
    topk: int = -1
    norm_in_bbox: bool = False
    alpha: float = 0.5


class CamPictures:
    """Draws the activation maps of predicted instances over images.

    Args:
        model: what predicts; its parameters stop to take gradients.
        settings: what is explained.

    Raises:
        ConfigError: a layer or a target is none, or masks of a model without.
    """

    def __init__(self, model: InferenceModel, settings: CamSettings) -> None:
        self.model, self.settings = model, settings
        self.targets = _targets(model, settings.targets)
        if settings.topk == 0 or settings.topk < -1:
            raise ConfigError(f'--topk is {settings.topk}; give 1 or more, or -1 for all.')
        self.layers = find_layers(model.network, settings.layer_names)
        # maps of gradients are asked for, not those of weights
        model.network.requires_grad_(False)

    def draw(self, image: Image, name: str = '') -> Named:
        """Yield for each target one picture of each instance, then one of all.

        Args:
            image: (H0, W0, 3) uint8 BGR.
            name: its path.

        Raises:
            ConfigError: a layer does not give one map.
        """
        given = network_input(self.model, image, name)
        with recorded_outputs(self.layers) as outputs:
            maps, found = predict(self.model, given, self.settings.score_thr)
        require_one_map(self.layers, outputs)
        del outputs
        if self.settings.topk > 0:
            found = found[: self.settings.topk]
        if not len(found):
            _say(
                f'warning: {name}: no instance has a score of {self.settings.score_thr:g} or '
                'more; lower --score-thr.'
            )
            return
        origins = self._origins(given, maps, found)
        total = len(self.targets) * len(found)
        with tqdm(total=total, disable=None, unit=' maps', leave=False) as bar:
            for kind in self.targets:
                whole = np.zeros(image.shape[:2], dtype=np.float32)
                what = f'{self.settings.options.method}_{kind}'
                for number, heat in enumerate(self._maps(kind, given, origins)):
                    heat = self._over_image(heat, given, found.bboxes[number].tolist())
                    np.maximum(whole, heat, out=whole)
                    one = found[number : number + 1]
                    label = self.model.class_names[int(one.labels[0])]
                    yield (
                        name_part(f'{what}_{number:02d}_{label}'),
                        self._picture(image, heat, one),
                    )
                    bar.update()
                yield name_part(what), self._picture(image, whole, found)

    def _origins(
        self, given: NetworkInput, maps: Sequence[Any], found: InstanceData
    ) -> list[Origin]:
        """Return where the instances came from."""
        network: Any = self.model.network
        count = network.bbox_head.num_base_priors
        boxes = given.letterbox.to_network(found.bboxes)
        origins = []
        for number in range(len(found)):
            prior = int(found.priors[number])
            origin = Origin(
                prior, level_of(prior, maps[0], count), int(found.labels[number]), count
            )
            if self.model.has_masks:
                prototypes = maps[4][0]
                box = boxes[number] * (prototypes.shape[-1] / given.input_hw[1])
                pixels = mask_pixels(found.coeffs[number], prototypes, box)
                origin = Origin(prior, origin.level, origin.label, count, pixels)
            origins.append(origin)
        return origins

    def _maps(self, kind: str, given: NetworkInput, origins: Sequence[Origin]) -> Iterator[Map]:
        """Yield the map (H, W) of each instance, of all its layers."""
        layers_of = [
            list(self.layers) or [f'neck.out_layers[{origin.level}]'] for origin in origins
        ]
        names = list(dict.fromkeys(name for layers in layers_of for name in layers))
        streams = {
            name: self._stream(
                name,
                given,
                [
                    target_of(kind, origin)
                    for origin, layers in zip(origins, layers_of, strict=True)
                    if name in layers
                ],
            )
            for name in names
        }
        for number, layers in enumerate(layers_of):
            heat = fuse([next(streams[name]) for name in layers], self.settings.fuse)
            if not heat.any():
                _say(
                    f'note: instance {number}: nothing in {", ".join(layers)} speaks for its '
                    f'{kind}; it comes from neck.out_layers[{origins[number].level}].'
                )
            yield heat

    def _stream(self, name: str, given: NetworkInput, targets: list[Target]) -> Iterator[Map]:
        """Yield the maps of one layer, computing no more of the network than it takes."""
        network: Any = self.model.network
        first = split_name(name)[:2]
        layer = find_layer(network, name)
        start = 'neck' if first[0] in ('neck', 'bbox_head') else 'backbone'
        # an output of the neck feeds its next level too, which ablation does not follow, and which
        # the instances of that output's own level do not hang on
        direct = not self.layers or self.settings.options.method == 'ablationcam'
        if direct and first == ['neck', 'out_layers']:
            start = 'out_layers'
        keep_prototypes = self.model.has_masks and layer is not network.neck.out_layers[0]
        raw = RawHead(network, given.inputs, start, keep_prototypes)
        return activation_maps(
            raw, given.inputs, layer, targets, self.settings.options, given.image_ltrb
        )

    def _over_image(self, heat: Map, given: NetworkInput, box: Sequence[float]) -> Map:
        """Return a map (H, W) over the original image, (H0, W0)."""
        heat = undo_letterbox(as_tensor(heat), given.letterbox, given.input_hw)[0].numpy()
        # what was largest may have been in the padding
        return normalised_in_box(heat, box) if self.settings.norm_in_bbox else normalised(heat)

    def _picture(self, image: Image, heat: Map, found: InstanceData) -> Image:
        picture = overlay(as_tensor(heat), image, self.settings.alpha)
        legend = Legend(self.model.class_names, self.model.palette)
        if self.model.has_masks:
            for label, mask in zip(found.labels.tolist(), found.masks, strict=True):
                _outline(picture, mask, legend.color(label))
        return boxes_drawn(self.model, picture, found)


def _outline(picture: Image, mask: dict[str, Any], color: tuple[int, int, int]) -> None:
    top, left, pixels = crop_mask(mask)
    if pixels.size:
        rings, _ = cv2.findContours(
            np.ascontiguousarray(pixels, dtype=np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        width = max(1, round(max(picture.shape[:2]) / 600))
        cv2.drawContours(picture, rings, -1, color, width, offset=(left, top))


def _targets(model: InferenceModel, wanted: Sequence[str]) -> list[str]:
    """Return what is explained of each instance."""
    one_class = len(model.class_names) == 1
    if not wanted:
        return ['objectness' if one_class else 'class', *(['mask'] if model.has_masks else [])]
    unknown = [kind for kind in wanted if kind not in CAM_TARGETS]
    if unknown:
        raise ConfigError(
            f'The target {unknown[0]!r} is unknown; there are {", ".join(CAM_TARGETS)}.'
        )
    if 'mask' in wanted and not model.has_masks:
        raise ConfigError(
            'The target mask is not there: this model predicts boxes alone. Take class, objectness '
            'or box, or a model of configs/yolov5/ins_seg.'
        )
    if 'class' in wanted and one_class:
        _say(
            'note: the class logit of a model with one class is not trained; the score of its '
            'instances is their objectness.'
        )
    return list(dict.fromkeys(wanted))


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)
