"""The file of results: its form, and the metric's own scores in it."""

import json
import pickle

import numpy as np
import pytest

from mmyolo_lite.errors import DataError
from mmyolo_lite.evaluation import CocoMetric, coco_scores
from mmyolo_lite.evaluation.results_file import read_results, results_content, write_results
from tests.evaluation import samples as given
from tests.evaluation.samples import FILE_CLASSES, KINDS, NUM_IMAGES

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword"
)


def evaluation(ann_file, seed=None, drop=None, **arguments):
    """Return what a metric keeps of predictions that are perfect, or spoiled by a seed."""
    data = given.load(ann_file, FILE_CLASSES)
    found = [given.truth_as_prediction(data.get_data_info(i)) for i in range(len(data))]
    if seed is not None:
        rng = np.random.default_rng(seed)
        found = [given.spoiled(sample, rng) for sample in found]
    metric = CocoMetric(
        **{'ann_file': str(ann_file), 'metric': list(KINDS), 'proposal_nums': (100,), **arguments}
    )
    metric.dataset_meta = data.metainfo
    metric.keeps_results = True
    for sample in found:
        sample['img_path'] = f'{sample["img_id"]}.png'
    if drop:
        for sample in found:
            drop(sample['pred_instances'])
    metric.process({}, given.as_tensors(found))
    scores = metric.evaluate(len(found))
    assert metric.kept is not None
    return metric.kept, scores


def content_of(ann_file, **arguments):
    kept, scores = evaluation(ann_file, **arguments)
    return results_content(kept, 3, 30, scores), kept


@pytest.mark.parametrize('limits', [(100, 1, 10), (1, 2, 3)])
@pytest.mark.parametrize('seed', range(3))
def test_average_precisions_are_the_metrics(ann_file, seed, limits):
    content, kept = content_of(ann_file, seed=seed, proposal_nums=limits)
    for kind in KINDS:
        for label, curve in enumerate(content['curves'][kind]['classes']):
            wanted = coco_scores.class_scores(kept.evaluated[kind], label)
            assert curve['ap50'] == pytest.approx(wanted[1], abs=1e-6)
            assert np.mean(curve['pr_precision']) == pytest.approx(wanted[1], abs=1e-4)
            row = content['per_class'][kind][label]
            assert [row['ap'], row['ap50'], row['ap75']] == pytest.approx(wanted[:3], abs=1e-4)


def test_perfect_predictions(ann_file):
    content, _ = content_of(ann_file)
    assert content['kinds'] == list(KINDS)
    for kind in KINDS:
        for image in content['images']:
            objects = sum(not one['crowd'] for one in image['gt'])
            assert image['errors'][kind] == {'tp': objects, 'fp': 0, 'fn': 0}
            assert image['f1'][kind] == 1
            assert all(one['iou'][kind] == 1 for one in image['pred'])
        matrix = np.array(content['confusion'][kind]['matrix'])
        assert matrix.sum() == np.trace(matrix) == 12
        assert content['confusion'][kind]['labels'] == [*FILE_CLASSES, 'background']
        for row in content['per_class'][kind]:
            assert (row['precision'], row['recall'], row['f1'], row['ap']) == (1, 1, 1, 1)
        assert sum(row['objects'] for row in content['per_size'][kind]) == 12
        assert {row['recall'] for row in content['per_size'][kind] if row['objects']} == {1}
        assert all(row['ap'] is None for row in content['per_size'][kind] if not row['objects'])


def test_images_have_their_objects_and_matches(ann_file):
    content, _ = content_of(ann_file, seed=1)
    assert [image['path'] for image in content['images']] == [
        f'{number + 11}.png' for number in range(NUM_IMAGES)
    ]
    crowds = [one for image in content['images'] for one in image['gt'] if one['crowd']]
    assert len(crowds) == 1 and crowds[0]['bbox'] == [0, 0, 20, given.HEIGHT]
    hits = 0
    for image in content['images']:
        scores = [one['score'] for one in image['pred']]
        assert scores == sorted(scores, reverse=True)
        for one in image['pred']:
            for kind in KINDS:
                if one['match'][kind] >= 0:
                    hits += 1
                    assert image['gt'][one['match'][kind]]['label'] == one['label']
                    assert one['iou'][kind] >= 0.5
    assert hits


def test_it_is_read_as_it_was_written(ann_file, tmp_path):
    content, _ = content_of(ann_file, seed=2)
    write_results(content, tmp_path / 'r.json')
    assert read_results(tmp_path / 'r.json') == content


def test_weak_detections_are_left_out_and_counted_nowhere_above(ann_file):
    def weaken(found):
        found['scores'] = np.full(len(found['scores']), 0.04)

    content, _ = content_of(ann_file, drop=weaken)
    assert all(image['pred'] == [] for image in content['images'])
    assert content['curves']['bbox']['best_confidence'] == 0.25
    assert content['curves']['bbox']['classes'][0]['ap50'] == 1


def test_without_any_detection(ann_file):
    def nothing(found):
        for name in found:
            found[name] = found[name][:0]

    content, _ = content_of(ann_file, drop=nothing)
    assert content['per_class']['segm'][0]['ap'] is None
    assert content['per_class']['segm'][0]['precision'] is None
    assert sum(image['errors']['bbox']['fn'] for image in content['images']) == 12
    json.dumps(content, allow_nan=False)


def test_a_set_without_objects(ann_file):
    content = json.loads(ann_file.read_text())
    ann_file.write_text(json.dumps({**content, 'annotations': []}))
    content, _ = content_of(ann_file)
    assert content['curves']['bbox']['classes'][0]['recall'] == []
    json.dumps(content, allow_nan=False)


def test_boxes_alone(ann_file):
    content, _ = content_of(ann_file, seed=1, metric='bbox')
    assert content['kinds'] == ['bbox'] and set(content['curves']) == {'bbox'}
    assert all('segmentation' not in one for image in content['images'] for one in image['gt'])


def test_masks_alone_have_boxes_around_them(ann_file):
    alone, _ = content_of(ann_file, metric='segm')
    both, _ = content_of(ann_file)
    for one, other in zip(alone['images'], both['images'], strict=True):
        boxes, wanted = ([gt['bbox'] for gt in image['gt']] for image in (one, other))
        assert np.abs(np.array(boxes) - np.array(wanted)).max(initial=0) <= 1.5


def test_nothing_is_kept_unless_asked(ann_file):
    data = given.load(ann_file, FILE_CLASSES)
    metric = CocoMetric(ann_file=str(ann_file))
    metric.dataset_meta = data.metainfo
    metric.process({}, given.as_tensors([given.truth_as_prediction(data.get_data_info(0))]))
    assert 'path' not in metric.results[0][0]
    metric.evaluate(1)
    assert metric.kept is None


def test_objects_stay_for_the_next_validation(ann_file):
    kept, scores = evaluation(ann_file, seed=1)
    before = {kind: pickle.loads(packed) for kind, packed in kept.objects.items()}
    first = results_content(kept, 1, 1, scores)
    assert results_content(kept, 1, 1, scores) == first
    assert {kind: pickle.loads(packed) for kind, packed in kept.objects.items()} == before


@pytest.mark.parametrize(
    'text, message',
    [
        ('[]', 'no file of results'),
        ('{"images": 3}', 'no file of results'),
        ('{"images": [], "version": 99}', 'version 99'),
        ('{', 'not valid JSON'),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / 'r.json').write_text(text)
    with pytest.raises(DataError, match=message):
        read_results(tmp_path / 'r.json')
