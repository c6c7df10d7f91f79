"""CocoMetric: mmdet's scores and files, from memory, for whatever form predictions have."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import mmdet.evaluation
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mmyolo_lite.datasets import coco_truth
from mmyolo_lite.errors import ConfigError, DataError, DependencyError
from mmyolo_lite.evaluation import CocoMetric, coco_scores
from mmyolo_lite.ops.run_length_masks import RunLengthMasks
from tests.evaluation import samples as given
from tests.evaluation.conftest import BACKENDS
from tests.evaluation.samples import FILE_CLASSES, HEIGHT, KINDS, WIDTH

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword"
)
SQUARE = [40, 10, 60, 10, 60, 30, 40, 30]


def spoiled(ann_file: Path, classes: tuple[str, ...] = FILE_CLASSES, seed: int = 0) -> list[dict]:
    data, rng = given.load(ann_file, classes), np.random.default_rng(seed)
    perfect = [given.truth_as_prediction(data.get_data_info(i)) for i in range(len(data))]
    return given.as_tensors([given.spoiled(sample, rng) for sample in perfect])


def scores(
    samples: list[dict],
    classes: tuple[str, ...] = FILE_CLASSES,
    kind: Any = CocoMetric,
    **arguments: Any,
) -> dict[str, float]:
    metric = kind(**{'metric': list(KINDS), 'proposal_nums': (100, 1, 10), **arguments})
    metric.dataset_meta = {'classes': classes}
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def edited(ann_file: Path, edit: Any) -> Path:
    """Change the annotation file: `edit` gets its content."""
    content = json.loads(ann_file.read_text())
    edit(content)
    ann_file.write_text(json.dumps(content))
    return ann_file


# ---- the same as mmdet


@pytest.mark.parametrize(
    'arguments',
    [
        {},
        {'proposal_nums': (100, 300, 1000)},
        {'proposal_nums': (1, 2, 3)},
        {'iou_thrs': np.array([0.4, 0.5])},
        {'metric_items': ['mAP_50', 'AR@100', 'AR_l@1000']},
        {'metric': 'bbox', 'prefix': 'mine'},
        {'classwise': True},
    ],
    ids=str,
)
def test_scores_are_mmdets(ann_file, backend, arguments):
    samples = spoiled(ann_file)
    expected = scores(
        samples, kind=mmdet.evaluation.CocoMetric, ann_file=str(ann_file), **arguments
    )
    found = scores(samples, ann_file=str(ann_file), backend=backend, **arguments)
    assert found == pytest.approx(expected, nan_ok=True) and list(found) == list(expected)


@pytest.mark.parametrize('metric', ['proposal', ['bbox', 'proposal']])
def test_proposals_are_mmdets(ann_file, metric):
    samples = spoiled(ann_file)
    arguments = {'metric': metric, 'ann_file': str(ann_file), 'proposal_nums': (1, 10, 100)}
    expected = scores(samples, kind=mmdet.evaluation.CocoMetric, **arguments)
    metric = CocoMetric(**arguments)
    metric.dataset_meta = {'classes': FILE_CLASSES}
    for _ in range(2):
        metric.process({}, samples)
        assert metric.evaluate(len(samples)) == expected


def test_objects_of_the_samples_without_a_file(ann_file):
    data = given.load(ann_file, FILE_CLASSES)
    samples = spoiled(ann_file)
    infos = (data.get_data_info(place) for place in range(len(data)))
    with_objects = [
        {**sample, 'instances': [{**one} for one in info['instances']]}
        for sample, info in zip(samples, infos, strict=True)
    ]
    assert scores(with_objects) == scores(with_objects, kind=mmdet.evaluation.CocoMetric)
    with pytest.raises(ConfigError, match='set its ann_file'):
        scores(samples)


def test_files_are_mmdets_and_nothing_else_is_written(ann_file, tmp_path, monkeypatch):
    samples = spoiled(ann_file, FILE_CLASSES[::-1])
    for name, kind in (('a', mmdet.evaluation.CocoMetric), ('b', CocoMetric)):
        prefix = str(tmp_path / name / 'r')
        scores(samples, FILE_CLASSES[::-1], kind, ann_file=str(ann_file), outfile_prefix=prefix)
    for name in KINDS:
        texts = [(tmp_path / side / f'r.{name}.json').read_text() for side in 'ab']
        assert json.loads(texts[0]) == json.loads(texts[1])
    assert all(
        isinstance(mask['counts'], bytes | str) for mask in samples[0]['pred_instances']['masks']
    )

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError('a temporary folder')

    monkeypatch.setattr(tempfile, 'TemporaryDirectory', refuse)
    assert scores(samples, FILE_CLASSES[::-1], ann_file=str(ann_file))
    assert (
        scores(
            samples, ann_file=str(ann_file), format_only=True, outfile_prefix=str(tmp_path / 'c')
        )
        == {}
    )
    assert (tmp_path / 'c.bbox.json').exists()


# ---- forms of predictions


def test_masks_may_be_arrays_tensors_and_lists(ann_file):
    samples = spoiled(ann_file)
    expected = scores(samples, ann_file=str(ann_file))

    def stack(masks: list) -> np.ndarray:
        return np.array([coco_mask.decode(one) for one in masks], bool).reshape(-1, HEIGHT, WIDTH)

    forms = {
        'array': stack,
        'tensor': lambda masks: torch.from_numpy(stack(masks)),
        'list': lambda masks: RunLengthMasks(masks, (HEIGHT, WIDTH)),
        'text': lambda masks: [{**one, 'counts': one['counts'].decode()} for one in masks],
    }
    for name, form in forms.items():
        changed = [
            {**one, 'pred_instances': {**found, 'masks': form(found['masks'])}}
            for one in samples
            for found in [one['pred_instances']]
        ]
        assert scores(changed, ann_file=str(ann_file)) == expected, name


def test_masks_may_have_scores_of_their_own(ann_file):
    samples = spoiled(ann_file)
    for sample in samples:
        found = sample['pred_instances']
        found['mask_scores'] = found['scores'].flip(0)
    arguments = {'ann_file': str(ann_file)}
    expected = scores(samples, kind=mmdet.evaluation.CocoMetric, **arguments)
    assert scores(samples, **arguments) == expected


def test_scores_that_are_no_numbers_come_last(ann_file, backend):
    samples = given.as_tensors(
        [
            given.truth_as_prediction(info)
            for data in [given.load(ann_file, FILE_CLASSES)]
            for info in map(data.get_data_info, range(len(data)))
        ]
    )
    for name in ('scores', 'bboxes'):
        samples[0]['pred_instances'][name][0] = torch.nan
    found = scores(samples, ann_file=str(ann_file), backend=backend)
    assert 0.5 < found['coco/bbox_mAP'] < 1 and found['coco/segm_mAP'] == 1


def test_without_any_detection(ann_file, backend, caplog):
    samples = spoiled(ann_file)
    for sample in samples:
        found = sample['pred_instances']
        sample['pred_instances'] = {name: value[:0] for name, value in found.items()}
    assert scores(samples, ann_file=str(ann_file), backend=backend) == {}


def test_predictions_for_an_image_that_is_not_in_the_file(ann_file):
    samples = spoiled(ann_file)
    samples[0]['img_id'] = 'x'
    with pytest.raises(DataError, match=r"id 'x', which is not in the annotation file"):
        scores(samples, ann_file=str(ann_file))


def test_masks_are_asked_for_and_not_predicted(ann_file):
    samples = spoiled(ann_file)
    for sample in samples:
        del sample['pred_instances']['masks']
    with pytest.raises(ConfigError, match='the model predicts none'):
        scores(samples, ann_file=str(ann_file))
    assert scores(samples, ann_file=str(ann_file), metric='bbox')


# ---- forms of annotations


def without_mask(content: dict) -> None:
    content['annotations'][2].pop('segmentation')
    content['annotations'][3]['segmentation'] = [[1, 2]]


def broken_crowd(content: dict) -> None:
    content['annotations'][0]['segmentation']['counts'] = [5, 5]


def id_zero(content: dict) -> None:
    content['annotations'][1]['id'] = 0


def far_away(content: dict) -> None:
    content['annotations'][2]['segmentation'] = [[1, 2, 1e14, 5, 6, -1e14], SQUARE]
    content['annotations'][2]['bbox'] = [1, 2, 1e14, 1e14]
    content['annotations'][4]['segmentation'] = [[1, 2, float('nan'), 5, 6, 8]]


@pytest.mark.timeout(60)
@pytest.mark.parametrize('edit', [without_mask, broken_crowd, id_zero, far_away])
def test_odd_annotations_score_alike_and_as_in_mmdet(ann_file, edit):
    samples = spoiled(ann_file)
    edited(ann_file, edit)
    arguments = {'ann_file': str(ann_file), 'metric_items': list(coco_scores.STATS)}
    expected = scores(samples, kind=mmdet.evaluation.CocoMetric, **arguments)
    for backend in BACKENDS:
        pytest.importorskip(backend)
        assert scores(samples, backend=backend, **arguments) == expected, backend


def test_id_zero_counts_as_missed_as_everywhere(ann_file, backend):
    data = given.load(ann_file, FILE_CLASSES)
    perfect = given.as_tensors(
        [given.truth_as_prediction(data.get_data_info(i)) for i in range(len(data))]
    )
    edited(ann_file, id_zero)
    found = scores(perfect, ann_file=str(ann_file), backend=backend)
    assert 0.5 < found['coco/bbox_mAP'] < 1


def text_ids(content: dict) -> None:
    for image in content['images']:
        image['id'] = f'img {image["id"]}'
    for number, one in enumerate(content['annotations']):
        one.update(
            id=f'a{number}',
            image_id=f'img {one["image_id"]}',
            category_id=f'c{one["category_id"]}',
        )
    for category in content['categories']:
        category['id'] = f'c{category["id"]}'


def large_ids(content: dict) -> None:
    for one in content['annotations']:
        one['id'] += 2**53


@pytest.mark.parametrize('edit', [text_ids, large_ids])
def test_ids_may_be_texts_and_large(ann_file, backend, edit):
    samples = spoiled(ann_file)
    expected = scores(samples, ann_file=str(ann_file), backend='pycocotools')
    edited(ann_file, edit)
    if edit is text_ids:
        for sample in samples:
            sample['img_id'] = f'img {sample["img_id"]}'
    assert scores(samples, ann_file=str(ann_file), backend=backend) == expected


def test_scores_of_classes_have_their_names_in_any_order(ann_file, backend):
    """mmdet mixes them up where the ids of the classes do not ascend."""
    found = []
    for classes in (FILE_CLASSES, FILE_CLASSES[::-1]):
        arguments = {'ann_file': str(ann_file), 'classwise': True, 'backend': backend}
        found.append(scores(spoiled(ann_file, classes, seed=3), classes, **arguments))
    assert found[0] == found[1]
    assert found[0]['coco/kite_precision'] != found[0]['coco/balloon_precision']


def test_classes_that_the_file_lacks(ann_file):
    samples = spoiled(ann_file)
    with pytest.raises(ConfigError, match='kites'):
        scores(samples, ('kites', 'balloon'), ann_file=str(ann_file))


# ---- arguments and backends


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'metric': 'box'}, "metric='box'"),
        ({'metric_items': ['AP']}, "'AP'"),
        ({'proposal_nums': ()}, 'proposal_nums'),
        ({'proposal_nums': (0, 1)}, 'proposal_nums'),
        ({'format_only': True}, 'outfile_prefix'),
        ({'backend': 'fast'}, "backend='fast'"),
    ],
)
def test_wrong_arguments_are_refused_at_once(ann_file, arguments, message):
    with pytest.raises(ConfigError, match=message):
        CocoMetric(ann_file=str(ann_file), **arguments)


def test_an_unusable_annotation_file_is_refused_at_once(tmp_path):
    with pytest.raises(DataError, match='not found'):
        CocoMetric(ann_file=str(tmp_path / 'no.json'))
    (tmp_path / 'a.json').write_text('[1]')
    with pytest.raises(DataError, match='holds a list'):
        CocoMetric(ann_file=str(tmp_path / 'a.json'))


def test_without_faster_coco_eval(monkeypatch):
    monkeypatch.setitem(sys.modules, 'faster_coco_eval', None)
    assert coco_scores.choose_backend('auto') == 'pycocotools'
    with pytest.raises(DependencyError, match='pip install'):
        coco_scores.choose_backend('faster_coco_eval')


# ---- reading once


def test_the_file_is_read_once_for_data_set_and_metric(ann_file, monkeypatch):
    given.load(ann_file, FILE_CLASSES)  # hands over

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError('read again')

    with monkeypatch.context() as patched:
        patched.setattr(coco_truth, 'read_coco_json', refuse)
        CocoMetric(ann_file=str(ann_file))
        assert coco_truth._handed is None, 'no second copy stays'
        with pytest.raises(AssertionError, match='read again'):
            CocoMetric(ann_file=str(ann_file))


def test_a_file_changed_in_between_is_read_again(ann_file):
    given.load(ann_file, FILE_CLASSES)
    edited(ann_file, lambda content: content['images'].pop())
    truth = coco_truth.unpacked_truth(coco_truth.read_truth(str(ann_file)))
    assert len(truth['images']) == given.NUM_IMAGES - 1


def test_a_training_set_hands_nothing_over(ann_file):
    coco_truth._handed = None
    data = given.YOLOv5CocoDataset(
        ann_file=str(ann_file),
        data_prefix=dict(img=str(ann_file.parent)),
        pipeline=[],
        metainfo=dict(classes=FILE_CLASSES),
    )
    assert len(data) == given.NUM_IMAGES and coco_truth._handed is None
