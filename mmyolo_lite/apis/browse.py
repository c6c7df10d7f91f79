"""Pictures of a config's data: as annotated, as trained on, and step by step.

Source: spec tools_data.md 9.
"""

import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.runner import set_random_seed
from tqdm import tqdm

from mmyolo_lite.apis.choices import DEFAULT_OUT_DIR, MODES, PHASES
from mmyolo_lite.apis.datasets import build_datasets
from mmyolo_lite.datasets.coco_checks import check_classes_exist, read_coco_json
from mmyolo_lite.datasets.palette import complete_palette
from mmyolo_lite.datasets.transforms.loading import LoadImageFromFile, UnreadableImageError
from mmyolo_lite.engine.checks import innermost_datasets, type_name
from mmyolo_lite.engine.config import has_masks
from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.visualization import stages
from mmyolo_lite.visualization.drawing import Image, Legend, draw_objects, with_title
from mmyolo_lite.visualization.picture_files import encode_image
from mmyolo_lite.whole_files import write_bytes

MAX_NAME_BYTES = 240
"""File systems allow 255, suffix included."""
_UNFIT_IN_NAMES = re.compile('[\\x00-\\x1f\\ud800-\\udfff/\\\\:*?"<>|]')


@dataclass(frozen=True)
class BrowseOptions:
    """What is shown.

    Attributes:
        phase: one of :data:`PHASES`.
        mode: one of :data:`MODES`: the sample as it is packed, as the file has it, or every step.
        indices: numbers of images, from 0; None for all.
        number: at most so many; None for all.
        max_side: of pictures in pixels.
        seed: of the augmentations.
        show_keys: print the keys of the sample behind each step.
    """

    phase: str = 'train'
    mode: str = 'transformed'
    indices: Sequence[int] | None = None
    number: int | None = None
    max_side: int = 1600
    seed: int = 0
    show_keys: bool = False


def pictures(config: Any, options: BrowseOptions) -> Iterator[tuple[str, Image]]:
    """Yield ``<index>_<stem>`` and a BGR picture (H, W, 3) of each chosen image.

    Images that cannot be read are named on stderr and left out.

    Raises:
        ConfigError: a mode, phase or index that is none.
        DataError: the annotations are unusable.
    """
    for value, known in ((options.mode, MODES), (options.phase, PHASES)):
        if value not in known:
            raise ConfigError(f'{value!r} is unknown; there are {", ".join(known)}.')
    set_random_seed(options.seed)
    config = deepcopy(config)
    loader = f'{options.phase}_dataloader'
    if options.phase != 'train':
        _load_annotations_early(config, loader)
    datasets = build_datasets(config, loader, pipeline=None)
    chosen = _chosen(options, sum(map(len, datasets)))
    offset = 0
    for dataset in datasets:
        names, colors = dataset.metainfo['classes'], dataset.metainfo['palette']
        for index in (i for i in chosen if offset <= i < offset + len(dataset)):
            picture = _picture(dataset, index - offset, options, Legend(names, colors))
            if picture is not None:
                path = dataset.get_data_info(index - offset)['img_path']
                yield picture_name(f'{index:06d}', path), picture
        offset += len(dataset)


def _chosen(options: BrowseOptions, total: int) -> Sequence[int]:
    """Return the numbers of the images that are shown, of all data sets together."""
    if options.indices is None:
        return range(total if options.number is None else min(options.number, total))
    wrong = [index for index in options.indices if not 0 <= index < total]
    if wrong:
        raise ConfigError(
            f'There is no image with the index {wrong[0]}; the data set has {total}, numbered '
            'from 0.'
        )
    return options.indices


def _load_annotations_early(config: Any, loader: str) -> None:
    """Put the annotations behind the image of a test pipeline, so that they move with it."""
    for _, dataset in innermost_datasets(config, [loader]):
        steps = [
            step for step in dataset['pipeline'] if type_name(step['type']) != 'LoadAnnotations'
        ]
        load = dict(type='mmyolo_lite.LoadAnnotations', with_bbox=True, with_mask=has_masks(config))
        dataset['pipeline'] = [steps[0], load, *steps[1:]]


def _picture(dataset: Any, index: int, options: BrowseOptions, legend: Legend) -> Image | None:
    info = dataset.get_data_info(index)
    if not dataset.test_mode:
        info['dataset'] = dataset
    title = f'{index} {Path(info["img_path"]).name}'
    try:
        if options.mode == 'original':
            return _original(info, title, options.max_side, legend)
        found = list(stages.run_stages(dataset.pipeline.transforms, info))
    except UnreadableImageError as error:
        print(f'warning: {error}', file=sys.stderr)
        return None
    if options.show_keys:
        print('\n'.join(line for stage in found for line in stages.describe_keys(stage)))
    if options.mode == 'pipeline':
        return with_title(stages.draw_steps(found, legend), title)
    sample = found[-1].sample if found else None
    if sample is None or 'img' not in sample:
        print(f'warning: {title}: the pipeline gives no image', file=sys.stderr)
        return None
    count = len(stages.sample_objects(sample).boxes)
    picture = stages.draw_sample(sample, legend, options.max_side)
    return with_title(picture, f'{title}, {count} objects')


