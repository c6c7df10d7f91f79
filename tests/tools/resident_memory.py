"""A hook that notes the memory of a training process after each epoch."""

from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class ResidentMemoryHook(Hook):
    """Add the resident memory in MiB as a line to ``memory.txt`` in the current folder."""

    priority = 'LOWEST'

    def after_val_epoch(self, runner, metrics=None) -> None:
        (line,) = [
            line
            for line in Path('/proc/self/status').read_text().splitlines()
            if line.startswith('VmRSS')
        ]
        with Path('memory.txt').open('a') as file:
            file.write(f'{int(line.split()[1]) / 1024}\n')
