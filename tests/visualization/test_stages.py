"""The objects of an annotation file as they are drawn."""

import numpy as np
import pytest
from mmdet.structures.bbox import HorizontalBoxes

from mmyolo_lite.errors import DataError
from mmyolo_lite.visualization.stages import original_objects, run_stages, sample_objects

# pycocotools 2.0.x hands its masks to numpy 2 in the old way.
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')


def objects(mask, is_crowd):
    one = dict(bbox=[0, 0, 4, 4], bbox_label=0, ignore_flag=int(is_crowd), mask=mask)
    return original_objects(dict(img_path='a.jpg', height=8, width=8, instances=[one]))


@pytest.mark.parametrize(
    'mask',
    [
        {},
        {'counts': [64]},
        {'size': [8, 8], 'counts': None},
        {'size': [8, 8], 'counts': [-1, 65]},
        {'size': [8, 8], 'counts': [float('nan')]},
        {'size': [8, 8], 'counts': '0'},
        {'size': [2**31, 2**31], 'counts': [2**62]},
        {'size': None, 'counts': '04l1'},
    ],
)
def test_a_crowd_with_a_damaged_mask_is_a_box(mask):
    found = objects(mask, is_crowd=True)
    assert found.outlines == [[]]
    assert found.crowd.tolist() == [True]


def test_a_sound_mask_of_a_crowd_is_drawn():
    found = objects({'size': [8, 8], 'counts': [0, 32, 32]}, is_crowd=True)
    assert found.outlines[0][0].max(axis=0).tolist() == [3.5, 7.5]


def test_a_damaged_mask_of_an_object_is_named():
    with pytest.raises(DataError, match=r'a\.jpg.*bbox=\[0, 0, 4, 4\].*Convert it again'):
        objects({'size': [8, 8], 'counts': '0'}, is_crowd=False)


def test_a_later_step_leaves_earlier_pictures_alone():
    def flip(sample):
        sample['gt_bboxes'].flip_((8, 8))  # in place, as mmdet's RandomFlip does
        sample['img'][:] = 255
        return sample

    info = dict(img=np.zeros((8, 8, 3), np.uint8), gt_bboxes=HorizontalBoxes([[0, 0, 3, 8]]))
    before, after = run_stages([lambda sample: sample, flip], info)
    assert sample_objects(before.sample).boxes.tolist() == [[0, 0, 3, 8]]
    assert sample_objects(after.sample).boxes.tolist() == [[5, 0, 8, 8]]
    assert before.sample['img'].max() == 0