def _original(info: dict, title: str, max_side: int, legend: Legend) -> Image:
    info = LoadImageFromFile()(info)  # refuses a stated size that no mask of would fit in memory
    objects = stages.original_objects(info)
    picture = draw_objects(stages.as_bgr(info['img']), objects, legend, max_side)
    return with_title(picture, f'{title}, {len(objects.boxes)} objects')


@dataclass(frozen=True)
class JsonOptions:
    """What is shown of an annotation file.

    Attributes:
        masks: draw outlines and masks, not boxes alone.
        category_names: objects of these classes, and images that have one; empty for all.
        shuffle: in random order.
        seed: of that order.
        max_side: of pictures in pixels.
    """

    masks: bool = True
    category_names: Sequence[str] = ()
    shuffle: bool = False
    seed: int = 0
    max_side: int = 1600


def pictures_of_json(
    ann_file: Path, img_dir: Path, options: JsonOptions
) -> Iterator[tuple[str, Image]]:
    """Yield ``<image id>_<stem>`` and a BGR picture (H, W, 3) of each image of a COCO file.

    Images that cannot be read are named on stderr and left out.

    Raises:
        DataError: the file is unusable, or a class is not in it.
    """
    content = read_coco_json(str(ann_file), for_evaluation=True)
    names = [str(category['name']) for category in content['categories']]
    labels = {category['id']: label for label, category in enumerate(content['categories'])}
    check_classes_exist(options.category_names, content['categories'], str(ann_file))
    wanted = set(options.category_names) or set(names)
    instances = defaultdict(list)
    for one in content['annotations']:
        label = labels.get(one['category_id'])
        if label is not None and names[label] in wanted:
            instances[one['image_id']].append(_instance(one, label, options.masks))
    images = list(content['images'])
    if options.shuffle:
        np.random.default_rng(options.seed).shuffle(images)  # type: ignore[arg-type]
    legend = Legend(names, complete_palette(None, max(len(names), 1)))
    for image in images:
        if options.category_names and not instances[image['id']]:
            continue
        path = img_dir / image['file_name']
        info = dict(
            img_path=str(path),
            height=image['height'],
            width=image['width'],
            instances=instances[image['id']],
        )
        try:
            picture = _original(info, image['file_name'], options.max_side, legend)
        except UnreadableImageError as error:
            print(f'warning: {error}', file=sys.stderr)
            continue
        yield picture_name(image['id'], path), picture


def _instance(annotation: dict, label: int, with_mask: bool) -> dict:
    x, y, width, height = annotation['bbox']
    return dict(
        bbox=[x, y, x + width, y + height],
        bbox_label=label,
        ignore_flag=int(bool(annotation.get('iscrowd'))),
        mask=annotation.get('segmentation') if with_mask else None,
    )


def picture_name(number: int | str, path: str | Path) -> str:
    """Return ``<number>_<stem of the image>``, made fit to be a file's name in any folder.

    >>> picture_name('../1', 'images/a.b.jpg')
    '.._1_a.b'
    """
    name = _UNFIT_IN_NAMES.sub('_', f'{number}_{Path(path).stem}')
    return name.encode()[:MAX_NAME_BYTES].decode(errors='ignore')


def has_display() -> bool:
    """Say whether there is a screen for windows."""
    return not sys.platform.startswith('linux') or bool(
        os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')
    )


def can_show() -> bool:
    """Say whether OpenCV can open windows."""
    return has_display() and 'GUI:                           NONE' not in cv2.getBuildInformation()


def require_window(show: bool, is_there: Callable[[], bool] = can_show) -> None:
    """Raise ConfigError if a window is asked for and none can be opened."""
    if show and not is_there():
        raise ConfigError('--show: no window can be opened here. Leave it out.')


def deliver(
    named: Iterator[tuple[str, Image]],
    out_dir: Path | None,
    not_show: bool,
    seconds: float,
    total: int | None = None,
) -> int:
    """Write pictures as JPEG, show them, or both, and say where they are.

    Args:
        named: names without suffix, and pictures.
        out_dir: None writes to :data:`DEFAULT_OUT_DIR` if no window can be opened.
        not_show: open no window. In a window a key press goes on, q or Esc ends.
        seconds: that a picture stays; 0 waits for a key.
        total: number of pictures, for the progress bar.

    Returns:
        How many there were.

    Raises:
        DataError: there were none, or a file cannot be written.
    """
    show = not not_show and can_show()
    out_dir = out_dir or (None if show else DEFAULT_OUT_DIR)
    count = 0
    for name, picture in tqdm(named, total=total, disable=None, unit=' images'):
        count += 1
        if out_dir is not None:
            path = out_dir / f'{name}.jpg'
            write_bytes(encode_image(picture, path), path)
        if show:
            cv2.imshow('browse', picture)
            if cv2.waitKey(int(seconds * 1000)) & 0xFF in (ord('q'), 27):
                break
    if show:
        cv2.destroyAllWindows()
    if not count:
        raise DataError('Nothing was drawn: no image could be read, or none was chosen.')
    if out_dir is not None:
        print(f'{count} pictures in {out_dir}')
    return count
