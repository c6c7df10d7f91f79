"""A prediction as masks, polygons, annotations and pictures, without a model."""

import json

import cv2
import numpy as np
import pytest
from mmdet.datasets.api_wrappers import COCO

from mmyolo_lite.apis.label_files import coco_dataset
from mmyolo_lite.apis.prediction import PredictedMasks, Prediction, simplified
from mmyolo_lite.datasets.coco_checks import read_coco_json
from mmyolo_lite.datasets.converters.labelme import convert_labelme
from mmyolo_lite.datasets.converters.outlines import rasterize_coco
from mmyolo_lite.errors import DataError
from mmyolo_lite.ops.mask_crops import MaskCrop, crop_mask, place_mask
from mmyolo_lite.ops.run_length_masks import RunLengthMasks

SHAPE = (90, 120)
NAMES = ('cat', 'große Katze')


def discs() -> list[np.ndarray]:
    """A disc, a ring, two parts, and nothing."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    far = np.hypot(x - 40, y - 40)
    ring = (far < 30) & (far > 12)
    parts = (np.hypot(x - 95, y - 20) < 11) | (np.hypot(x - 100, y - 70) < 14)
    return [np.hypot(x - 20, y - 20) < 15, ring, parts, np.zeros(SHAPE, dtype=bool)]


def example(masks: bool = True, **more) -> Prediction:
    runs = [place_mask(MaskCrop(0, 0, mask), SHAPE) for mask in discs()]
    return Prediction(
        boxes=np.array(
            [[5, 5, 35.5, 35], [10, 10, 70, 70], [84, 9, 114, 84], [1, 2, 9, 8]], dtype=np.float32
        ),
        scores=np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32),
        labels=np.array([0, 1, 0, 1]),
        class_names=NAMES,
        shape=SHAPE,
        masks=PredictedMasks(RunLengthMasks(runs, SHAPE)) if masks else None,
        **more,
    )


def empty(masks: bool = True) -> Prediction:
    return example(masks).select(np.zeros(4, dtype=bool))


def test_masks_are_decoded_one_by_one():
    masks = example().masks
    assert len(masks) == 4 and masks.shape == (4, *SHAPE)
    for mask, expected in zip(masks, discs(), strict=True):
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(masks.numpy(), np.stack(discs()))
    np.testing.assert_array_equal(masks[1:3][1], discs()[2])
    with pytest.raises(IndexError):
        masks[4]


def test_names_and_selection():
    found = example()
    assert found.names == ['cat', 'große Katze', 'cat', 'große Katze']
    cats = found.select(found.labels == 0)
    assert cats.names == ['cat', 'cat'] and cats.scores.tolist() == pytest.approx([0.9, 0.7])
    np.testing.assert_array_equal(cats.masks[1], discs()[2])
    assert len(empty()) == 0 and empty().masks.shape == (0, *SHAPE)


def test_polygons_give_the_masks_back():
    rings = example().polygons()
    assert [len(parts) for parts in rings] == [1, 1, 2, 0]
    for parts, expected in zip(rings[:3], discs(), strict=False):
        low = np.floor(np.concatenate(parts).min(axis=0)).astype(int)
        top, left, pixels = crop_mask(rasterize_coco(parts))
        mask = np.zeros(SHAPE, dtype=bool)
        top, left = top + low[1], left + low[0]
        mask[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        np.testing.assert_array_equal(mask, expected)


def test_polygons_of_boxes_are_their_corners():
    (ring,) = example(masks=False).polygons()[0]
    assert ring.tolist() == [[5, 5], [35.5, 5], [35.5, 35], [5, 35]]


def test_simplified_rings_stay_near():
    (ring,) = example().polygons()[0]
    fewer = simplified(ring, 1.0)
    assert 4 <= len(fewer) < len(ring) / 3
    distances = [
        abs(cv2.pointPolygonTest(fewer.astype(np.float32), p.tolist(), True)) for p in ring
    ]
    assert max(distances) <= 1.01
    speck = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)
    assert simplified(speck, 5.0) is speck


@pytest.mark.parametrize('masks', [True, False])
def test_coco_data_sets_load(masks, tmp_path):
    path = tmp_path / 'found.json'
    first, last = example(masks, name='a/1.jpg'), example(masks, name='2.jpg')
    content = coco_dataset(iter([first, empty(masks), last]), NAMES)
    path.write_text(json.dumps(content))
    read_coco_json(str(path), for_evaluation=True)
    coco = COCO(str(path))
    assert [image['file_name'] for image in coco.dataset['images']] == [
        'a/1.jpg',
        'image.jpg',
        '2.jpg',
    ]
    annotations = coco.load_anns(coco.get_ann_ids(img_ids=[3]))
    assert [one['score'] for one in annotations] == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert [coco.cats[one['category_id']]['name'] for one in annotations] == last.names
    x, y, width, height = annotations[0]['bbox']
    assert [x, y, x + width, y + height] == last.boxes[0].tolist()
    if masks:
        for one, expected in zip(annotations, discs(), strict=True):
            np.testing.assert_array_equal(coco.annToMask(one).astype(bool), expected)
            assert one['area'] == expected.sum()


def test_coco_of_one_image():
    content = example().to_coco()
    assert len(content['images']) == 1 and len(content['annotations']) == 4
    assert [one['id'] for one in content['categories']] == [1, 2]


def write_labels(found: Prediction, folder, tolerance: float) -> dict:
    """Write image and labelme file, read them with our own converter, and return its COCO file."""
    (folder / 'images').mkdir()
    cv2.imwrite(str(folder / 'images/a.png'), np.zeros((*SHAPE, 3), dtype=np.uint8))
    content = found.to_labelme(folder, tolerance)
    (folder / 'images/a.json').write_text(json.dumps(content))
    convert_labelme(folder / 'images', folder / 'images', folder / 'coco.json')
    return json.loads((folder / 'coco.json').read_text())


@pytest.mark.parametrize(('tolerance', 'least_iou'), [(0.0, 1.0), (1.0, 0.9)])
def test_labelme_files_are_read_back(tolerance, least_iou, tmp_path):
    found = example()
    write_labels(found, tmp_path, tolerance)
    coco = COCO(str(tmp_path / 'coco.json'))
    annotations = [coco.anns[key] for key in sorted(coco.anns)]
    assert [coco.cats[one['category_id']]['name'] for one in annotations] == found.names
    for one, expected in zip(annotations[:3], discs(), strict=False):
        mask = coco.annToMask(one).astype(bool)
        assert (mask & expected).sum() >= least_iou * (mask | expected).sum()
    assert annotations[3]['bbox'] == [1, 2, 8, 6], 'without a pixel, the box'


def test_labelme_files_of_boxes_are_rectangles(tmp_path):
    content = write_labels(example(masks=False), tmp_path, 1.0)
    assert [one['bbox'] for one in content['annotations']] == [
        [5, 5, 30.5, 30],
        [10, 10, 60, 60],
        [84, 9, 30, 75],
        [1, 2, 8, 6],
    ]
    shapes = example(masks=False).to_labelme()['shapes']
    assert {shape['shape_type'] for shape in shapes} == {'rectangle'}


def test_labelme_files_name_the_image_from_their_folder(tmp_path):
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos/a.jpg').write_bytes(b'')
    found = example(path=str(tmp_path / 'photos/a.jpg'), name='a.jpg')
    assert found.to_labelme(tmp_path / 'out')['imagePath'] == '../photos/a.jpg'
    assert found.to_labelme()['imagePath'] == 'a.jpg'


def test_pictures_show_masks_of_the_best_on_top(tmp_path):
    grey = np.full((*SHAPE, 3), 128, dtype=np.uint8)
    palette = ((255, 0, 0), (0, 0, 255))
    picture = example(palette=palette).draw(grey)
    assert picture.shape == grey.shape and (grey == 128).all()
    red, blue = picture[20, 20], picture[60, 45]
    assert int(red[2]) - red[0] > 50 and int(blue[0]) - blue[2] > 50
    assert (picture[88, 3] == 128).all()
    picture = example(palette=palette).draw(np.tile(grey, 1), max_side=60)
    assert picture.shape == (45, 60, 3) and picture[10, 10, 2] > picture[10, 10, 0]
    example(image=grey).save(tmp_path / 'deep/p.png')
    assert cv2.imread(str(tmp_path / 'deep/p.png')).shape == (*SHAPE, 3)
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['p.png']
    example().save(tmp_path / 'p.json')
    assert len(json.loads((tmp_path / 'p.json').read_text())['shapes']) == 5


def test_pictures_without_an_image(tmp_path):
    with pytest.raises(DataError, match='no image to draw on'):
        example().draw()
    with pytest.raises(DataError, match='4 x 4 pixels, but was 120 x 90'):
        example().draw(np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(DataError, match=r'name it \.jpg or \.png'):
        example(image=np.zeros((*SHAPE, 3), np.uint8)).save(tmp_path / 'a.xyz')
    (tmp_path / 'file').write_text('')
    with pytest.raises(DataError, match='cannot be written'):
        example(image=np.zeros((*SHAPE, 3), np.uint8)).save(tmp_path / 'file/a.jpg')
    assert [path.name for path in tmp_path.iterdir()] == ['file']
