"""A small clean set, and a fault of each kind to plant in it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

SIZE_WH = (80, 60)
EXIF_ORIENTATION = 0x0112


def ring(x: float, y: float, side: float = 20.0) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def thing(number: int, image_id: int, x: float, y: float, category: int = 1) -> dict:
    return dict(
        id=number,
        image_id=image_id,
        category_id=category,
        bbox=[x, y, 20.0, 20.0],
        area=400.0,
        iscrowd=0,
        segmentation=[ring(x, y)],
    )


def save_image(path: Path, seed: int, size_wh: tuple[int, int] = SIZE_WH, **kwargs: Any) -> None:
    """Write noise, different for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **kwargs)


class PlantedSet:
    """Four images with three objects each, of two classes, without any fault."""

    def __init__(self, folder: Path, first_seed: int = 0) -> None:
        self.folder = folder
        width, height = SIZE_WH
        self.content: dict[str, Any] = dict(
            info={},
            licenses=[],
            images=[
                dict(id=i, file_name=f'{i}.png', width=width, height=height) for i in range(1, 5)
            ],
            annotations=[
                thing(3 * i - 3 + k, i, 2.0 + 24 * (k - 1), 5.0 + i, 1 + (k == 3))
                for i in range(1, 5)
                for k in (1, 2, 3)
            ],
            categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
        )
        for i in range(1, 5):
            save_image(self.image(i), first_seed + i)

    def image(self, number: int) -> Path:
        return self.folder / 'images' / f'{number}.png'

    @property
    def ann_file(self) -> Path:
        return self.folder / 'ann.json'

    def write(self) -> Path:
        self.ann_file.write_text(json.dumps(self.content))
        return self.ann_file


def _set(part: str, index: int = 0, **values: Any) -> Callable[[PlantedSet], None]:
    return lambda planted: planted.content[part][index].update(values)


def _object(**values: Any) -> Callable[[PlantedSet], None]:
    return _set('annotations', 4, **values)


def _mask(*rings: list[float], box: list[float] | None = None, area: float = 400.0) -> Any:
    values = dict(segmentation=list(rings), area=area)
    return _object(**values, bbox=box) if box else _object(**values)


def _without(part: str, key: str) -> Callable[[PlantedSet], None]:
    return lambda planted: planted.content[part][4 if part == 'annotations' else 0].pop(key)


def _run_lengths(counts: Any, size: Any = (60, 80), **values: Any) -> Callable[[PlantedSet], None]:
    return _object(segmentation=dict(size=list(size), counts=counts), **values)


def _file(change: Callable[[Path], Any]) -> Callable[[PlantedSet], None]:
    return lambda planted: change(planted.image(1))


def _save(orientation: int = 1, size_wh: tuple[int, int] = SIZE_WH) -> Callable[[Path], None]:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return lambda path: save_image(path, 77, size_wh, exif=exif)


def _duplicate_file(planted: PlantedSet) -> None:
    planted.content['images'].append({**planted.content['images'][0], 'id': 9})
    planted.content['annotations'].append(thing(90, 9, 40.0, 35.0))


def _second_copy(planted: PlantedSet) -> None:
    planted.image(1).write_bytes(planted.image(2).read_bytes())


def _append(part: str, *entries: Any) -> Callable[[PlantedSet], None]:
    return lambda planted: planted.content[part].extend(entries)


_NAN = float('nan')
# the object of index 4 has the id 5 and the box [26, 7, 20, 20] in the image 2
_BOX_RUN = [26 * 60 + 7, 20, *[40, 20] * 19]  # its mask by columns
_BOX_RUN = [*_BOX_RUN, 60 * 80 - sum(_BOX_RUN)]
_CROSSING = [26.0, 7.0, 46.0, 27.0, 46.0, 7.0, 26.0, 22.0]

_COMPRESSED = coco_mask.frPyObjects(dict(size=[60, 80], counts=_BOX_RUN), 60, 80)['counts'].decode()

