"""The newest checkpoint of a work dir that can be resumed from."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader

from mmyolo_lite.engine.hooks.checkpoint import INTERRUPTED, files_named, last_named
from mmyolo_lite.errors import CheckpointError

_NUMBERED = re.compile(r'(?P<kind>epoch|iter)_(?P<number>\d+)\.pth')


def newest_checkpoint(work_dir: Path) -> Path | None:
    """Return the newest checkpoint that loads: the one that ``last_checkpoint`` names, else the
    one with the highest number. Damaged ones are warned of.

    Args:
        work_dir: of the training.

    Returns:
        None if there are no checkpoints.

    Raises:
        CheckpointError: there are some, and none of them loads.
    """
    damaged = []
    for path in dict.fromkeys(_candidates(work_dir)):
        try:
            CheckpointLoader.load_checkpoint(str(path), map_location='cpu', logger='silent')
        except CheckpointError as error:
            damaged.append(path)
            print_log(f'{error} Trying the one before.', 'current', logging.WARNING)
            continue
        return path
    if damaged:
        raise CheckpointError(
            f'None of the {len(damaged)} checkpoints in {work_dir} loads. Start anew in another '
            '--work-dir, or without --resume.'
        )
    return None


def _candidates(work_dir: Path) -> Iterator[Path]:
    """Yield checkpoints, newest first: the one that was saved last, then those before it."""
    named = last_named(work_dir) or INTERRUPTED
    for path in files_named(work_dir, named):
        yield path.resolve()
    last = _NUMBERED.fullmatch(Path(named).name)
    numbered = [
        (match['kind'], int(match['number']), path.resolve())
        for path in work_dir.glob('*.pth')
        if (match := _NUMBERED.fullmatch(path.name))
    ]
    for kind, number, path in sorted(numbered, reverse=True):
        # an earlier, longer training in the same folder may have left higher numbers
        if last is None or (kind == last['kind'] and number <= int(last['number'])):
            yield path
