"""Label folders written from COCO files, and the comparison of two COCO files, for round trips."""

import base64
import io
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from mmyolo_lite.datasets.converters.to_yolo import convert_to_yolo
from tests.shared_data import shared_path


def coco_mini(split: str = 'val', crowd: bool = False) -> tuple[dict[str, Any], Path]:
    """Return a COCO file's content, with or without crowd regions, and its image folder."""
    root = shared_path('data/coco_mini')
    content = json.loads((root / f'annotations/instances_{split}2017.json').read_text())
    if not crowd:
        content['annotations'] = [a for a in content['annotations'] if not a['iscrowd']]
    return content, root / f'{split}2017'


def save_image(path: Path, size_wh: tuple[int, int] = (60, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size_wh).save(path)
    return path


def save_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
    return path


def many_images(folder: Path, count: int) -> list[str]:
    """Make images of one pixel, hard links of one file; return their stems."""
    stems = [f'{number:06d}' for number in range(count)]
    first = save_image(folder / f'{stems[0]}.png', (640, 480))
    for stem in stems[1:]:
        os.link(first, folder / f'{stem}.png')
    return stems


def mask_of(annotation: dict[str, Any], image: dict[str, Any]) -> np.ndarray:
    """Rasterise an annotation as COCO does, (H, W) uint8."""
    segmentation, size = annotation['segmentation'], (image['height'], image['width'])
    if isinstance(segmentation, dict):
        is_plain = isinstance(segmentation['counts'], list)
        packed = coco_mask.frPyObjects(segmentation, *size) if is_plain else segmentation
    else:
        packed = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
    return coco_mask.decode(packed)


def by_image(content: dict[str, Any]) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Return each image and its annotations by base name."""
    annotations = defaultdict(list)
    for annotation in content['annotations']:
        annotations[annotation['image_id']].append(annotation)
    return {Path(i['file_name']).name: (i, annotations[i['id']]) for i in content['images']}


def class_names(content: dict[str, Any]) -> dict[int, str]:
    return {category['id']: category['name'] for category in content['categories']}


def differences(before: dict[str, Any], after: dict[str, Any]) -> tuple[float, float]:
    """Compare two COCO files with the same objects in the same order.

    Returns:
        The largest difference of a box coordinate in pixels, and the smallest IoU of masks.
    """
    names_before, names_after = class_names(before), class_names(after)
    old_images, new_images = by_image(before), by_image(after)
    box, iou = 0.0, 1.0
    for name, (image, expected) in old_images.items():
        found = new_images[name][1] if expected or name in new_images else []
        assert [names_before[a['category_id']] for a in expected] == [
            names_after[a['category_id']] for a in found
        ], name
        for old, new in zip(expected, found, strict=True):
            box = max(box, *(abs(a - b) for a, b in zip(old['bbox'], new['bbox'], strict=True)))
            first, second = mask_of(old, image), mask_of(new, image)
            iou = min(iou, (first & second).sum() / max((first | second).sum(), 1))
    return box, iou


def write_labelme(
    content: dict[str, Any], image_dir: Path, folder: Path, *, as_masks: bool = False
) -> None:
    """Write a labelme folder beside links to the images; run-length masks become mask shapes."""
    names = class_names(content)
    for name, (image, annotations) in by_image(content).items():
        shapes = []
        for annotation in annotations:
            label, mask = names[annotation['category_id']], annotation['segmentation']
            if as_masks or isinstance(mask, dict):
                shapes.append(mask_shape(label, mask_of(annotation, image)))
                continue
            for ring in mask:
                group = annotation['id'] if len(mask) > 1 else None
                points = [list(pair) for pair in zip(ring[::2], ring[1::2], strict=True)]
                shapes.append(
                    dict(label=label, points=points, group_id=group, shape_type='polygon')
                )
        label_file = dict(
            version='5.5.0',
            flags={},
            shapes=shapes,
            imagePath=name,
            imageData=None,
            imageHeight=image['height'],
            imageWidth=image['width'],
        )
        save_text(folder / f'{Path(name).stem}.json', json.dumps(label_file))
        (folder / name).symlink_to(image_dir / name)


def mask_shape(label: str, mask: np.ndarray) -> dict[str, Any]:
    """Return labelme's mask shape: a PNG of the crop, between corners that lie inside."""
    rows, columns = np.nonzero(mask)
    left, top, right, bottom = columns.min(), rows.min(), columns.max(), rows.max()
    packed = io.BytesIO()
    Image.fromarray(mask[top : bottom + 1, left : right + 1]).save(packed, 'PNG')
    return dict(
        label=label,
        points=[[float(left), float(top)], [float(right), float(bottom)]],
        group_id=None,
        shape_type='mask',
        mask=base64.b64encode(packed.getvalue()).decode(),
    )


def write_voc(content: dict[str, Any], image_dir: Path, root: Path, split: str) -> dict[str, Any]:
    """Write a VOC folder with object masks, small objects over large ones.

    Returns:
        The content, with the part of each mask that the picture shows as its segmentation.
    """
    names = class_names(content)
    visible = {**content, 'annotations': []}
    for name, (image, annotations) in by_image(content).items():
        key, objects = Path(name).stem, []
        picture = np.zeros((image['height'], image['width']), np.uint8)
        masks = [mask_of(annotation, image) for annotation in annotations]
        for number in sorted(range(len(masks)), key=lambda i: -int(masks[i].sum())):
            picture[masks[number] > 0] = number + 1
        for number, annotation in enumerate(annotations):
            shown = np.asfortranarray(picture == number + 1, dtype=np.uint8)
            rle = coco_mask.encode(shown)
            visible['annotations'].append({**annotation, 'segmentation': rle})
            x, y, width, height = annotation['bbox']
            # pixel numbers from 1, both ends inside
            corners = (round(x) + 1, round(y) + 1, round(x + width), round(y + height))
            objects.append(voc_object(names[annotation['category_id']], corners))
        save_text(root / f'Annotations/{key}.xml', voc_xml(name, image, objects))
        write_palette(root / f'SegmentationObject/{key}.png', picture)
        (root / 'JPEGImages').mkdir(exist_ok=True)
        (root / 'JPEGImages' / name).symlink_to(image_dir / name)
    keys = [Path(name).stem for name in by_image(content)]
    save_text(root / f'ImageSets/Main/{split}.txt', ''.join(f'{key}\n' for key in keys))
    return visible


def write_palette(path: Path, indices: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(indices)
    image.putpalette([value % 256 for index in range(256) for value in (index, index * 7, 99)])
    image.save(path)
    return path


def voc_object(name: str, corners: tuple | None = None, extra: str = '') -> str:
    box = ''
    if corners:
        tags = zip(('xmin', 'ymin', 'xmax', 'ymax'), corners, strict=True)
        box = '<bndbox>' + ''.join(f'<{tag}>{value}</{tag}>' for tag, value in tags) + '</bndbox>'
    return f'<object><name>{name}</name>{extra}{box}</object>'


def voc_xml(name: str, image: dict[str, Any], objects: list[str]) -> str:
    size = f'<width>{image["width"]}</width><height>{image["height"]}</height><depth>3</depth>'
    return (
        f'<annotation><folder>VOC</folder><filename>{name}</filename><size>{size}</size>'
        f'{"".join(objects)}</annotation>'
    )


def write_yolo(content: dict[str, Any], image_dir: Path, root: Path, split: str) -> None:
    json_file = save_text(root.with_name(f'{split}.json'), json.dumps(content))
    convert_to_yolo([json_file], root, [image_dir])
