"""Parts of the evaluation: packed masks, areas, and the summary of the curves."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import COCOeval

from mmyolo_lite.errors import DataError
from mmyolo_lite.evaluation import coco_scores
from mmyolo_lite.evaluation.coco_scores import Evaluated, Limits, PackedMasks


def masks(count: int) -> list[dict]:
    noise = np.random.default_rng(0).random((6, 9, count)) < 0.5
    return coco_mask.encode(np.asfortranarray(noise.astype(np.uint8)))


@pytest.mark.parametrize('count', [0, 1, 5])
def test_unpacking_undoes_packing(count):
    given = masks(count) if count else []
    packed = PackedMasks.of(given)
    assert list(packed) == given and len(packed) == count
    as_text = [{**one, 'counts': one['counts'].decode()} for one in given]
    assert list(PackedMasks.of(as_text)) == given


@pytest.mark.parametrize('count', [0, 1, 255, 256, 700])
def test_areas_of_many_masks(count):
    given = masks(count) if count else []
    expected = [coco_mask.decode(one).sum() for one in given]
    assert coco_scores.mask_areas(given).tolist() == expected


THRESHOLDS = np.linspace(0.5, 0.95, 10)


@pytest.mark.parametrize('counts', [(1, 10, 100), (100, 300, 1000), (1, 2, 3), (1, 10, 100, 300)])
@pytest.mark.parametrize('thresholds', [THRESHOLDS, np.array([0.5]), np.array([0.4, 0.75])])
def test_the_summary_is_pycocotools(counts, thresholds, capsys):
    rng = np.random.default_rng(0)
    shape = (len(thresholds), 101, 3, 4, len(counts))
    precision, recall = rng.random(shape), rng.random((shape[0], *shape[2:]))
    precision[:, :, 1] = recall[:, 1] = -1  # a class without objects
    recall[..., 3, :] = -1  # no large ones
    plain = COCOeval(iouType='bbox')
    plain.params.iouThrs, plain.params.maxDets = thresholds, list(counts)
    plain.eval = {'precision': precision, 'recall': recall}
    plain.summarize()
    expected = capsys.readouterr().out.splitlines()
    stats, lines = coco_scores.summary(Evaluated(precision, recall, Limits(thresholds, counts)))
    assert stats == pytest.approx(plain.stats, abs=1e-12)
    assert lines == expected


def test_fewer_than_three_limits():
    curves = np.full((10, 101, 2, 4, 1), 0.5), np.full((10, 2, 4, 1), 0.25)
    stats, _ = coco_scores.summary(Evaluated(*curves, Limits(THRESHOLDS, (100,))))
    assert stats.tolist() == [0.5] * 6 + [0.25] * 6


def test_scores_of_a_class():
    precision = np.full((10, 101, 2, 4, 3), -1.0)
    precision[:, :, 1, :2] = 0.25
    precision[0, :, 1, 0] = 0.75
    evaluated = Evaluated(precision, precision[:, 0], Limits(THRESHOLDS, (1, 10, 100)))
    assert coco_scores.class_scores(evaluated, 1) == pytest.approx(
        [0.3, 0.75, 0.25, 0.25, np.nan, np.nan], nan_ok=True
    )
    assert np.isnan(coco_scores.class_scores(evaluated, 0)).all()


def test_no_mask_fits_an_image_larger_than_run_lengths_can_be():
    truth = {
        'images': [{'id': 1, 'height': 2**20, 'width': 2**20}],
        'categories': [{'id': 1, 'name': 'kite'}],
        'annotations': [
            {'id': 5, 'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 9, 9], 'area': 81}
        ],
    }
    assert len(coco_scores.true_objects(truth, ['kite'], masks=False).entries) == 1
    with pytest.raises(DataError, match='id 5 lies in an image of 1048576 x 1048576'):
        coco_scores.true_objects(truth, ['kite'], masks=True)
