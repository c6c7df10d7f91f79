"""Odd image files and file names: every converter, the doctor and the pictures come to an end."""

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmyolo_lite.apis.browse import JsonOptions, deliver, pictures_of_json
from mmyolo_lite.datasets.coco_checks import read_coco_json
from mmyolo_lite.datasets.converters.labelme import convert_labelme
from mmyolo_lite.datasets.converters.subset import SubsetOptions, extract_subcoco, sources_of
from mmyolo_lite.datasets.converters.to_yolo import convert_to_yolo
from mmyolo_lite.datasets.converters.via import convert_via_splits
from mmyolo_lite.datasets.converters.voc import convert_voc
from mmyolo_lite.datasets.converters.yolo import convert_yolo
from mmyolo_lite.datasets.doctor.fix import fix_set
from mmyolo_lite.datasets.doctor.kinds import KINDS, Severity
from mmyolo_lite.datasets.doctor.sets import CheckedSet, check_sets

SIZE_WH = (16, 12)
RING = [1, 1, 9, 1, 9, 9, 1, 9]


def truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE_WH[::-1], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, 'JPEG')
    path.write_bytes(path.read_bytes()[:-60])


def bomb(path: Path) -> None:
    """Write a PNG whose header promises 60,000 x 60,000 pixels."""
    header = struct.pack('>IIBBBBB', 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = b''
    for name, data in ((b'IHDR', header), (b'IDAT', zlib.compress(b'\0' * 99)), (b'IEND', b'')):
        crc = struct.pack('>I', zlib.crc32(name + data))
        chunks += struct.pack('>I', len(data)) + name + data + crc
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunks)


def sixteen_bits(path: Path) -> None:
    Image.fromarray(np.full(SIZE_WH[::-1], 40_000, dtype=np.uint16)).save(path, 'PNG')


MAKERS: dict[str, Callable[[Path], object]] = {
    'empty': lambda path: path.write_bytes(b''),
    'truncated': truncated,
    'sixteen-bits': sixteen_bits,
    'cmyk': lambda path: Image.new('CMYK', SIZE_WH).save(path, 'JPEG'),
    'bomb': bomb,
    'text': lambda path: path.write_text('Not Found'),
    'folder': lambda path: path.mkdir(),
    'pipe': lambda path: os.mkfifo(path),
    'broken-link': lambda path: path.symlink_to('nowhere.jpg'),
    'circle-of-links': lambda path: path.symlink_to(path.name),
    'missing': lambda path: None,
}
USABLE = {'sixteen-bits', 'cmyk'}
"""What decodes to the stated size."""
HEADED = {*USABLE, 'truncated'}
"""What has a header with a sensible size: converters look no further."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with a good picture ``good.jpg`` and annotations for it and ``odd.jpg``."""
    return annotate(tmp_path / 'set', 'odd.jpg')


def annotate(root: Path, odd: str) -> Path:
    root.mkdir()
    Image.new('RGB', SIZE_WH, 'red').save(root / 'good.jpg')
    images, annotations, via = [], [], {}
    for number, name in enumerate(('good.jpg', odd), 1):
        stem = name.removesuffix('.jpg')
        width, height = SIZE_WH
        images.append(dict(id=number, file_name=name, width=width, height=height))
        annotations.append(
            dict(id=number, image_id=number, category_id=1, bbox=[1, 1, 8, 8], area=64)
            | dict(segmentation=[RING], iscrowd=0)
        )
        x, y = RING[::2], RING[1::2]
        shape = dict(name='polygon', all_points_x=x, all_points_y=y)
        via[name] = dict(filename=name, size=1, regions=[dict(shape_attributes=shape)])
        points = list(zip(x, y, strict=True))
        (root / f'{stem}.json').write_text(
            json.dumps(dict(shapes=[dict(label='cat', points=points)], imagePath=name))
        )
        (root / f'{stem}.txt').write_text('0 0.5 0.5 0.25 0.5\n')
        corners = '<xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax>'
        (root / f'{stem}.xml').write_text(
            f'<annotation><object><name>cat</name><bndbox>{corners}</bndbox></object></annotation>'
        )
    (root / 'classes.txt').write_text('cat\n')
    (root / 'via').write_text(json.dumps(via))
    coco = dict(images=images, annotations=annotations, categories=[dict(id=1, name='cat')])
    (root / 'coco').write_text(json.dumps(coco))
    return root


