"""Pictures of batches: objects and masks are where they belong, in every form of batch."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from mmyolo_lite.visualization import batch_pictures
from mmyolo_lite.visualization.batch_pictures import results_pictures, train_batch_picture
from mmyolo_lite.visualization.drawing import Legend

SIDE = 96
LEGEND = Legend(['a', 'b'], [(255, 0, 0), (0, 0, 255)])
RED, BLUE = 2, 0  # channels of BGR


def batch_of(num_images=4, form='map'):
    """Return black images; image i has i objects, squares in a row, a and b in turns."""
    rows, maps, stack = [], torch.zeros((num_images, SIDE // 4, SIDE // 4), dtype=torch.uint8), []
    for image in range(num_images):
        for place in range(image):
            left = 4 + 24 * place
            rows.append([image, place % 2, left, 40, left + 20, 60])
            maps[image, 10:15, left // 4 : left // 4 + 5] = place + 1
            stack.append((maps[image] == place + 1).to(torch.uint8))
    samples = {'bboxes_labels': torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)}
    if form == 'map':
        samples['masks'] = maps
    elif form == 'stack':
        samples['masks'] = torch.stack(stack) if stack else torch.zeros((0, 24, 24))
    inputs = torch.zeros((num_images, 3, SIDE, SIDE), dtype=torch.uint8)
    return {'inputs': inputs, 'data_samples': samples}


def tile(picture, number, columns=2):
    step = SIDE + batch_pictures.GAP
    row, column = divmod(number, columns)
    return picture[row * step : row * step + SIDE, column * step : column * step + SIDE]


@pytest.mark.parametrize('form', ['map', 'stack', 'boxes'])
def test_objects_and_masks_are_in_their_images(form):
    picture = train_batch_picture(batch_of(form=form), LEGEND, 16)
    assert tile(picture, 0).max() == 0
    last = tile(picture, 3)
    inside = [last[50, 4 + 24 * place + 10] for place in range(3)]
    filled = [int(pixel.argmax()) if pixel.max() else None for pixel in inside]
    assert filled == ([RED, BLUE, RED] if form != 'boxes' else [None] * 3)
    assert last[50, 4].argmax() == RED and last[50, 4].max() > 200, 'the edge of a box'


def test_as_many_objects_as_images():
    """Maps of numbers and masks of objects have one shape then."""
    for form in ('map', 'stack'):
        batch = batch_of(3, form)  # 0, 1 and 2 objects in three images
        picture = train_batch_picture(batch, LEGEND, 16)
        assert tile(picture, 2)[50, 14].argmax() == RED
        assert tile(picture, 2)[50, 38].argmax() == BLUE


def test_lists_of_images_and_samples():
    batch = batch_of()
    whole = train_batch_picture(batch, LEGEND, 16)
    rows, samples = batch['data_samples']['bboxes_labels'], []
    for image in range(4):
        mine = rows[rows[:, 0] == image]
        sample = DetDataSample(
            gt_instances=InstanceData(bboxes=mine[:, 2:], labels=mine[:, 1].long())
        )
        numbers = torch.arange(1, len(mine) + 1)[:, None, None]
        sample.gt_instances.masks = (batch['data_samples']['masks'][image] == numbers).byte()
        samples.append(sample)
    listed = {'inputs': list(batch['inputs']), 'data_samples': samples}
    np.testing.assert_array_equal(train_batch_picture(listed, LEGEND, 16), whole)


def test_no_more_images_than_asked():
    picture = train_batch_picture(batch_of(), LEGEND, 1)
    assert picture.shape == (SIDE, SIDE, 3)


def test_a_batch_without_objects():
    assert train_batch_picture(batch_of(1), LEGEND, 16).max() == 0
    assert train_batch_picture(batch_of(1, 'boxes'), LEGEND, 16).max() == 0


def test_objects_of_the_only_class_have_their_own_colours():
    batch = batch_of()
    batch['data_samples']['bboxes_labels'][:, 1] = 0
    last = tile(train_batch_picture(batch, Legend(['a'], [(255, 0, 0)]), 16), 3)
    assert len({tuple(last[50, 4 + 24 * place + 10].tolist()) for place in range(3)}) == 3


def entry_of(tmp_path, with_masks=True):
    path = tmp_path / 'photo.png'
    cv2.imwrite(str(path), np.full((SIDE, 2 * SIDE, 3), 10, np.uint8))
    mask = np.zeros((SIDE, 2 * SIDE), np.uint8, order='F')
    mask[40:60, 20:40] = 1
    rle = coco_mask.encode(mask)
    segmentation = {'size': [SIDE, 2 * SIDE], 'counts': rle['counts'].decode()}
    objects = [{'bbox': [20, 40, 40, 60], 'label': 0, 'crowd': 0}]
    found = [{'bbox': [20, 40, 40, 60], 'label': 1, 'score': score} for score in (0.9, 0.1)]
    for one in [*objects, *found] if with_masks else []:
        one['segmentation'] = segmentation
    return {
        'id': 1,
        'path': str(path),
        'height': SIDE,
        'width': 2 * SIDE,
        'gt': objects,
        'pred': found,
    }


@pytest.mark.parametrize('with_masks', [True, False])
def test_truth_and_predictions_of_a_validation(tmp_path, with_masks):
    pictures = results_pictures([entry_of(tmp_path, with_masks)], LEGEND)
    assert set(pictures) == {'labels', 'pred', ''}
    title = pictures['labels'].shape[0] - SIDE
    for name, channel in (('labels', RED), ('pred', BLUE)):
        inside = pictures[name][title + 50, 30]
        assert (int(inside.argmax()) == channel and inside.max() > 50) == with_masks
    both = pictures['']
    step = 2 * SIDE + batch_pictures.GAP
    assert both[title + 45, 20].argmax() == RED and both[title + 45, step + 20].argmax() == BLUE


@pytest.mark.parametrize('path', [None, 'nowhere.png'])
def test_an_image_that_is_gone_is_grey(tmp_path, path):
    entry = {**entry_of(tmp_path), 'path': path}
    picture = results_pictures([entry] * 3, LEGEND)['labels']
    assert picture[picture.shape[0] // 2 - 10, 150].tolist() == [128] * 3
