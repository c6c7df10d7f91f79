"""Losses, gradients and statistics do not depend on how many processes share a batch."""

import pytest
import torch

from tests.distributed.gradients_script import SETTINGS

SCRIPT = 'tests/distributed/gradients_script.py'


@pytest.fixture(scope='module')
def found(ranks, tmp_path_factory) -> dict[int, dict]:
    """What one, two and three processes compute, by their number and the case."""
    folder = tmp_path_factory.mktemp('shared')
    for world in (1, 2, 3):
        ranks.check(world, folder, SCRIPT, folder / f'{world}.pth')
    return {world: torch.load(folder / f'{world}.pth', weights_only=True) for world in (1, 2, 3)}


@pytest.mark.parametrize('world', [2, 3])
@pytest.mark.parametrize('case', SETTINGS)
def test_several_processes_compute_what_one_does(case, world, found):
    one, several = found[1][case], found[world][case]
    assert one['losses']['loss'] > 0
    assert one['losses'].keys() == several['losses'].keys()
    for name, value in one['losses'].items():
        torch.testing.assert_close(several['losses'][name], value, rtol=2e-6, atol=1e-7)
    for kind, rtol in (('gradients', 1e-4), ('statistics', 1e-5)):
        for ours, theirs in zip(several[kind], one[kind], strict=True):
            scale = float(theirs.abs().max()) + 1e-3
            assert float((ours - theirs).abs().max()) < rtol * scale, kind
