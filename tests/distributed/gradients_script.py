"""Losses and gradients of a model for a batch that one process has, or several share.

Run by test_shared_batch.py: ``gradients_script.py [--launcher pytorch] OUT.pth``.
"""

import os
import sys

import torch
from mmengine.model.utils import convert_sync_batchnorm
from torch import distributed, nn

from mmyolo_lite.models.wrapper import MMDistributedDataParallel
from tests.models.test_padded_loss import INPUT_HW, batch
from tests.models.tiny import detector

IMAGES = 6
# what the images of each process hold in three processes: image k goes to process k % 3
SETTINGS = {
    'even': {},
    'padded': {'padded_positives': True},
    'one_without': {},
    'none': {},
    'ignored': {'ignore_iof_thr': 0.5},
    'ignored_padded': {'ignore_iof_thr': 0.5, 'padded_positives': True},
}


def whole_batch(case: str) -> tuple[torch.Tensor, dict]:
    """Return images (6, 3, H, W) and their targets."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand((IMAGES, 3, *INPUT_HW), generator=generator)
    found = batch('ins', 0 if case == 'none' else 25)
    rows = found['bboxes_labels']
    rows[:, 0] = torch.arange(len(rows)) % IMAGES
    if case == 'one_without':
        rows = rows[rows[:, 0] % 3 != 1]
    if case != 'even':  # uneven: most objects in the first image
        rows[2 : len(rows) // 2, 0] = 0
    found['bboxes_labels'] = rows[rows[:, 0].argsort(stable=True)]
    height, width = INPUT_HW[0] // 4, INPUT_HW[1] // 4
    found['masks'] = torch.randint(0, 5, (IMAGES, height, width), generator=generator)
    if case.startswith('ignored'):  # of three processes, the first alone has such images
        found['ignored'] = torch.tensor([[0, 0, 0.0, 0, 40, 40], [3, 0, 50.0, 10, 90, 60]])
    return inputs, found


def part(inputs: torch.Tensor, found: dict, rank: int, world: int) -> tuple[torch.Tensor, dict]:
    """Return the images of one process."""
    own = list(range(rank, IMAGES, world))
    chosen = {'img_metas': [{'batch_input_shape': INPUT_HW}] * len(own)}
    chosen['masks'] = found['masks'][own]
    for name in ('bboxes_labels', 'ignored'):
        if name in found:
            rows = found[name][torch.isin(found[name][:, 0].long(), torch.tensor(own))].clone()
            rows[:, 0] = (rows[:, 0] - rank) / world
            if len(rows) or name == 'bboxes_labels':
                chosen[name] = rows
    return inputs[own], chosen


def computed(case: str, rank: int, world: int) -> dict:
    """Return losses, gradients and statistics of norms."""
    settings = dict(SETTINGS[case])
    padded = settings.pop('padded_positives', False)
    model = detector('ins', model={'use_syncbn': False}, **settings).train()
    model.bbox_head.padded_positives = padded
    wrapped = model
    if world > 1:
        model = convert_sync_batchnorm(model)  # as sync_bn='torch' does
        wrapped = MMDistributedDataParallel(module=model, broadcast_buffers=False)
    inputs, targets = part(*whole_batch(case), rank, world)
    loss, logged = model.parse_losses(wrapped(inputs, targets, mode='loss'))
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    norms = (m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    return {
        'losses': {name: value.detach() for name, value in logged.items()},
        'gradients': [parameter.grad for parameter in model.parameters()],
        'statistics': [buffer for norm in norms for buffer in norm.buffers()],
    }


def main(out: str) -> None:
    """Write what the first process finds for each case to a file."""
    world, rank = int(os.environ.get('WORLD_SIZE', 1)), int(os.environ.get('RANK', 0))
    if world > 1:
        distributed.init_process_group('gloo')
    found = {case: computed(case, rank, world) for case in SETTINGS}
    if rank == 0:
        torch.save(found, out)
    if world > 1:
        distributed.destroy_process_group()


if __name__ == '__main__':
    main(sys.argv[-1])
