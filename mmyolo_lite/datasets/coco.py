"""Datasets in COCO format for training with mixed images and validation with batch shapes."""

import logging
import os
import os.path as osp
import pickle
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import Compose
from mmdet.datasets import BaseDetDataset, CocoDataset
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from numpy.typing import NDArray

from mmyolo_lite.datasets import coco_truth
from mmyolo_lite.datasets.coco_checks import (
    check_classes,
    check_classes_exist,
    defect_of_mask,
    read_coco_json,
    shortened,
)
from mmyolo_lite.datasets.doctor.annotations import quick_check
from mmyolo_lite.datasets.doctor.kinds import Severity
from mmyolo_lite.datasets.fast_pipeline import private, speed_up
from mmyolo_lite.datasets.image_cache import CacheSettings
from mmyolo_lite.datasets.image_cache import set_up as set_up_cache
from mmyolo_lite.datasets.palette import complete_palette
from mmyolo_lite.datasets.sample_seeds import SampleSeeds
from mmyolo_lite.datasets.transforms.load_annotations import LoadAnnotations, has_mask
from mmyolo_lite.datasets.transforms.loading import UnreadableImageError
from mmyolo_lite.datasets.unreadable import UnreadableImages
from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.registry import DATASETS, TASK_UTILS, TRANSFORMS

MAX_SEARCHED_FOLDERS = 1000
"""So many folders of the data root are searched for a missing image."""


