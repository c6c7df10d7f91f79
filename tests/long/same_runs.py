"""Whether two work dirs hold the same training, and every file of one is whole."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import torch

PARTS = ('state_dict', 'ema_state_dict', 'optimizer')
NOT_COMPARED = ('time', 'data_time', 'memory')


def tensors(value: Any, path: str = '') -> dict[str, torch.Tensor]:
    """Return all tensors and numbers of a checkpoint, by their place."""
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return {
            k: t for key, one in value.items() for k, t in tensors(one, f'{path}.{key}').items()
        }
    if isinstance(value, (torch.Tensor, int, float)):
        return {path: torch.as_tensor(value)}
    return {}


def differences(straight: Path, other: Path) -> Iterator[str]:
    """Yield a line for everything that two finished work dirs differ in, times apart."""
    names, theirs = ({path.name for path in one.glob('*.pth')} for one in (straight, other))
    if names != theirs:
        yield f'checkpoints: {sorted(names)} and {sorted(theirs)}'
    for name in sorted(names & theirs):
        first, second = (torch.load(one / name, weights_only=False) for one in (straight, other))
        for part in PARTS:
            ours, others = tensors(first.get(part)), tensors(second.get(part))
            if ours.keys() != others.keys():
                yield f'{name}: keys of {part}'
                continue
            bad = [key for key in ours if not torch.equal(ours[key], others[key])]
            if bad:
                yield f'{name}: {len(bad)} of {len(ours)} in {part}, such as {bad[0]}'
    if (rows := table(straight)) != (other_rows := table(other)):
        bad_rows = [one['epoch'] for one, two in zip(rows, other_rows, strict=False) if one != two]
        yield f'results.csv: {len(rows)} and {len(other_rows)} rows, different in {bad_rows}'
    ours, others = scalars(straight), scalars(other)
    bad_steps = [key for key in ours | others if ours.get(key) != others.get(key)]
    if bad_steps:
        yield f'scalars.json: {bad_steps}'


def table(work_dir: Path) -> list[dict[str, str]]:
    """Return the rows of results.csv without times."""
    with (work_dir / 'results.csv').open() as file:
        return [
            {name: cell for name, cell in row.items() if name not in NOT_COMPARED}
            for row in csv.DictReader(file)
        ]


def scalars(work_dir: Path) -> dict[tuple[str, int], dict[str, float]]:
    """Return what is logged, by kind and step; of several runs the last one counts."""
    found = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # counted as torn elsewhere
            kind = 'train' if 'loss' in entry else 'val'
            values = {key: one for key, one in entry.items() if key not in NOT_COMPARED}
            found[kind, entry['step']] = values
    return found


def torn_files(work_dir: Path) -> Iterator[str]:
    """Yield every file that is not whole; hidden ones, which a kill may leave, are none."""
    for path in sorted(work_dir.rglob('*')):
        if path.is_file() and not path.name.startswith('.'):
            try:
                _read(path)
            except Exception as error:
                yield f'{path.relative_to(work_dir)}: {type(error).__name__}: {error}'


def _read(path: Path) -> None:
    """Read a file to its end.

    Raises:
        Exception: it is not whole.
    """
    if path.suffix == '.pth':
        torch.load(path, weights_only=False)
    elif path.name == 'scalars.json' or path.parent.name == 'vis_data' and path.suffix == '.json':
        for line in path.read_text().splitlines():
            json.loads(line)
    elif path.suffix == '.json':
        json.loads(path.read_text())
    elif path.suffix == '.csv':
        with path.open() as file:
            lengths = {len(row) for row in csv.reader(file)}
        if len(lengths) != 1:
            raise ValueError(f'rows of {sorted(lengths)} cells')
    elif path.suffix == '.py':
        compile(path.read_text(), str(path), 'exec')
    elif path.suffix in ('.jpg', '.png'):
        if cv2.imread(str(path)) is None or not path.read_bytes().endswith(
            (b'\xff\xd9', b'IEND\xaeB`\x82')
        ):
            raise ValueError('no whole picture')
    elif path.name == 'last_checkpoint':
        named = path.read_text()
        if not Path(named).is_file() and not (path.parent / Path(named).name).is_file():
            raise ValueError(f'names {named!r}, which is not there')
    elif 'tfevents' not in path.name:  # which TensorBoard reads as far as it goes
        path.read_text()
