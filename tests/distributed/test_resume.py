"""A resumed training of two processes is the one that never stopped, bit for bit."""

import shutil

from tests.distributed.ranks import WarmRanks
from tests.tools import journey
from tests.tools.test_exact_resume import LIVELY, assert_same


def test_resuming_in_two_processes(ranks: WarmRanks, data, tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ('straight', 'resumed')]
    for folder in folders:
        config = journey.write_config(folder / 'tiny.py', data, extra=LIVELY, epochs=3)
        if folder is folders[1]:
            (folder / 'work_dirs/tiny').mkdir(parents=True)
            shutil.copy(folders[0] / 'work_dirs/tiny/epoch_1.pth', folder / 'work_dirs/tiny')
        options = ('--cfg-options', 'train_dataloader.batch_size=2')
        done = ranks.check(2, folder, 'tools/train.py', config, '--resume', *options)
        assert ('resumed epoch: 1' in done.out) == (folder is folders[1])
    assert_same(*(folder / 'work_dirs/tiny/epoch_3.pth' for folder in folders))
