"""What command lines that look inside a network share: images in, pictures out.

Letters: (H, W) network input, (H0, W0) original image.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn
from tqdm import tqdm

from mmyolo_lite.apis.browse import require_window
from mmyolo_lite.apis.media import Image, Source
from mmyolo_lite.apis.model import InferenceModel
from mmyolo_lite.apis.predict_files import Failures, shows_end
from mmyolo_lite.datasets.transforms.loading import UnreadableImageError
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.models.heads.results import measured_letterbox
from mmyolo_lite.ops.postprocess import Letterbox
from mmyolo_lite.visualization.drawing import Legend, Objects, draw_objects
from mmyolo_lite.visualization.picture_files import encode_image
from mmyolo_lite.whole_files import check_out_dir, write_bytes

_UNFIT_IN_NAMES = re.compile(r'[^\w.+-]')
Named = Iterator[tuple[str, Image]]
"""What a picture shows, fit to be part of a file's name, and the picture (BGR)."""
Draw = Callable[[Image, str], Named]
"""From an image (BGR) and its path to its pictures."""


@dataclass(frozen=True)
class NetworkInput:
    """One image as the network takes it.

    Attributes:
        image: (H0, W0, 3) uint8 BGR.
        inputs: (1, 3, H, W) float, on the model's device.
        meta: metainfo of the sample.
        letterbox: how the image lies in the input.
    """

    image: Image
    inputs: Tensor
    meta: dict[str, Any]
    letterbox: Letterbox

    @property
    def input_hw(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.inputs.shape[-2:]
        return int(height), int(width)

    @property
    def image_ltrb(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the image in the input, in parts of its sides."""
        height, width = self.letterbox.ori_hw
        corners = self.letterbox.to_network(torch.tensor([0.0, 0.0, width, height]))
        x1, y1, x2, y2 = corners.tolist()
        input_h, input_w = self.input_hw
        return x1 / input_w, y1 / input_h, x2 / input_w, y2 / input_h


def network_input(model: InferenceModel, image: Image, name: str = '') -> NetworkInput:
    """Return the network's input of an image (H0, W0, 3) uint8 BGR; `name` is its path."""
    sample = model.prepare(image, name)
    batch = {key: [value] for key, value in sample.items()}
    network: Any = model.network
    data = network.data_preprocessor(batch, False)
    inputs = data['inputs']
    meta = dict(data['data_samples'][0].metainfo)
    meta.setdefault('batch_input_shape', tuple(inputs.shape[-2:]))
    return NetworkInput(image, inputs, meta, measured_letterbox(meta))


def predict(
    model: InferenceModel, given: NetworkInput, score_thr: float
) -> tuple[Sequence[Any], InstanceData]:
    """Run the network on one image.

    Returns:
        Its raw head maps, and its instances with a score of `score_thr` or more in the original
        image, the best first: as in a test, masks as run-length masks, and ``priors`` besides.
    """
    head: Any = model.network.bbox_head
    settings = {**(head.test_cfg or {}), 'masks_as_rle': True, 'with_priors': True}
    network: Any = model.network
    with torch.no_grad():
        maps = head(network.extract_feat(given.inputs))
        (found,) = head.predict_by_feat(maps, [given.meta], cfg=settings, rescale=True)
    return maps, found[: int((found.scores >= score_thr).sum())]


def boxes_drawn(model: InferenceModel, image: Image, found: InstanceData) -> Image:
    """Return the image with boxes, names and scores; masks would colour what lies over them."""
    objects = Objects(
        found.bboxes.cpu().numpy(), found.labels.cpu().numpy(), scores=found.scores.cpu().numpy()
    )
    legend = Legend(model.class_names, model.palette)
    return draw_objects(image, objects, legend, max_side=max(image.shape[:2]))


def check_options(score_thr: float, out_dir: Path, show: bool) -> None:
    """Refuse before the work starts what would fail behind it.

    Raises:
        ConfigError: the threshold is no score, or no window can be opened.
        DataError: the folder cannot be written.
    """
    if not 0 <= score_thr <= 1:
        raise ConfigError(f'--score-thr is {score_thr:g}; scores are from 0 to 1.')
    require_window(show)
    check_out_dir(out_dir)


def deliver_pictures(
    images: Sequence[Source],
    read_file: Callable[[str], Image],
    draw: Draw,
    out_dir: Path,
    show: bool = False,
) -> int:
    """Write ``<name of the image>_<what it shows>.jpg`` for each picture that is drawn.

    Args:
        images: one by one.
        read_file: reads an image file.
        draw: gives pictures of an image and its path.
        out_dir: gets them, in sub-folders as the images are.
        show: show them in a window too; q or Esc ends.

    Returns:
        How many there are.

    Raises:
        DataError: a file cannot be written; or, after all others are done, some images could not
            be read.
    """
    failures, count, ended = Failures(len(images)), 0, False
    for name, picture in _drawn(images, read_file, draw, failures):
        path = out_dir / f'{name}.jpg'
        write_bytes(encode_image(picture, path), path)
        count += 1
        if show and shows_end(picture, 0):
            ended = True
            break
    if count:
        print(f'{count} pictures in {out_dir}')
    failures.raise_if_any(ended)
    return count


def _drawn(
    images: Sequence[Source], read_file: Callable[[str], Image], draw: Draw, failures: Failures
) -> Named:
    """Yield the pictures of all images, under names that begin with those of the images."""
    stems: set[str] = set()
    for source in tqdm(images, disable=None if len(images) > 1 else True, unit=' images'):
        try:
            image = source.read(read_file)
        except UnreadableImageError as error:
            failures(error)
            continue
        stem = os.path.splitext(source.name)[0]
        if stem in stems:  # a.jpg beside a.png
            stem = source.name.replace('.', '_')
        stems.add(stem)
        for what, picture in draw(image, source.path):
            yield f'{stem}_{what}', picture


def name_part(text: str) -> str:
    """Return a text as part of a file's name.

    >>> name_part('neck.out_layers[2]')
    'neck.out_layers_2'
    """
    return _UNFIT_IN_NAMES.sub('_', re.sub(r'\[(-?\d+)\]', r'_\1', text))


def module_tree(network: nn.Module) -> str:
    """Return what ``--preview-model`` prints: every layer, and how to name it."""
    return f'{network}\n\nName layers as in neck.out_layers[2] or backbone.stage2[1].main_conv.'


def strides_of(maps: Sequence[Tensor], input_hw: tuple[int, int]) -> list[int]:
    """Return the stride of each map (C, h, w) in pixels of the network input (H, W)."""
    return [max(round(input_hw[0] / part.shape[-2]), 1) for part in maps]


def as_tensor(heat: np.ndarray) -> Tensor:
    """Return an array (h, w) as a map (1, h, w)."""
    return torch.from_numpy(heat)[None]
