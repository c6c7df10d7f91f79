"""Kill a training again and again, resume it each time, and compare it with one that was never
stopped: ``python tests/long/kill_test.py --kills 30``.

Instants are spread over the whole training; every third one is in the middle of writing a
checkpoint. ``--signal term`` and ``int`` stop in order instead, in the middle of epochs.
"""

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.long import killed_runs, same_runs
from tests.long.killed_runs import Training
from tests.tools import journey

# samples that draw much, in workers that live on, sizes that change, a warm-up over several epochs
EXTRA = """
train_dataloader.update(num_workers=2, persistent_workers=True, batch_size=1)
default_hooks['checkpoint'].update(max_keep_ckpts=2, save_best='auto')
default_hooks['param_scheduler'].update(warmup_mim_iter=20)
default_hooks['pictures'].update(enabled=True)
sizes = dict(type='YOLOXBatchSyncRandomResize', random_size_range=(96, 160), interval=4)
model['data_preprocessor'] = dict(batch_augments=[sizes])
"""


@dataclass
class Report:
    """What a kill test found.

    Attributes:
        straight_s: seconds of the training that was not stopped.
        stops: their number, by how they were aimed.
        complete_before: the training was complete before all stops were made.
        differences: between the two trainings.
        torn: files that are not whole, behind any of the stops.
        leftovers: hidden files at the end.
        halves: stops that left a hidden half of a file, and so were in the middle of writing.
    """

    straight_s: float = 0.0
    stops: dict[str, int] = field(default_factory=lambda: {'at random': 0, 'in a write': 0})
    complete_before: bool = False
    differences: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    leftovers: int = 0
    halves: int = 0

    @property
    def is_well(self) -> bool:
        """Nothing differs and nothing is torn."""
        return not (self.differences or self.torn or self.leftovers)


def tiny_config(folder: Path, epochs: int) -> Path:
    """Write a tiny data set and its config, and return that."""
    data = journey.make_data(folder / 'data', num_train=8)
    return journey.write_config(folder / 'tiny.py', data, extra=EXTRA, epochs=epochs)


def kill_test(
    config: Path, folder: Path, kills: int, seed: int, kind: str = 'kill', options: tuple = ()
) -> Report:
    """Train once straight and once with so many stops, in ``straight`` and ``stopped`` of `folder`.

    Raises:
        RuntimeError: a training failed by itself.
    """
    chooser, report = random.Random(seed), Report()
    straight = Training(config, folder / 'straight', folder / 'straight.log', list(options))
    stopped = Training(config, folder / 'stopped', folder / 'stopped.log', list(options))
    report.straight_s = straight.run()
    whole = last_step(straight.work_dir)
    step_s = max(report.straight_s - straight.start_s, 0.1) / whole
    stopped.work_dir.mkdir(parents=True)
    for number in range(1, kills + 1):
        done = last_step(stopped.work_dir)
        steps = 2 * max(whole - done, 1) / (kills - number + 2)
        is_write = number % 3 == 0
        aim = (
            killed_runs.in_a_write(stopped.work_dir, chooser, chooser.randrange(2))
            if is_write
            else killed_runs.at(chooser.uniform(0, straight.start_s + steps * step_s))
        )
        limit = partial(reaches, stopped.work_dir, done + steps)
        either = killed_runs.either(aim, limit)
        code = killed_runs.stop_when(stopped, kind, either, resume=number > 1)
        if code is None:
            report.complete_before = True
            break
        report.stops['in a write' if is_write else 'at random'] += 1
        report.halves += any(stopped.work_dir.glob('.*.part*'))
        report.torn += [f'stop {number}: {one}' for one in same_runs.torn_files(stopped.work_dir)]
        print(
            f'stop {number}: {"in a write" if is_write else "at random"}, exit code {code}, '
            f'{_newest(stopped.work_dir)}',
            flush=True,
        )
    stopped.run(resume=True)
    report.differences = list(same_runs.differences(straight.work_dir, stopped.work_dir))
    report.torn += same_runs.torn_files(stopped.work_dir)
    report.leftovers = len(list(stopped.work_dir.glob('.*.part*')))
    return report


def _newest(work_dir: Path) -> str:
    named = work_dir / 'last_checkpoint'
    return Path(named.read_text()).name if named.is_file() else 'no checkpoint'


def last_step(work_dir: Path) -> int:
    """Return the last iteration that is logged."""
    steps = (step for kind, step in same_runs.scalars(work_dir) if kind == 'train')
    return max(steps, default=0)


def reaches(work_dir: Path, step: float) -> bool:
    """Say whether an iteration is logged."""
    return last_step(work_dir) >= step


def main() -> int:
    """Run the command line; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--kills', type=int, default=30)
    parser.add_argument('--config', type=Path, help='default: a tiny one')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE')
    parser.add_argument('--work-dir', type=Path, help='default: a temporary folder')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--signal', choices=killed_runs.SIGNALS, default='kill')
    args = parser.parse_args()
    folder = (args.work_dir or Path(tempfile.mkdtemp(prefix='kill_test_'))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    config = (args.config or tiny_config(folder, epochs=max(3 * args.kills // 2, 6))).resolve()
    begun = time.monotonic()
    report = kill_test(config, folder, args.kills, args.seed, args.signal, tuple(args.cfg_options))
    print(
        f'{sum(report.stops.values())} stops ({report.stops}) in {time.monotonic() - begun:.0f} s; '
        f'the straight training took {report.straight_s:.0f} s'
    )
    for line in [*report.differences, *report.torn]:
        print(f'  {line}')
    print(
        f'{len(report.differences)} differences, {len(report.torn)} torn files, '
        f'{report.leftovers} left-over parts; {report.halves} stops were in the middle of writing'
    )
    return 0 if report.is_well and not report.complete_before else 1


if __name__ == '__main__':
    sys.exit(main())
