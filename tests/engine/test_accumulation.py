"""Gradients accumulated over batches take the step of one large batch."""

import copy
import shutil
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from mmyolo_lite.engine import optimizer as optimizer_module
from mmyolo_lite.engine.optimizer import YOLOv5OptimizerConstructor
from tests.models.test_padded_loss import INPUT_HW, batch
from tests.models.tiny import detector
from tests.tools import journey
from tests.tools.test_exact_resume import assert_same

SGD = {'type': 'SGD', 'lr': 0.01, 'momentum': 0.9, 'weight_decay': 0.0005, 'nesterov': True}


@pytest.fixture(autouse=True)
def hub() -> Iterator[MessageHub]:
    """Epochs of five batches, three of them."""
    current = MessageHub.get_current_instance()
    with mock.patch.dict(current.runtime_info, {'max_epochs': 3, 'max_iters': 15}):
        yield current


def wrapper_of(model: nn.Module, counts: int, kind: str = 'OptimWrapper', **optimizer: Any) -> Any:
    cfg = {'type': kind, 'accumulative_counts': counts, 'optimizer': {**SGD, **optimizer}}
    return YOLOv5OptimizerConstructor(cfg)(model)


def features_and_targets(copies: int) -> tuple[list[torch.Tensor], dict]:
    """Return maps of a neck and targets of the same three images, `copies` times over."""
    generator = torch.Generator().manual_seed(0)
    maps = [
        torch.randn((3, channels, *(side // stride for side in INPUT_HW)), generator=generator)
        for channels, stride in ((32, 8), (64, 16), (128, 32))
    ]
    one, rows = batch('ins', 20), []
    for index in range(copies):
        shifted = one['bboxes_labels'].clone()
        shifted[:, 0] += 3 * index
        rows.append(shifted)
    targets = {
        'bboxes_labels': torch.cat(rows),
        'masks': one['masks'].repeat(copies, 1, 1),
        'img_metas': one['img_metas'] * copies,
    }
    return [level.repeat(copies, 1, 1, 1) for level in maps], targets


def weights_after(counts: int) -> list[torch.Tensor]:
    """Return the weights of a head after two steps of six images each, `counts` batches a step."""
    head = detector('ins').bbox_head.eval()  # the norms of a batch would see other images
    wrapper = wrapper_of(head, counts)
    for _ in range(2 * counts):
        losses = head.loss(*features_and_targets(2 // counts))
        wrapper.update_params(sum(losses.values()).sum())
    return [parameter.detach() for parameter in head.parameters()]


def test_two_batches_of_three_take_the_steps_of_one_of_six() -> None:
    before = [parameter.detach() for parameter in detector('ins').bbox_head.parameters()]
    large, small = weights_after(1), weights_after(2)
    for start, one, other in zip(before, large, small, strict=True):
        moved = float((one - start).abs().max())
        assert moved > 0
        assert float((one - other).abs().max()) < 1e-4 * moved + 1e-7


@pytest.mark.parametrize('kind', ['OptimWrapper', 'AmpOptimWrapper'])
def test_gradients_add_up(kind: str) -> None:
    model = nn.Linear(2, 1)
    before = model.weight.detach().clone()
    wrapper = wrapper_of(model, 3, kind, weight_decay=0.0, momentum=0.0, nesterov=False)
    for _ in range(3):
        wrapper.update_params(model(torch.ones(1, 2)).sum())
    torch.testing.assert_close(model.weight.detach(), before - 3 * SGD['lr'])


def steps_of(wrapper: Any, model: nn.Linear, begin: int, end: int) -> list[int]:
    """Return the iterations, from 1, behind which weights have changed."""
    wrapper.initialize_count_status(model, begin, 15)
    found = []
    for iteration in range(begin + 1, end + 1):
        before, syncs = copy.deepcopy(model.weight.data), wrapper.should_sync()
        wrapper.update_params(model(torch.ones(1, 2)).sum())
        stepped = not torch.equal(model.weight.data, before)
        assert stepped == syncs
        found += [iteration] * stepped
    return found


@pytest.mark.parametrize(
    ('counts', 'expected'),
    [
        (2, [2, 4, 5, 7, 9, 10, 12, 14, 15]),
        (3, [3, 5, 8, 10, 13, 15]),
        (5, [5, 10, 15]),
        (8, [5, 10, 15]),
    ],
)
def test_a_step_ends_each_epoch(counts: int, expected: list[int]) -> None:
    model = nn.Linear(2, 1)
    assert steps_of(wrapper_of(model, counts), model, 0, 15) == expected
    assert steps_of(wrapper_of(model, counts), model, 5, 15) == [n for n in expected if n > 5]


def test_without_epochs_the_last_iteration_steps(hub: MessageHub) -> None:
    hub.runtime_info['max_epochs'] = 1
    model = nn.Linear(2, 1)
    assert steps_of(wrapper_of(model, 4), model, 0, 15) == [4, 8, 12, 15]


def test_gradients_that_a_checkpoint_lacks_are_told() -> None:
    model = nn.Linear(2, 1)
    with mock.patch('mmyolo_lite.engine.accumulation.print_log') as log:
        wrapper_of(model, 2).initialize_count_status(model, 10, 15)
        assert not log.called
        wrapper_of(model, 2).initialize_count_status(model, 6, 15)
    assert 'last 1 iterations' in log.call_args.args[0]


def test_without_accumulation_the_wrapper_is_left_alone() -> None:
    model = nn.Linear(2, 1)
    assert type(wrapper_of(model, 1)).__mro__[1].__name__ != 'SummedGradients'
    assert steps_of(wrapper_of(model, 1), model, 0, 4) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ('batch_size', 'counts', 'decay'),
    [(16, 1, 0.0005), (16, 4, 0.0005), (32, 4, 0.001), (24, 1, 0.0005625), (24, 2, 0.000375)],
)
def test_weight_decay_fits_the_batch_of_a_step(batch_size: int, counts: int, decay: float) -> None:
    with mock.patch.object(optimizer_module, 'print_log'):
        wrapper = wrapper_of(nn.Linear(2, 1), counts, batch_size_per_gpu=batch_size)
    assert wrapper.optimizer.param_groups[0]['weight_decay'] == pytest.approx(decay)


ACCUMULATING = """
train_dataloader['batch_size'] = 3
optim_wrapper['accumulative_counts'] = 2
default_hooks['checkpoint'].update(max_keep_ckpts=-1)
"""


@pytest.fixture(scope='module')
def warm() -> Iterator[journey.WarmTools]:
    tools = journey.WarmTools()
    yield tools
    tools.close()


def test_training_with_a_remainder_resumes_exactly(warm: journey.WarmTools, tmp_path: Any) -> None:
    """Eight images are batches of 3, 3 and 2: steps behind the second and the third."""
    data = journey.make_data(tmp_path / 'data')
    rates = []
    for name in ('straight', 'resumed', 'alone'):
        extra = (
            ACCUMULATING
            if name != 'alone'
            else ACCUMULATING.replace("counts'] = 2", "counts'] = 1")
        )
        folder = tmp_path / name
        folder.mkdir()
        config = journey.write_config(folder / 'tiny.py', data, extra=extra)
        if name == 'resumed':
            (folder / 'work_dirs/tiny').mkdir(parents=True)
            shutil.copy(tmp_path / 'straight/work_dirs/tiny/epoch_1.pth', folder / 'work_dirs/tiny')
        done = warm.run(folder, 'tools/train.py', config, '--resume').check()
        assert 'are lost' not in done.out + done.err
        rates.append({e['step']: e['lr'] for e in journey.train_scalars(folder / 'work_dirs/tiny')})
    assert_same(
        *(tmp_path / name / 'work_dirs/tiny/epoch_2.pth' for name in ('straight', 'resumed'))
    )
    assert rates[0] == rates[2]  # the schedule counts iterations, not steps
    assert list(rates[1]) == [4, 5, 6]
