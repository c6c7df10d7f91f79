"""The best validation stays, and nothing that fails in drawing stops a run."""

import json
import operator
from types import SimpleNamespace

import pytest
from mmengine.hooks import CheckpointHook
from mmengine.visualization import Visualizer

from mmyolo_lite.engine.hooks import run_pictures
from mmyolo_lite.engine.hooks.run_pictures import RunPicturesHook, score_of
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.evaluation import CocoMetric
from tests.evaluation import samples as given
from tests.evaluation.samples import FILE_CLASSES


@pytest.fixture
def warnings(monkeypatch):
    texts = []
    monkeypatch.setattr(run_pictures, 'print_log', lambda text, *_: texts.append(text))
    return texts


class Validations:
    """Validates perfect predictions as often as asked, with whatever scores."""

    def __init__(self, tmp_path, iteration=0, hooks=(), **arguments):
        ann_file = given.write_set(tmp_path)
        data = given.load(ann_file, FILE_CLASSES)
        self.samples = given.as_tensors(
            [given.truth_as_prediction(data.get_data_info(i)) for i in range(len(data))]
        )
        self.metric = CocoMetric(ann_file=str(ann_file), metric=['bbox', 'segm'])
        self.metric.dataset_meta = data.metainfo
        self.path = tmp_path / 'wd' / 'val_results.json'
        self.path.parent.mkdir(exist_ok=True)
        loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=[self.metric]))
        self.runner = SimpleNamespace(
            work_dir=str(self.path.parent),
            log_dir=str(self.path.parent / 'log'),
            val_loop=loop,
            test_loop=loop,
            hooks=list(hooks),
            _train_loop=None,
            train_dataloader=SimpleNamespace(dataset=data),
            iter=iteration,
            visualizer=Visualizer(),
        )
        self.hook = RunPicturesHook(**arguments)

    def validate(self, **scores):
        self.hook.before_val_epoch(self.runner)
        self.metric.process({}, self.samples)
        self.metric.evaluate(len(self.samples))
        metrics = {f'coco/{name}': value for name, value in scores.items()}
        self.hook.after_val_epoch(self.runner, metrics)
        assert self.metric.kept is None, 'nothing is held between validations'
        return self.scores()

    def scores(self):
        return json.loads(self.path.read_text())['scores'] if self.path.is_file() else None


def test_the_best_validation_stays(tmp_path):
    run = Validations(tmp_path)
    run.hook.before_train(run.runner)
    assert run.validate(bbox_mAP=0.9, segm_mAP=0.3) == {
        'coco/bbox_mAP': 0.9,
        'coco/segm_mAP': 0.3,
    }
    assert run.validate(bbox_mAP=1.0, segm_mAP=0.2)['coco/segm_mAP'] == 0.3, 'masks first'
    assert run.validate(bbox_mAP=0.1, segm_mAP=0.4)['coco/segm_mAP'] == 0.4


@pytest.mark.parametrize(
    'iteration, kept', [(0, 0.2), (50, 0.5)], ids=['from the beginning', 'resumed']
)
def test_a_resumed_training_does_not_replace_better_results(tmp_path, iteration, kept):
    run = Validations(tmp_path)
    run.validate(segm_mAP=0.5)
    resumed = Validations(tmp_path, iteration)
    resumed.hook.before_train(resumed.runner)
    assert resumed.validate(segm_mAP=0.2)['coco/segm_mAP'] == kept


def test_results_of_what_is_trained_again_are_replaced(tmp_path, warnings):
    run = Validations(tmp_path)
    run.validate(segm_mAP=0.5)
    content = json.loads(run.path.read_text())
    run.path.write_text(json.dumps({**content, 'iter': 99}))
    resumed = Validations(tmp_path, iteration=50)
    resumed.hook.before_train(resumed.runner)
    assert resumed.validate(segm_mAP=0.2)['coco/segm_mAP'] == 0.2
    assert not warnings


