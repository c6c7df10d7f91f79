"""The metric: ground truth scores 1, and any score is pycocotools' own, whatever the backend."""

from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmyolo_lite.evaluation import CocoMetric, coco_scores
from tests.evaluation import samples as given
from tests.evaluation.samples import FILE_CLASSES, KINDS

# pycocotools' own, with NumPy 2
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword"
)


def score(ann_file: Path, data, samples: list[dict], backend: str) -> dict[str, float]:
    metric = CocoMetric(
        ann_file=str(ann_file), metric=list(KINDS), proposal_nums=(100, 1, 10), backend=backend
    )
    metric.dataset_meta = data.metainfo
    metric.process({}, given.as_tensors(samples))
    return metric.evaluate(len(samples))


@pytest.mark.parametrize('classes', [FILE_CLASSES, FILE_CLASSES[::-1]])
def test_ground_truth_scores_one(classes, ann_file, backend):
    """Whatever the order of classes in the config."""
    data = given.load(ann_file, classes)
    perfect = [given.truth_as_prediction(data.get_data_info(i)) for i in range(len(data))]
    results = score(ann_file, data, perfect, backend)
    assert [results[f'coco/{kind}_mAP'] for kind in KINDS] == [1.0, 1.0]
    assert [results[f'coco/{kind}_mAP_75'] for kind in KINDS] == [1.0, 1.0]


def direct_stats(
    ann_file: Path, samples: list[dict], kind: str, category_ids: tuple[int, ...]
) -> np.ndarray:
    """Return pycocotools' twelve numbers, from results written by hand."""
    truth, results = COCO(str(ann_file)), []
    for sample in samples:
        found = sample['pred_instances']
        for box, label, value, rle in zip(
            *(found[k] for k in ('bboxes', 'labels', 'scores', 'masks')), strict=True
        ):
            low, high = box[:2], box[2:]
            place = {'bbox': [*low, *(high - low)]} if kind == 'bbox' else {'segmentation': rle}
            results.append(
                dict(
                    image_id=sample['img_id'], category_id=category_ids[label], score=value, **place
                )
            )
    evaluation = COCOeval(truth, truth.loadRes(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return np.array(evaluation.stats)


@pytest.mark.parametrize('seed', range(3))
def test_imperfect_predictions_score_as_in_pycocotools(seed, ann_file, backend, monkeypatch):
    rng = np.random.default_rng(seed)
    data = given.load(ann_file, FILE_CLASSES[::-1])
    samples = [
        given.spoiled(given.truth_as_prediction(data.get_data_info(i)), rng)
        for i in range(len(data))
    ]
    found = []
    summary = coco_scores.summary

    def noted(evaluated):
        found.append(summary(evaluated))
        return found[-1]

    monkeypatch.setattr(coco_scores, 'summary', noted)
    results = score(ann_file, data, samples, backend)
    for kind, (stats, _) in zip(KINDS, found, strict=True):
        expected = direct_stats(ann_file, samples, kind, (7, 3))
        assert np.abs(stats - expected).max() < 1e-9
        assert 0.05 < expected[0] < 0.95
        # what the metric returns is rounded, as mmdet's
        assert results[f'coco/{kind}_mAP'] == pytest.approx(expected[0], abs=5e-4 + 1e-9)
