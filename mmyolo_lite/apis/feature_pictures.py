"""Pictures of what layers of a network give for an image."""

from collections.abc import Sequence

import torch

from mmyolo_lite.apis.look_inside import (
    Named,
    boxes_drawn,
    name_part,
    network_input,
    predict,
    strides_of,
)
from mmyolo_lite.apis.media import Image
from mmyolo_lite.apis.model import InferenceModel
from mmyolo_lite.visualization.feature_maps import MapDrawing
from mmyolo_lite.visualization.layers import find_layers, recorded_outputs, require_maps


class FeaturePictures:
    """Draws the outputs of layers over images.

    Args:
        model: whose layers they are.
        layer_names: such as ``backbone`` or ``neck.out_layers[2]``.
        drawing: how maps become pictures.
        score_thr: predictions with a score of this or more are drawn below the maps.

    Raises:
        ConfigError: there is no such layer.
    """

    def __init__(
        self,
        model: InferenceModel,
        layer_names: Sequence[str],
        drawing: MapDrawing,
        score_thr: float = 0.3,
    ) -> None:
        self.model, self.drawing, self.score_thr = model, drawing, score_thr
        self.layers = find_layers(model.network, layer_names)

    def draw(self, image: Image, name: str = '') -> Named:
        """Yield one picture for each map of each layer, of the size of the image.

        Args:
            image: (H0, W0, 3) uint8 BGR.
            name: its path.

        Raises:
            ConfigError: a layer gives no maps, or they cannot be drawn as wanted.
        """
        given = network_input(self.model, image, name)
        with recorded_outputs(self.layers) as outputs:
            _, found = predict(self.model, given, self.score_thr)
        require_maps(self.layers, outputs)
        below = boxes_drawn(self.model, image, found)
        for layer, maps in outputs.items():
            levels: list[torch.Tensor] = [part[0] for part in maps]
            strides = strides_of(levels, given.input_hw)
            for number, (level, stride) in enumerate(zip(levels, strides, strict=True)):
                place = f'{number}_stride{stride}' if len(levels) > 1 else f'stride{stride}'
                picture = self.drawing.draw(level, below, given.letterbox, given.input_hw)
                yield f'{name_part(layer)}_{place}', picture
