"""Ground truth of an annotation file for the metric, read once for the dataset and the metric.

A validation set hands over what it has read, as one block of bytes: a metric that is built for the
same file takes it, and no second copy stays. One block costs worker processes nothing, where they
would copy every page of a million small objects.
"""

import contextlib
import gc
import os
import pickle
from collections.abc import Iterator
from typing import Any, NamedTuple

from mmyolo_lite.datasets.coco_checks import read_coco_json

# what scoring needs of each entry
_IMAGE_KEYS = ('id', 'height', 'width')
_ANNOTATION_KEYS = ('id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'segmentation')


class _Handed(NamedTuple):
    key: tuple[str, int, int]
    packed: bytes


_handed: _Handed | None = None


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Keep Python from looking for cycles, again and again, among millions of objects just made."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def hand_over(path: str, content: dict, backend_args: dict | None = None) -> None:
    """Keep the content of a file for the metric that asks next; only of a local file.

    Args:
        path: the file.
        content: what :func:`read_coco_json` gives for evaluation.
        backend_args: arguments of the storage backend.
    """
    global _handed
    key = _key(path, backend_args)
    _handed = None if key is None else _Handed(key, packed_truth(content))


def forget() -> None:
    """Drop what was handed over and nobody has taken."""
    global _handed
    _handed = None


@no_garbage_collection()
def read_truth(path: str, backend_args: dict | None = None) -> bytes:
    """Return the ground truth of a file, packed: as handed over, which is then dropped, or read.

    Raises:
        DataError: see :func:`read_coco_json`.
    """
    global _handed
    key = _key(path, backend_args)
    if _handed is not None and _handed.key == key:
        packed, _handed = _handed.packed, None
        return packed
    return packed_truth(read_coco_json(path, backend_args, for_evaluation=True))


def packed_truth(content: dict) -> bytes:
    """Return what scoring needs of the content of a file; :func:`unpacked_truth` undoes it."""
    annotations = [
        {key: annotation[key] for key in _ANNOTATION_KEYS if key in annotation}
        for annotation in content['annotations']
    ]
    images = [{key: image[key] for key in _IMAGE_KEYS} for image in content['images']]
    categories = [{key: one[key] for key in ('id', 'name')} for one in content['categories']]
    truth = {'images': images, 'categories': categories, 'annotations': annotations}
    return pickle.dumps(truth, protocol=pickle.HIGHEST_PROTOCOL)


def unpacked_truth(packed: bytes) -> dict[str, list[dict[str, Any]]]:
    """Return ``images``, ``categories`` and ``annotations`` as in the file, with needed keys."""
    return pickle.loads(packed)


def _key(path: str, backend_args: dict | None) -> tuple[str, int, int] | None:
    """Return what changes when a local file does; None for another place."""
    if (backend_args or {}).get('backend', 'local') not in ('local', 'LocalBackend'):
        return None
    try:
        state = os.stat(path)
    except OSError:
        return None
    return os.path.realpath(path), state.st_size, state.st_mtime_ns