def convert_all(root: Path, out: Path) -> list[int]:
    """Run the converters to COCO and return the number of images each kept."""
    out.mkdir()
    convert_via_splits(root.parent, [root.name], 'via', out / 'via')
    convert_labelme(root, root, out / 'labelme.json')
    convert_yolo(root, out / 'yolo')
    convert_voc(root, out / 'voc')
    files = [out / f'via/{root.name}.json', out / 'labelme.json']
    files += [out / 'yolo/result.json', out / 'voc/result.json']
    return [len(read_coco_json(str(path))['images']) for path in files]


@pytest.mark.parametrize('kind', MAKERS)
def test_converters(root: Path, tmp_path: Path, kind: str) -> None:
    MAKERS[kind](root / 'odd.jpg')
    assert convert_all(root, tmp_path / 'out') == [1 + (kind in HEADED)] * 4


@pytest.mark.parametrize('kind', MAKERS)
def test_parts_of_coco(root: Path, tmp_path: Path, kind: str) -> None:
    MAKERS[kind](root / 'odd.jpg')
    is_file = (root / 'odd.jpg').is_file()
    coco, folder = str(root / 'coco'), str(root)
    convert_to_yolo([coco], tmp_path / 'yolo', [root], ['train'])
    assert len(list(tmp_path.glob('yolo/labels/train/*.txt'))) == 1 + is_file
    sources = sources_of('', train_json=coco, val_json=coco, train_img=folder, val_img=folder)
    extract_subcoco(sources, tmp_path / 'small', SubsetOptions(0))
    assert len(list(tmp_path.glob('small/train2017/*'))) == 1 + is_file


@pytest.mark.parametrize('kind', MAKERS)
def test_doctor(root: Path, tmp_path: Path, kind: str) -> None:
    MAKERS[kind](root / 'odd.jpg')
    one = CheckedSet(str(root / 'coco'), str(root))
    report = check_sets([one])
    errors = [code for code in report.counts if KINDS[code].severity == Severity.ERROR]
    assert len(errors) == (kind not in USABLE)
    fixed = fix_set(one, tmp_path / 'mended.json')
    assert len(fixed.content['images']) == 1 + (kind in USABLE)
    assert fixed.report.worst < Severity.ERROR


@pytest.mark.parametrize('kind', MAKERS)
def test_browse(root: Path, tmp_path: Path, kind: str, capfd: pytest.CaptureFixture) -> None:
    MAKERS[kind](root / 'odd.jpg')
    named = pictures_of_json(root / 'coco', root, JsonOptions(max_side=64))
    count = deliver(named, tmp_path / 'out', True, 0)
    assert count == len(list((tmp_path / 'out').glob('*.jpg')))
    assert count == 2 or 'odd.jpg' in capfd.readouterr().err


@pytest.mark.parametrize(
    'name',
    [
        'with space.jpg',
        'ünïcödé 猫.jpg',
        'a' * 250 + '.jpg',
        'quote\'".jpg',
        '-rf.jpg',
        '%s{}.jpg',
        'new\nline.jpg',
        os.fsdecode(b'caf\xe9.jpg'),
    ],
)
def test_odd_names(tmp_path: Path, name: str) -> None:
    root = annotate(tmp_path / 'set', name)
    Image.new('RGB', SIZE_WH, 'blue').save(root / name)
    assert convert_all(root, tmp_path / 'out') == [2] * 4
    convert_to_yolo([root / 'coco'], tmp_path / 'yolo', [root], ['train'])
    assert len(list((tmp_path / 'yolo/images/train').iterdir())) == 2
    one = CheckedSet(str(root / 'coco'), str(root))
    assert check_sets([one]).worst < Severity.ERROR
    named = pictures_of_json(root / 'coco', root, JsonOptions(max_side=64))
    assert deliver(named, tmp_path / 'pictures', True, 0) == 2
