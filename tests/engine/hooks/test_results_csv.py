"""results.csv: a row an epoch, continued by a resumed training, and never a reason to stop."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmyolo_lite.engine.hooks.results_csv import ResultsCsvHook, read_rows
from mmyolo_lite.errors import DataError


class Training:
    """Calls a hook as mmengine's loops do."""

    def __init__(self, folder, epochs=0, iters_per_epoch=2, loop=EpochBasedTrainLoop):
        self.loop = object.__new__(loop)
        self.loop._epoch, self.loop._iter = epochs, epochs * iters_per_epoch
        self.length = iters_per_epoch
        self.hook = ResultsCsvHook()
        self.runner = SimpleNamespace(
            work_dir=str(folder),
            train_loop=self.loop,
            _train_loop=self.loop,
            message_hub=MessageHub('results_csv'),
        )
        self._sync()
        self.hook.before_train(self.runner)

    def _sync(self):
        self.runner.epoch, self.runner.iter = self.loop._epoch, self.loop._iter

    def iterate(self, **losses):
        for name, value in {'lr': 0.1, 'time': 9, **losses}.items():
            self.runner.message_hub.update_scalar(f'train/{name}', value)
        self.loop._iter += 1
        self._sync()

    def epoch(self, *losses, metrics=None):
        self.hook.before_train_epoch(self.runner)
        for loss in losses:
            self.iterate(loss=loss)
        self.hook.after_train_epoch(self.runner)
        self.loop._epoch += 1
        self._sync()
        if metrics is not None:
            self.validate(metrics)

    def validate(self, metrics):
        self.hook.before_val_epoch(self.runner)
        self.hook.after_val_epoch(self.runner, metrics)
        self.hook.after_val(self.runner)


def test_a_row_an_epoch_with_means_and_scores(tmp_path):
    training = Training(tmp_path)
    training.epoch(1.0, 2.0)
    training.epoch(3.0, 5.0, metrics={'coco/bbox_mAP': 0.25, 'table': 'text'})
    text = (tmp_path / 'results.csv').read_text().splitlines()
    assert text[0] == 'epoch,iter,lr,train/loss,coco/bbox_mAP,time'
    first, second = read_rows(tmp_path / 'results.csv')
    assert text[1].startswith('1,2,0.1,1.5,,')
    assert (first['epoch'], first['iter'], first['train/loss']) == (1, 2, 1.5)
    assert first['coco/bbox_mAP'] is None and first['time'] >= 0
    assert (second['epoch'], second['train/loss'], second['coco/bbox_mAP']) == (2, 4, 0.25)


def test_the_rows_are_there_before_the_validation(tmp_path):
    training = Training(tmp_path)
    training.epoch(1.0)
    assert len(read_rows(tmp_path / 'results.csv')) == 1


def test_a_resumed_training_replaces_what_it_trains_again(tmp_path):
    training = Training(tmp_path)
    for loss in (1.0, 2.0, 3.0):
        training.epoch(loss, loss)
    resumed = Training(tmp_path, epochs=1)
    resumed.epoch(7.0, 7.0, metrics={'coco/segm_mAP': 0.5})
    rows = read_rows(tmp_path / 'results.csv')
    assert [(row['epoch'], row['train/loss'], row['coco/segm_mAP']) for row in rows] == [
        (1, 1, None),
        (2, 7, 0.5),
    ]


def test_a_training_from_the_beginning_begins_the_file(tmp_path):
    Training(tmp_path).epoch(1.0)
    Training(tmp_path).epoch(2.0)
    assert [row['train/loss'] for row in read_rows(tmp_path / 'results.csv')] == [2]


def test_a_damaged_file_begins_anew_with_one_warning(tmp_path, caplog):
    (tmp_path / 'results.csv').write_bytes(b'\xff\xfe epoch')
    with caplog.at_level(logging.WARNING):
        Training(tmp_path, epochs=1).epoch(1.0)
    assert len(read_rows(tmp_path / 'results.csv')) == 1


def test_losses_that_are_not_finite_leave_empty_cells(tmp_path):
    training = Training(tmp_path)
    training.epoch(math.nan, 1.0, metrics={'coco/bbox_mAP': torch.tensor(0.5), 'x': math.inf})
    (row,) = read_rows(tmp_path / 'results.csv')
    assert (row['train/loss'], row['coco/bbox_mAP'], row['x']) == (None, 0.5, None)


def test_a_training_by_iterations_has_a_row_a_validation(tmp_path):
    training = Training(tmp_path, loop=IterBasedTrainLoop)
    training.hook.before_train_epoch(training.runner)
    for loss in (1.0, 2.0, 3.0):
        training.iterate(loss=loss)
    training.validate({'coco/bbox_mAP': 0.1})
    training.iterate(loss=8.0)
    training.hook.after_train_epoch(training.runner)
    training.hook.after_train(training.runner)
    rows = read_rows(tmp_path / 'results.csv')
    assert [(row['iter'], row['train/loss'], row['coco/bbox_mAP']) for row in rows] == [
        (3, 2, 0.1),
        (4, 8, None),
    ]


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(
        'mmyolo_lite.engine.hooks.results_csv.print_log', lambda text, *_: warnings.append(text)
    )
    (tmp_path / 'results.csv').mkdir()
    training = Training(tmp_path)
    training.epoch(1.0)
    training.epoch(2.0, metrics={'coco/bbox_mAP': 0.1})
    assert len(warnings) == 1 and 'results.csv' in warnings[0]
    assert not list(tmp_path.glob('.*'))


def test_a_validation_alone_writes_nothing(tmp_path):
    hook, runner = ResultsCsvHook(), SimpleNamespace(work_dir=str(tmp_path), _train_loop=None)
    hook.before_val_epoch(runner)
    hook.after_val_epoch(runner, {'coco/bbox_mAP': 0.1})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('text', ['epoch,iter\n1,\n', 'a,b\n1,2\n', 'epoch,iter\nx,y\n'])
def test_other_tables_are_refused(tmp_path, text):
    (tmp_path / 'results.csv').write_text(text)
    with pytest.raises(DataError):
        read_rows(tmp_path / 'results.csv')