def test_a_damaged_file_is_replaced_with_one_warning(tmp_path, warnings):
    run = Validations(tmp_path, iteration=50)
    run.path.write_text('{"images": [], "version": 1}')
    run.hook.before_train(run.runner)
    assert run.validate(segm_mAP=0.2)['coco/segm_mAP'] == 0.2
    assert len(warnings) == 1


def test_the_score_is_that_of_the_checkpoints(tmp_path):
    metrics = {'coco/bbox_mAP': 0.1, 'coco/segm_mAP': 0.2, 'loss': 0.3}

    def scored(**arguments):
        hook = CheckpointHook(**arguments)
        return score_of(SimpleNamespace(hooks=[hook]), metrics)

    assert scored(save_best='auto') == (0.1, operator.gt), 'the first score'
    assert scored(save_best='loss', rule='less') == (0.3, operator.lt)
    assert scored(save_best='absent', rule='greater')[0] == 0.2
    assert scored()[0] == 0.2
    assert score_of(SimpleNamespace(hooks=[]), {}) == (None, operator.gt)


def test_all_pictures_of_a_validation_are_drawn(tmp_path, warnings):
    run = Validations(tmp_path, val_batches=1, max_images=4)
    run.hook.before_train(run.runner)
    run.validate(segm_mAP=0.5)
    run.hook.after_train(run.runner)
    names = {path.name for path in run.path.parent.iterdir()}
    assert not warnings
    assert {'labels.jpg', 'val_batch0.jpg', 'val_batch0_labels.jpg', 'val_batch0_pred.jpg'} < names
    assert len([name for name in names if name.endswith('_curve.png')]) == 8
    assert len([name for name in names if 'confusion_matrix' in name]) == 4


def test_what_cannot_be_written_is_one_warning_at_a_time(tmp_path, warnings):
    run = Validations(tmp_path)
    run.runner.work_dir = str(tmp_path / 'wd/labels.jpg')  # no folder
    (tmp_path / 'wd/labels.jpg').write_text('')
    run.hook.before_train(run.runner)
    run.hook.before_train_iter(run.runner, 0, {'inputs': None})
    run.hook.before_train_iter(run.runner, 1, {'inputs': None})
    run.validate(segm_mAP=0.5)
    run.hook.after_train(run.runner)
    assert [text.split(' ')[0] for text in warnings] == [
        'labels.jpg',
        'train_batch0.jpg',
        'val_results.json',
    ]


def test_failures_of_many_figures_are_one_warning(tmp_path, warnings, monkeypatch):
    run = Validations(tmp_path, val_batches=0)
    run.hook.before_train(run.runner)
    run.validate(segm_mAP=0.5)

    def fail(*_):
        raise RuntimeError('no ink')

    monkeypatch.setattr(run_pictures, 'save_figure', fail)
    run.hook.after_train(run.runner)
    assert len(warnings) == 1 and 'BoxPR_curve.png and 11 more' in warnings[0]
    assert 'no ink' in warnings[0]


def test_switched_off_there_is_nothing(tmp_path):
    run = Validations(tmp_path, enabled=False)
    run.hook.before_train(run.runner)
    assert run.validate(segm_mAP=0.5) is None
    run.hook.after_train(run.runner)
    assert not list(run.path.parent.iterdir())


def test_metrics_of_other_kinds(tmp_path, warnings):
    run = Validations(tmp_path)
    run.runner.val_loop.evaluator.metrics.clear()
    run.hook.before_val_epoch(run.runner)
    run.hook.after_val_epoch(run.runner, {'accuracy': 0.5})
    run.hook.after_train(run.runner)
    assert not warnings and run.scores() is None


@pytest.mark.parametrize(
    'arguments', [{'train_batches': -1}, {'val_batches': 1.5}, {'max_images': 0}], ids=str
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        RunPicturesHook(**arguments)