class BatchShapePolicyDataset(BaseDetDataset):
    """Mix-in: batch shapes for validation, a handle for mixing transforms, early failures.

    Source: spec data.md 1.1. In training mode the pipeline finds the dataset under
    ``results['dataset']``, from which Mosaic and MixUp fetch other images; an unreadable image is
    replaced by another sample.

    Args:
        args: as in mmdet.
        batch_shapes_cfg: config of a batch-shape policy (TASK_UTILS), which orders the images and
            writes ``batch_shape``; None for one shape.
        cache: ``ram`` or ``disk`` keeps the images of a training set at the size of mosaic tiles,
            so that each is decoded once; None decodes them each time. See
            :class:`mmyolo_lite.datasets.image_cache.CacheSettings`, for what follows too.
        cache_limit_gb: most gigabytes of it; None for half of what is free.
        cache_dir: folder of the file of ``disk``; None for ``.image_cache`` in the data root.
        reduced_decode: read large JPEG files at a fraction of their size.
        fast_pipeline: replace parts of a training pipeline by faster ones that do the same, see
            :func:`mmyolo_lite.datasets.fast_pipeline.speed_up`.
        kwargs: as in mmdet. With ``lazy_init=True`` the image files are not looked for.

    Raises:
        ConfigError: `cache` or its limit is wrong, or the pipeline has no place for a cache.
    """

    def __init__(
        self,
        *args: Any,
        batch_shapes_cfg: dict | None = None,
        cache: str | None = None,
        cache_limit_gb: float | None = None,
        cache_dir: str | None = None,
        reduced_decode: bool = False,
        fast_pipeline: bool = True,
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        self.batch_shapes_cfg = batch_shapes_cfg
        self.cache_settings = CacheSettings(cache, cache_limit_gb, cache_dir, reduced_decode)
        self.fast_pipeline = fast_pipeline
        self._fully_initialized: bool = False
        self.sample_seeds = SampleSeeds()
        self._check_image_files = not lazy_init
        super().__init__(*args, lazy_init=lazy_init, **kwargs)

    def full_init(self) -> None:
        """Load, order, filter, cut to ``indices``, check and serialise the list of images; once.

        Raises:
            DataError: the annotation file is unusable, a training set has no image, no object or,
                where masks are loaded, no mask left, or an image file is missing.
            ConfigError: the configured classes do not fit the annotation file.
        """
        if self._fully_initialized:
            return
        with coco_truth.no_garbage_collection():
            self.data_list = self.load_data_list()
        if self.batch_shapes_cfg:
            self.data_list = TASK_UTILS.build(self.batch_shapes_cfg)(self.data_list)
        loaded = len(self.data_list)
        self.data_list = self.filter_data()
        if not self.test_mode:
            self._check_not_empty(loaded)
        if self._indices is not None:
            self.data_list = self._get_unserialized_subset(self._indices)
        if self._check_image_files:
            self.check_images()
        self._prepare_pipeline()
        if self.serialize_data:
            self.data_bytes, self.data_address = self._serialize_data()
        self._fully_initialized = True
        self._unreadable = UnreadableImages(len(self))

    def set_pipeline(self, steps: Sequence[dict]) -> None:
        """Replace the pipeline of a training set; an image cache stays with the old one.

        Args:
            steps: configs of transforms.
        """
        self.full_init()
        # through this package's registry, so that type names resolve without a default scope too
        pipeline = Compose([TRANSFORMS.build(step) for step in steps])
        pipeline.transforms = (speed_up if self.fast_pipeline else private)(pipeline.transforms)
        self.pipeline = pipeline

    def _prepare_pipeline(self) -> None:
        """Make the pipeline fast, and fill the image cache, if there is to be one."""
        if not self.test_mode:
            prepare = speed_up if self.fast_pipeline else private
            self.pipeline.transforms = prepare(self.pipeline.transforms)
        sized = (info for info in self.data_list if 'width' in info)
        ann_file = Path(self.ann_file).absolute()
        # sets whose files are named alike are told apart
        name = f'{ann_file.stem}-{sha256(str(ann_file).encode()).hexdigest()[:4]}'
        set_up_cache(
            self.cache_settings,
            self.pipeline.transforms,
            ((info['img_path'], info['width'], info['height']) for info in sized),
            (Path(self.data_root or osp.dirname(self.ann_file)), name),
        )

    def _serialize_data(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Turn ``data_list`` into bytes and empty it, without a second copy of either.

        Worker processes share the pages of two arrays; of small objects they would copy nearly
        all, as looking at an object changes the count of its users.

        Returns:
            The pickled dicts, one after another, and where each ends.
        """
        packed, ends = bytearray(), np.empty(len(self.data_list), dtype=np.int64)
        for index, info in enumerate(self.data_list):
            packed += pickle.dumps(info, protocol=4)
            ends[index] = len(packed)
            self.data_list[index] = None
        self.data_list.clear()
        return np.frombuffer(packed, dtype=np.uint8), ends

    def _check_not_empty(self, loaded: int) -> None:
        """Refuse a training set that teaches nothing.

        Args:
            loaded: number of its images before filtering.
        """
        if not self.data_list:
            raise DataError(
                f'No image of {self.ann_file} is left for training: it has {loaded}, and '
                f'filter_cfg={self.filter_cfg} removes them all.'
            )
        objects = [
            instance
            for info in self.data_list
            for instance in info['instances']
            if instance['ignore_flag'] == 0
        ]
        if not objects:
            raise DataError(
                f'No object of {self.ann_file} is left for training in {len(self.data_list)} '
                f'images. {self._classes_in_file()}Configured classes: '
                f"{shortened(self.metainfo['classes'])}. Check metainfo['classes'], and that "
                'boxes have positive area inside their images.'
            )
        if loads_masks(self.pipeline):
            self._check_masks(objects)

    def _check_masks(self, objects: list[dict]) -> None:
        """Refuse objects of which none has a mask, and warn of some: they are not trained on."""
        lacking = sum(not has_mask(instance.get('mask')) for instance in objects)
        if lacking == len(objects):
            raise DataError(
                f'{self.ann_file} has {lacking} objects, none with a polygon in "segmentation" '
                '(a ring needs at least three points), but the pipeline loads masks '
                '(LoadAnnotations with_mask=True). Add polygons, or train boxes alone with a '
                'config of detection.'
            )
        if lacking:
            print_log(
                f'{self.ann_file}: {lacking} of {len(objects)} objects have no polygon in '
                '"segmentation"; they are left out of the training of masks and boxes.',
                'current',
                logging.WARNING,
            )

    def _classes_in_file(self) -> str:
        """Return a sentence about the classes of the annotation file, or nothing."""
        return ''

    def check_images(self) -> None:
        """Check that the image files exist, without opening them; only local ones.

        Raises:
            DataError: some are missing; the message names the first one and says how many.
        """
        if (self.backend_args or {}).get('backend', 'local') not in ('local', 'LocalBackend'):
            return
        paths = [path for path in self._image_paths() if '://' not in path]
        missing = [path for path in paths if not osp.isfile(path)]
        if missing:
            raise DataError(
                f'{len(missing)} of {len(paths)} image files of {self.ann_file} do not exist. The '
                f'first: {missing[0]}. {self._where_images_are(missing[0])}Check '
                f'data_root={self.data_root!r} and data_prefix={self.data_prefix!r} in the '
                'config: a path is data_root/data_prefix/file_name, seen from the current folder.'
            )

    def _where_images_are(self, missing: str) -> str:
        """Return a sentence about a folder of ``data_root`` that holds a missing file, or ''."""
        file_name = osp.relpath(missing, self.data_prefix.get('img') or '.')
        folders = (folder for folder, _, _ in os.walk(self.data_root or '.'))
        for folder in islice(folders, MAX_SEARCHED_FOLDERS):
            if osp.isfile(osp.join(folder, file_name)):
                prefix = osp.relpath(folder, self.data_root or '.').replace(os.sep, '/')
                return (
                    f"It is in {folder}: set data_prefix=dict(img='{prefix}/'), with the block "
                    f"coco_data train_data_prefix='{prefix}/' or val_data_prefix. "
                )
        return ''

    def _image_paths(self) -> Iterable[str]:
        if self._fully_initialized and self.serialize_data:
            return (self.get_data_info(index)['img_path'] for index in range(len(self)))
        return (info['img_path'] for info in self.data_list)

    def _copy_without_annotation(self, memo: dict | None = None) -> Any:
        # mmengine's default memo outlives the call: objects that take the places of freed ones in
        # memory would be mistaken for these in the next copy
        return super()._copy_without_annotation({} if memo is None else memo)

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline for image `idx`.

        Returns:
            What the pipeline returns; in training None for an unreadable image.

        Raises:
            UnreadableImageError: the image cannot be read (test mode).
            DataError: too many images cannot be read (training).
        """
        if self.test_mode:
            return super().prepare_data(idx)
        self.sample_seeds.apply(idx)
        info = self.get_data_info(idx)
        info['dataset'] = self
        try:
            return self.pipeline(info)
        except UnreadableImageError as error:
            self._note_unreadable(error)
            return None

    def _note_unreadable(self, error: UnreadableImageError) -> None:
        """Warn once a file; stop when there are too many."""

        def path_of(number: int) -> str:
            return self.get_data_info(number)['img_path']

        if self._unreadable.total != len(self):  # a part of the set that it was made for
            self._unreadable = UnreadableImages(len(self))
        if not self._unreadable.mark(error.path, path_of):
            return
        print_log(
            f'{error} Training goes on with another image in its place.', 'current', logging.WARNING
        )
        if self._unreadable.are_too_many():
            paths = sorted(map(path_of, self._unreadable.numbers))
            raise DataError(
                f'{len(paths)} of {len(self)} images of {self.ann_file} cannot be read: '
                f'{shortened(paths)}. Repair or replace them, or remove them from the annotation '
                'file.'
            ) from error


def loads_masks(transform: Any) -> bool:
    """Say whether a transform, or one of those that it holds in ``transforms``, loads masks."""
    if isinstance(transform, LoadAnnotations):
        return bool(transform.with_mask)
    inner = getattr(transform, 'transforms', None)
    return isinstance(inner, (list, tuple)) and any(map(loads_masks, inner))


@DATASETS.register_module()
class YOLOv5CocoDataset(BatchShapePolicyDataset, CocoDataset):
    """Dataset in COCO format. Source: spec data.md 1.

    A label is the position of the class in ``metainfo['classes']``, whatever its place in the file.
    """

    @classmethod
    def _load_metainfo(cls, metainfo: Any = None) -> dict:
        loaded = super()._load_metainfo(metainfo)
        check_classes(loaded.get('classes'))
        palette = loaded.get('palette')
        if 'palette' not in (metainfo or {}) and tuple(loaded['classes']) != tuple(
            cls.METAINFO.get('classes', ())
        ):
            palette = None  # COCO's colours say nothing about other classes, and two are alike
        loaded['palette'] = complete_palette(palette, len(loaded['classes']))
        return loaded

    def load_data_list(self) -> list[dict]:
        """Read the annotation file into one dict an image, in order of the file.

        Returns:
            Dicts of ``img_path``, ``img_id``, ``seg_map_path``, ``height``, ``width`` and
            ``instances`` (``bbox`` xyxy in pixels, ``bbox_label``, ``ignore_flag``, and ``mask``,
            the raw segmentation, if there is one).

        Raises:
            DataError: see :func:`mmyolo_lite.datasets.coco_checks.read_coco_json`.
            ConfigError: a configured class is not in the file, or ``data_prefix`` lacks ``img``.
        """
        if 'img' not in self.data_prefix:
            raise ConfigError(
                f'data_prefix={self.data_prefix!r} of the dataset names no folder of images: '
                "set data_prefix=dict(img='folder/'), seen from data_root."
            )
        content = read_coco_json(self.ann_file, self.backend_args, for_evaluation=self.test_mode)
        classes = list(self.metainfo['classes'])
        check_classes_exist(classes, content['categories'], self.ann_file)
        if is_main_process():
            report = quick_check(content, self.ann_file, classes, is_checked=True)
            is_well = report.worst == Severity.INFO
            print_log(report.one_line(), 'current', logging.INFO if is_well else logging.WARNING)
        self._categories = [category['name'] for category in content['categories']]
        chosen = [category for category in content['categories'] if category['name'] in classes]
        self.cat_ids = [category['id'] for category in chosen]
        self.cat2label = {category['id']: classes.index(category['name']) for category in chosen}

        by_image: dict[Any, list[dict]] = {image['id']: [] for image in content['images']}
        # ids out of the annotations would keep the memory that lies around each of them
        own_ids = {image_id: image_id for image_id in by_image}
        self.cat_img_map: dict[Any, list] = {one['id']: [] for one in content['categories']}
        for annotation in content['annotations']:
            by_image[annotation['image_id']].append(annotation)
            found = self.cat_img_map.setdefault(annotation['category_id'], [])
            found.append(own_ids[annotation['image_id']])
        data_list = [
            self.parse_data_info(
                {
                    'raw_img_info': {**image, 'img_id': image['id']},
                    'raw_ann_info': by_image[image['id']],
                }
            )
            for image in content['images']
        ]
        if self.test_mode:
            coco_truth.hand_over(self.ann_file, content, self.backend_args)
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Return what training needs of an image, as mmdet does, but for broken masks of crowds.

        Nobody trains on crowds, so reading lets any dict pass as their mask.
        """
        info = super().parse_data_info(raw_data_info)
        for instance in info['instances']:
            mask = instance.get('mask')
            if isinstance(mask, dict):
                if defect_of_mask(mask, (info['height'], info['width'])) is None:
                    instance['mask'] = {key: mask[key] for key in ('size', 'counts')}
                else:
                    del instance['mask']
        return info

    def _classes_in_file(self) -> str:
        return f'Categories of the file: {shortened(self._categories)}. '
