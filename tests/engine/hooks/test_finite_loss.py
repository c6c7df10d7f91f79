"""Losses and weights that are not finite stop a training, with what led to it."""

import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub

from mmyolo_lite.engine.hooks import FiniteLossHook
from mmyolo_lite.errors import DataError


class Training:
    """What the hook asks a runner for, in the second epoch of three iterations."""

    def __init__(self) -> None:
        self.epoch, self.iter = 1, 4
        self.message_hub = MessageHub('finite_loss')
        self.model = torch.nn.Linear(2, 1)
        self.train_dataloader = [None] * 3
        self.optim_wrapper = SimpleNamespace(param_groups=[{'initial_lr': 0.01}])

    def iterate(self, hook: FiniteLossHook, batch: object = None, **losses: float) -> None:
        for name, value in losses.items():
            self.message_hub.update_scalar(f'train/{name}', value)
        hook.after_train_iter(self, 1, batch, losses)


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
def test_the_message_names_the_term_the_place_and_the_images(bad):
    samples = [SimpleNamespace(img_path=f'photos/{number}.jpg') for number in range(2)]
    with pytest.raises(DataError) as found:
        Training().iterate(
            FiniteLossHook(), {'data_samples': samples}, loss=bad, loss_mask=bad, loss_obj=0.5
        )
    text = str(found.value)
    assert f'in epoch 2 at iteration 2 of 3 (5 in all): loss_mask is {bad} (loss_obj 0.5).' in text
    assert 'photos/0.jpg, photos/1.jpg.' in text and '.lr (now 0.01)' in text


def test_a_sum_alone_is_named():
    with pytest.raises(DataError, match='loss is inf'):
        Training().iterate(FiniteLossHook(), loss=math.inf, loss_obj=1.0)


def test_finite_losses_and_other_values_pass():
    Training().iterate(FiniteLossHook(), loss=1.0, loss_obj=1.0, ratio=math.nan)


def test_it_can_be_switched_off():
    training, hook = Training(), FiniteLossHook(enabled=False)
    training.iterate(hook, loss=math.nan)
    torch.nn.init.constant_(training.model.weight, math.nan)
    hook.before_save_checkpoint(training, {'state_dict': training.model.state_dict()})


def test_weights_that_are_not_finite_are_not_saved():
    training, hook = Training(), FiniteLossHook()
    hook.before_save_checkpoint(training, {'state_dict': training.model.state_dict()})
    training.model.bias.data.fill_(math.inf)
    with pytest.raises(DataError, match='1 weights are not finite, the first: bias'):
        hook.before_save_checkpoint(training, {'state_dict': training.model.state_dict()})
