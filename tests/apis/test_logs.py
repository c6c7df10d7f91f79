"""Tests of reading logs."""

import json
import time

import pytest

from mmyolo_lite.apis.logs import plot_curve, read_log, time_lines
from mmyolo_lite.errors import ConfigError, DataError


def entry(step: int, **values) -> str:
    return json.dumps(dict(step=step, **values))


@pytest.fixture
def work_dir(tmp_path):
    """A training of two epochs of two iterations, interrupted and resumed after the first."""
    for number, lines in enumerate(
        [
            [
                entry(1, loss=4.0, lr=0.1, time=2.0, epoch=1),
                entry(2, loss=3.0, lr=0.1, time=4.0, epoch=1),
                entry(1, **{'coco/segm_mAP': 0.1}),
                entry(3, loss=9.0, lr=0.1, time=9.0, epoch=2),
                entry(2, **{'coco/segm_mAP': 0.9, 'coco/bbox_mAP': 0.9}),
                '{"step": 4, "lo',
            ],
            [
                entry(3, loss=2.0, lr=0.1, time=1.0, epoch=2),
                entry(4, loss=1.0, lr=0.1, time=1.0, epoch=2),
                entry(2, **{'coco/segm_mAP': 0.2}),
            ],
        ]
    ):
        path = tmp_path / f'2026_{number}/vis_data/scalars.json'
        path.parent.mkdir(parents=True)
        path.write_text('\n'.join(lines))
    return tmp_path


def test_resumed_trainings_are_one_curve(work_dir):
    log = read_log(work_dir)
    assert log.training['loss'] == {1: 4.0, 2: 3.0, 3: 2.0, 4: 1.0}
    assert log.validation['coco/segm_mAP'] == {1: 0.1, 2: 0.2}
    assert 'coco/bbox_mAP' not in log.validation, 'of an abandoned epoch'
    assert len(read_log(work_dir / '2026_1/vis_data/scalars.json').training['loss']) == 2


def test_curves_are_drawn(work_dir, tmp_path):
    logs = [read_log(work_dir)]
    plot_curve(logs, ['loss', 'lr'], tmp_path / 'a.png')
    plot_curve(logs, ['segm_mAP'], tmp_path / 'b.svg')
    assert 'epoch' in (tmp_path / 'b.svg').read_text()
    with pytest.raises(ConfigError, match='draw them apart'):
        plot_curve(logs, ['loss', 'segm_mAP'], tmp_path / 'c.png')
    with pytest.raises(ConfigError, match="logs no 'los'; it logs coco/segm_mAP"):
        plot_curve(logs, ['los'], tmp_path / 'c.png')


def test_times_of_epochs(work_dir):
    lines = time_lines(read_log(work_dir))
    assert lines[1:3] == [
        'slowest epoch 1, average time is 3.0000 s/iter',
        'fastest epoch 2, average time is 1.0000 s/iter',
    ]


def test_folders_without_a_log_and_damage_are_refused(tmp_path):
    with pytest.raises(DataError, match='has no'):
        read_log(tmp_path)
    for content in ('no json\n' + entry(1, loss=1.0), '[]\n{}', '', '\xff'):
        (tmp_path / 'scalars.json').write_text(content)
        with pytest.raises(DataError):
            read_log(tmp_path / 'scalars.json')


@pytest.mark.parametrize(
    'line',
    [
        '{"step": 1, "loss": 1, "epoch": 1, "time": "x"}',
        '{"step": 1, "loss": 1, "epoch": 1, "time": NaN}',
        '{"step": 1, "loss": 1, "epoch": "a"}',
        '{"step": 1e999, "loss": 1}',
        '{"step": 1, "loss": 1' + '0' * 400 + '}',
        '[1]',
    ],
    ids=lambda line: line[:50],
)
def test_malformed_values_are_refused_with_their_line(tmp_path, line):
    (tmp_path / 'scalars.json').write_text(f'{entry(1, loss=1.0)}\n{line}\n')
    with pytest.raises(DataError, match='scalars.json, line 2'):
        read_log(tmp_path / 'scalars.json')


def test_long_logs_are_read_quickly(tmp_path):
    steps = [entry(step, loss=1.0, lr=0.1, time=1.0, epoch=1) for step in range(1, 30_001)]
    (tmp_path / 'scalars.json').write_text('\n'.join(steps))
    start = time.perf_counter()
    assert len(read_log(tmp_path / 'scalars.json').times) == 30_000
    assert time.perf_counter() - start < 5, 'squared, it would take a minute'
