"""Small sound data sets in every format that is read: what mutations start from."""

import base64
import io
import xml.etree.ElementTree as ElementTree
from typing import Any

from PIL import Image

SIDE = 8
IMAGES = ('a.png', 'b.png', 'c.png')
POLYGON = [[1, 1], [6, 1], [6, 6], [3, 7]]
FLAT = [float(value) for point in POLYGON for value in point]
PARTS = [[0, 0, 3, 0, 3, 3, 0, 3], [5, 5, 8, 5, 8, 8.0, 5, 8]]


def coco() -> dict[str, Any]:
    """Return a COCO file with every form of mask, a crowd and an object that is a box alone."""
    size = [SIDE, SIDE]
    forms: list[tuple[int, dict[str, Any]]] = [
        (1, dict(bbox=[1, 1, 5, 6], area=23.5, segmentation=[FLAT])),
        (1, dict(bbox=[0.0, 0.0, 8.0, 8.0], area=18, segmentation=PARTS)),
        (2, dict(bbox=[1, 0, 2, 8], area=16, segmentation=dict(size=size, counts=[8, 16, 40]))),
        (2, dict(bbox=[1, 0, 2, 8], area=16, segmentation=dict(size=size, counts='8`0X1'))),
        (2, dict(bbox=[4, 4, 4, 4], area=16)),
        (3, dict(bbox=[0, 0, 4, 8], area=32, segmentation=dict(size=size, counts=[0, 32, 32]))),
    ]
    annotations = [
        dict(id=number, image_id=image, category_id=number % 2 + 1, iscrowd=int(image == 3), **form)
        for number, (image, form) in enumerate(forms, 1)
    ]
    images = [
        dict(id=number, file_name=name, height=SIDE, width=SIDE)
        for number, name in enumerate(IMAGES, 1)
    ]
    categories = [dict(id=1, name='cat'), dict(id=2, name='big dog', supercategory='dogs')]
    info = dict(description='all of it', year=2024)
    return dict(
        info=info, licenses=[], images=images, annotations=annotations, categories=categories
    )


def via() -> dict[str, Any]:
    """Return files of the VIA annotator: train as a VIA 2 project, val as VIA 1."""
    x, y = ([point[axis] for point in POLYGON] for axis in (0, 1))
    shapes: list[dict[str, Any]] = [
        dict(name='polygon', all_points_x=x, all_points_y=y),
        dict(name='rect', x=1, y=2, width=4, height=3),
        dict(name='circle', cx=4, cy=4, r=3),
        dict(name='ellipse', cx=4, cy=4, rx=3, ry=2, theta=0.5),
        dict(name='point', cx=4, cy=4),
    ]
    regions = [
        dict(shape_attributes=shape, region_attributes={'kind': 'cat', 'of': {'dog': True}})
        for shape in shapes
    ]
    entries = {
        f'{name}70': dict(filename=name, size=70, regions=regions, file_attributes={})
        for name in IMAGES[:2]
    }
    first = dict(filename='c.png', size=70, regions={'0': regions[0]})
    return {
        'train/via_region_data.json': {'_via_img_metadata': entries, '_via_settings': {}},
        'val/via_region_data.json': {'c.png70': first},
    }


def labelme() -> dict[str, Any]:
    """Return labelme files of two images, and a class file."""
    picture = io.BytesIO()
    Image.new('1', (3, 3), 1).save(picture, 'PNG')
    mask = base64.b64encode(picture.getvalue()).decode()
    shapes: list[dict[str, Any]] = [
        dict(label='cat', points=POLYGON, group_id=None, shape_type='polygon', flags={}),
        dict(label='cat', points=[[1, 1], [5, 6]], group_id=1, shape_type='rectangle'),
        dict(label='cat', points=[[4, 4], [4, 7]], group_id=1, shape_type='circle'),
        dict(label='big dog', points=[[2, 2], [4, 4]], shape_type='mask', mask=mask),
        dict(label='big dog', points=[[2, 2], [4, 4]], shape_type='linestrip'),
    ]
    files: dict[str, Any] = {
        f'labels/{name[0]}.json': dict(
            version='5.4.1',
            shapes=shapes,
            imagePath=f'..\\img\\{name}',
            imageData=None,
            imageHeight=SIDE,
            imageWidth=SIDE,
        )
        for name in IMAGES[:2]
    }
    return {**files, 'classes.txt': [[1, 'cat'], ['#', 'two'], [2, 'big', 'dog']]}


def yolo() -> dict[str, Any]:
    """Return a YOLO data set's label files, lists, class file and YAML file."""
    box, polygon = [0, 0.5, 0.5, 0.25, 0.5], [1, 0.1, 0.1, 0.9, 0.1, 0.9, 0.9, 0.2, 0.8]
    return {
        'labels/train/a.txt': [box, polygon],
        'labels/train/b.txt': [box, []],
        'labels/val/c.txt': [polygon],
        'classes.txt': [['cat'], ['big', 'dog']],
        'data.yaml': dict(
            path='.', train='images/train', val=['images/val'], nc=2, names=['cat', 'big dog']
        ),
    }


def voc() -> dict[str, Any]:
    """Return Pascal VOC files of two images, the list of a split and a class file."""
    pairs = ''.join(f'<x{i}>{x}</x{i}><y{i}>{y}</y{i}>' for i, (x, y) in enumerate(POLYGON, 1))
    points = ''.join(f'<pt><x>{x}</x><y>{y}</y></pt>' for x, y in POLYGON)
    box = '<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>6.5</xmax><ymax>7</ymax></bndbox>'
    objects = [
        f'<name>cat</name><difficult>1</difficult>{box}',
        f'<name>big dog</name><polygon>{points}</polygon>',
        f'<name>cat</name><difficult>0</difficult>{box}<polygon>{pairs}</polygon>',
    ]
    files: dict[str, Any] = {
        f'Annotations/{name[0]}.xml': ElementTree.fromstring(
            f'<annotation><filename>{name}</filename><size><width>8</width><height>8</height>'
            f'<depth>3</depth></size>'
            + ''.join(f'<object>{one}</object>' for one in objects)
            + '</annotation>'
        )
        for name in IMAGES[:2]
    }
    return {
        **files,
        'ImageSets/Main/train.txt': [['a'], ['b', 1]],
        'names.txt': [['big', 'dog'], ['cat']],
    }