FAULTS: dict[str, list[Callable[[PlantedSet], None]]] = {
    'missing-list': [
        lambda planted: planted.content.update(annotations=None),
        lambda planted: planted.content.pop('categories') and None,
    ],
    'missing-key': [_without('annotations', 'bbox'), _append('annotations', None, 7, 'x', [])],
    'bad-id': [_object(id=[5]), _object(id=1.5), _object(id=None)],
    'duplicate-image-id': [_append('images', dict(id=1, file_name='x', width=8, height=8))],
    'duplicate-annotation-id': [_object(id=4)],
    'duplicate-category-id': [_append('categories', dict(id=1, name='cow'))],
    'bad-file-name': [_append('images', dict(id=9, file_name=3, width=8, height=8))],
    'bad-image-size': [_append('images', dict(id=9, file_name='x', width=0, height='8'))],
    'bad-category-name': [_append('categories', dict(id=9, name=[]))],
    'unknown-image': [_object(image_id=99), _object(image_id={})],
    'unknown-category': [_object(category_id=99)],
    'bad-category-id': [_object(category_id=[]), _object(category_id=None)],
    'bad-iscrowd': [_object(iscrowd=None), _object(iscrowd=2), _object(iscrowd='0')],
    'bad-box': [
        _object(bbox=[1, 2, 3]),
        _object(bbox=[1, 2, 3, _NAN]),
        _object(bbox='1 2 3 4'),
        _object(bbox=[26, 7, 20, '20']),
        _object(bbox=[26, 7, 20, 10**400]),
    ],
    'bad-area': [_object(area=None), _object(area=_NAN), _object(area='400')],
    'area-zero': [_object(area=0), _object(area=-1.0)],
    'box-empty': [_object(bbox=[26, 7, 0, 20]), _object(bbox=[26, 7, 20, -20])],
    'box-off-image': [_object(bbox=[100, 7, 20, 20])],
    'box-outside': [
        _object(bbox=[70.0, 7, 20, 20], segmentation=[[70, 7, 80, 7, 80, 27, 70, 27]], area=200)
    ],
    'box-under-one-pixel': [
        _object(bbox=[26, 7, 0.5, 20], segmentation=[[26, 7, 26.5, 7, 26.5, 27, 26, 27]], area=10)
    ],
    'box-mask-disagree': [
        _object(bbox=[26, 7, 20, 30]),
        _run_lengths(_BOX_RUN, bbox=[30, 7, 20, 20]),
    ],
    'flat-segmentation': [_object(segmentation=ring(26, 7))],
    'bad-segmentation': [
        _object(segmentation='polygon'),
        _object(segmentation=[[[26, 7], [46, 7], [46, 27]]]),
        _object(segmentation=[[26, 7, 46, 7, 46, 10**400]]),
        _object(segmentation=[[26, 7, 46, 7, 46, '27']]),
        _run_lengths(None),
    ],
    'polygon-too-short': [_mask(ring(26, 7), [26, 7, 46, 7]), _mask([26, 7]), _mask([])],
    'polygon-odd': [_mask(ring(26, 7), [26, 7, 46, 7, 46, 27, 30])],
    'polygon-not-finite': [
        _mask(ring(26, 7), [26, 7, 46, _NAN, 46, 27]),
        _mask([26, 7, 46, float('inf'), 46, 27]),
    ],
    'polygon-flat': [
        _mask(ring(26, 7), [26, 7, 36, 7, 46, 7]),
        _mask(ring(26, 7), [30, 9] * 3),
    ],
    'polygon-outside': [
        _mask([70, 7, 100, 7, 100, 27, 70, 27], box=[70, 7, 30, 20], area=600),
    ],
    'polygon-self-crossing': [_mask(_CROSSING, area=200)],
    'mask-missing': [_object(segmentation=[]), _object(segmentation=None)],
    'rle-mask': [_run_lengths(_BOX_RUN), _run_lengths(_COMPRESSED)],
    'rle-size': [_run_lengths(_BOX_RUN, size=(80, 60)), _run_lengths(_BOX_RUN, size='60x80')],
    'rle-counts': [_run_lengths([5, 5]), _run_lengths([-1, 60 * 80 + 1])],
    'rle-broken': [_run_lengths('04'), _run_lengths('~~~'), _run_lengths('é')],
    'rle-empty': [_run_lengths([60 * 80])],
    'crowd': [_object(iscrowd=1)],
    'crowd-mask': [_run_lengths([5, 5], iscrowd=1), _run_lengths(None, iscrowd=1)],
    'id-zero': [_object(id=0)],
    'iscrowd-missing': [_without('annotations', 'iscrowd')],
    'area-mismatch': [_object(area=40.0)],
    'duplicate-object': [_append('annotations', thing(99, 1, 2.0, 6.0))],
    'duplicate-file-name': [_duplicate_file],
    'duplicate-category-name': [_append('categories', dict(id=9, name='cat'))],
    'image-without-objects': [
        lambda planted: planted.content['annotations'].__delitem__(slice(0, 3))
    ],
    'category-without-objects': [_append('categories', dict(id=9, name='cow'))],
    'image-missing': [_file(Path.unlink), _file(lambda path: path.unlink() or path.mkdir())],
    'image-empty': [_file(lambda path: path.write_bytes(b''))],
    'image-unreadable': [
        _file(lambda path: path.write_bytes(b'no image')),
    ],
    'image-truncated': [
        _file(lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]))
    ],
    'size-mismatch': [_file(_save(size_wh=(90, 70))), _set('images', 0, width=60, height=80)],
    'size-unturned': [_file(_save(orientation=6)), _file(_save(orientation=8))],
    'exif-rotated': [_file(_save(orientation=6, size_wh=SIZE_WH[::-1]))],
    'exif-ambiguous': [_file(_save(orientation=3))],
    'unusual-pixels': [
        _file(lambda path: Image.new('RGBA', SIZE_WH).save(path)),
        _file(lambda path: Image.new('I;16', SIZE_WH).save(path)),
        _file(lambda path: Image.new('CMYK', SIZE_WH).save(path, format='jpeg')),
    ],
    'duplicate-content': [_second_copy],
}
"""Ways to plant each kind of fault that one file and its images can have."""

FOLLOWING: dict[str, set[str]] = {
    'missing-list': {
        'image-without-objects',
        'category-without-objects',
        'unknown-category',
    },
    'duplicate-category-name': {'category-without-objects'},
    'box-empty': {'box-mask-disagree'},
    'box-off-image': {'box-mask-disagree'},
    'polygon-outside': {'box-outside'},
    'box-outside': {'box-mask-disagree'},
    'polygon-self-crossing': {'area-mismatch'},
    'size-mismatch': {'box-outside', 'polygon-outside'},
    'rle-broken': {'rle-mask'},
    'rle-empty': {'rle-mask'},
    'box-mask-disagree': {'rle-mask'},
    'crowd-mask': {'crowd'},
    'bad-file-name': {'image-without-objects'},
}
"""What is found together with a fault because it follows from it."""
