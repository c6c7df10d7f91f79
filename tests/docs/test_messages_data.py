"""Messages about data that no other test looks at: converters, downloads, transforms."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmyolo_lite.datasets import collate
from mmyolo_lite.datasets.batch_shapes import BatchShapePolicy
from mmyolo_lite.datasets.coco import complete_palette
from mmyolo_lite.datasets.converters import files, split, to_yolo, voc, yolo_layout
from mmyolo_lite.datasets.converters.coco_json import ConversionReport, image_size_wh
from mmyolo_lite.datasets.converters.coco_reader import read_coco_set
from mmyolo_lite.datasets.converters.coco_sets import read_checked
from mmyolo_lite.datasets.converters.subset import SubsetOptions, _check_options
from mmyolo_lite.datasets.download import archives
from mmyolo_lite.datasets.download.archives import list_members
from mmyolo_lite.datasets.download.run import make_plan
from mmyolo_lite.datasets.transforms.affine import YOLOv5RandomAffine
from mmyolo_lite.datasets.transforms.copy_paste import YOLOv5CopyPaste
from mmyolo_lite.datasets.transforms.mosaic import Mosaic
from mmyolo_lite.datasets.transforms.mosaic_affine import MosaicAffine
from mmyolo_lite.datasets.transforms.polygon2mask import Polygon2Mask
from mmyolo_lite.datasets.transforms.resize import LetterResize, YOLOv5KeepRatioResize
from tests.datasets.download import hostile
from tests.docs.raising import Case, raises, written

CATEGORY = {'id': 1, 'name': 'cat'}
IMAGE = {'id': 1, 'file_name': 'a.jpg', 'width': 60, 'height': 40}
BOX = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 30, 20], 'area': 600, 'iscrowd': 0}


def coco(folder: Path, **changed: Any) -> Path:
    content = {'images': [IMAGE], 'annotations': [BOX], 'categories': [CATEGORY], **changed}
    return written(folder / 'a.json', json.dumps(content))


def read(folder: Path, report: ConversionReport | None = None, **changed: Any) -> Any:
    return read_coco_set(coco(folder, **changed), report or ConversionReport())


def names(folder: Path, text: str, name: str = 'data.yaml') -> Any:
    return yolo_layout.read_names(written(folder / name, text))


def collated(_: Path) -> Any:
    sample = DetDataSample(gt_instances=InstanceData(masks=np.zeros((1, 4, 4))))
    sample.gt_instances.bboxes = HorizontalBoxes(torch.zeros(1, 4))
    sample.gt_instances.labels = torch.zeros(1, dtype=torch.int64)
    return collate.yolov5_collate([{'inputs': torch.zeros(3, 4, 4), 'data_samples': sample}])


CONVERTERS: list[Case] = [
    ('not a COCO file: it has no list "annotations"', lambda f: read(f, annotations=None)),
    ('category 0: has no id', lambda f: read(f, categories=[{'name': 'cat'}])),
    ('its id 1 appears twice', lambda f: read(f, categories=[CATEGORY, CATEGORY])),
    (
        '(--skip-errors leaves it out and goes on)',
        lambda f: read(f, annotations=[{**BOX, 'image_id': 7}]),
    ),
    ('(left out without --strict)', lambda f: ConversionReport(strict=True).skip('odd', 'a.jpg')),
    ('not a readable image', lambda f: image_size_wh(written(f / 'a.jpg', 'text'))),
    (
        '(left as it is without --strict)',
        lambda f: read_checked(str(coco(f, annotations=[{**BOX, 'bbox': [1, 2, -3, 4]}])), True),
    ),
    (
        "the class 'cat' or its id 1 appears twice",
        lambda f: files.number_classes([('cat', 0), ('cat', 1)], f / 'classes.txt'),
    ),
    (
        'no regular expression',
        lambda f: split.split_coco(
            str(coco(f, images=[IMAGE, {**IMAGE, 'id': 2}])),
            str(f / 'out'),
            split.SplitOptions(ratios=(1, 1), group_by='('),
        ),
    ),
    (
        'give 2 different names of letters',
        lambda f: split.split_coco(
            str(coco(f)), str(f / 'out'), split.SplitOptions(ratios=(1, 1), names=('a', 'a'))
        ),
    ),
    (
        '--area-size',
        lambda f: _check_options(SubsetOptions(area_size='huge')),
    ),
    (
        'name a different one for each with --splits',
        lambda f: to_yolo._check_splits(['train'], [f / 'a.json', f / 'b.json']),
    ),
    (
        'holds several data sets, pass one: VOC2007',
        lambda f: voc.read_layout(written(f / 'VOC2007/Annotations/a.xml').parents[2], None, None),
    ),
    ('too large for a list of classes', lambda f: names(f, ' ' * (yolo_layout.MAX_YAML_BYTES + 1))),
    ('not a data.yaml', lambda f: names(f, '- cat\n')),
    ('of "names" is no whole number', lambda f: names(f, 'names: {x: cat}\n')),
]
DOWNLOADS: list[Case] = [
    ('it needs --unzip', lambda f: make_plan(delete=True)),
    ('2 checksums for 1 files', lambda f: make_plan(url=['http://x.org/a'], sha256=['0' * 64] * 2)),
    (
        'two files are named',
        lambda f: make_plan(url=['http://x.org/a.zip', 'http://y.org/a.zip']),
    ),
    ('names neither a URL nor a local file', lambda f: make_plan(url=['/'])),
    (
        '64 hexadecimal digits expected',
        lambda f: make_plan(url=['http://x.org/a'], sha256=['123']),
    ),
    ('only http and https URLs', lambda f: make_plan(url=['ftp://x.org/a.zip'])),
]
ARCHIVES = {
    'tar symbolic link': 'is a link or a special file',
    'zip symbolic link': 'is a link or a special file',
    'zip encrypted': 'is encrypted',
    'zip ../evil.txt': 'nothing was unpacked',
    'zip good.txt/evil.txt': 'lies below a file',
    'zip ./good.txt': 'is there twice',
    'zip of many': 'more than 30 entries',
    'zip bomb': 'a decompression bomb',
    'tar.gz huge header': 'a tar header claims',
}
TRANSFORMS: list[Case] = [
    ('extra_pad_ratio must be >= 0', lambda f: BatchShapePolicy(extra_pad_ratio=-1)),
    ("metainfo['palette'] must be a list", lambda f: complete_palette([(1, 2)], 1)),
    ('yolov5_collate got masks of type ndarray', collated),
    ('max_translate_ratio is 2, it must', lambda f: YOLOv5RandomAffine(max_translate_ratio=2)),
    ('ioa_thresh is 2, it must lie', lambda f: YOLOv5CopyPaste(ioa_thresh=2)),
    ('Mosaic: prob is 2, it must lie', lambda f: Mosaic(prob=2)),
    ('max_refetch is -1, it must not be negative', lambda f: Mosaic(max_refetch=-1)),
    ('coco_style=True is not supported', lambda f: Polygon2Mask(coco_style=True)),
    ('Polygon2Mask finds no gt_masks', lambda f: Polygon2Mask().transform({})),
    ('scale_factor is not supported', lambda f: YOLOv5KeepRatioResize(scale_factor=2.0)),
    ('one or two whole numbers >= 1', lambda f: LetterResize(scale=(0, 640))),
    ('keep_ratio must be True', lambda f: YOLOv5KeepRatioResize(scale=640, keep_ratio=False)),
    ('MosaicAffine: ', lambda f: MosaicAffine({'size': 2}, {})),
]


@pytest.mark.parametrize(
    'case', [*CONVERTERS, *DOWNLOADS, *TRANSFORMS], ids=lambda case: case[0][:40]
)
def test_message(case: Case, tmp_path: Path) -> None:
    raises(case, tmp_path)


@pytest.mark.parametrize('kind', ARCHIVES)
def test_message_of_archive(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, 'MIN_SUSPECT_BYTES', 1 << 18)
    monkeypatch.setattr(archives, 'MAX_MEMBERS', 30)
    path = written(tmp_path / 'archive', hostile.UNSAFE[kind]())
    raises((ARCHIVES[kind], lambda _: list_members(path)), tmp_path)


def test_message_of_a_damaged_archive(tmp_path: Path) -> None:
    content = hostile.make_zip({'a': b'x' * 500})
    path = written(tmp_path / 'archive.zip', content[:40] + b'\xff' * 40 + content[80:-8])
    raises(('damaged archive', lambda _: list_members(path)), tmp_path)
