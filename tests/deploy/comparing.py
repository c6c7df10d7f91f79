"""How the predictions of two ways to run a model compare."""

import numpy as np
from pycocotools import mask as coco_mask


def assert_same(found, wanted, pixels=0.01, scores=1e-4, iou=0.99):
    """Require the same objects, paired by class and place: near scores may change places."""
    assert len(found) == len(wanted) > 0
    left = list(range(len(wanted)))
    for number in range(len(found)):
        fits = [one for one in left if wanted.labels[one] == found.labels[number]]
        distances = [np.abs(wanted.boxes[one] - found.boxes[number]).max() for one in fits]
        assert distances and min(distances) < pixels, (number, distances)
        partner = fits[int(np.argmin(distances))]
        left.remove(partner)
        assert abs(wanted.scores[partner] - found.scores[number]) < scores
        if wanted.masks is not None:
            assert same_mask(found.masks.runs[number], wanted.masks.runs[partner], iou)


def same_mask(one, other, iou):
    """Say whether run-length masks agree: but for three pixels, of which small ones have few."""
    areas = coco_mask.area([one, other])
    inner = coco_mask.area(coco_mask.merge([one, other], intersect=True))
    outer = areas.sum() - inner
    return outer - inner <= 3 or inner / outer > iou
