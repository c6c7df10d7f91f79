"""Train the demo for long, and see that nothing grows: memory, files, processes, threads.

``python tests/long/soak.py --minutes 30`` or ``--epochs 50``, with ``data/sample_balloon`` in place
(``make demo``). Each short epoch trains, validates and saves; after each one the process and its
workers are measured. Exit code 1 if something grew.
"""

import argparse
import csv
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
CONFIG = 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py'
FIRST_EPOCHS = 3
"""In these everything starts, ..."""
FIRST_OF_MANY = 100
"""... and until here, after 800 images, all has happened that one image in a hundred meets: the
libraries behind rare augmentations come into the memory of each worker, 12 MB once."""
MAX_GROWTH = 0.02
POLL_S = 0.2
END_S = 120
EPOCH = re.compile(r'[\\/]epoch_(\d+)\.pth')
FOREVER = 100_000
SHORT_EPOCHS = (
    'train_dataloader.num_workers=2',
    'train_dataloader.persistent_workers=True',
    'train_dataloader.batch_size=4',
    'train_dataloader.dataset.indices=8',
    'val_dataloader.num_workers=1',
    'val_dataloader.dataset.indices=4',
    'train_cfg.val_interval=1',
    'default_hooks.checkpoint.interval=1',
    'default_hooks.checkpoint.max_keep_ckpts=2',
    'default_hooks.logger.interval=1',
)


@dataclass
class Sample:
    """What a training takes after an epoch; memory in KiB, of the main process and of its workers
    (of these the share that is their own). `shared_kib` is of the whole machine, and not judged.
    """

    epoch: int
    seconds: float
    main_kib: int
    workers_kib: int
    files: int
    processes: int
    threads: int
    shared_maps: int
    shared_kib: int


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for task in Path(f'/proc/{pid}/task').glob('*/children'):
        for child in read(task).split():
            found += family(int(child))
    return found


def read(path: Path) -> str:
    """Return the content of a file, '' if it is gone."""
    try:
        return path.read_text()
    except OSError:
        return ''


def number(text: str, key: str) -> int:
    """Return the number behind a key, as in /proc/*/status."""
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(key)), 0)


def count(folder: Path) -> int:
    """Return the number of entries."""
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0


def measure(pid: int, epoch: int, since: float) -> Sample:
    """Measure a training."""
    processes = [Path('/proc') / str(one) for one in family(pid)]
    own = [number(read(one / 'smaps_rollup'), 'Pss:') for one in processes[1:]]
    shared = Path('/dev/shm')
    return Sample(
        epoch,
        round(time.monotonic() - since, 1),
        number(read(processes[0] / 'status'), 'VmRSS:'),
        sum(own),
        sum(count(one / 'fd') for one in processes),
        len(processes),
        sum(number(read(one / 'status'), 'Threads:') for one in processes),
        sum(read(one / 'maps').count(f' {shared}/') for one in processes),
        shutil.disk_usage(shared).used // 1024 if shared.is_dir() else 0,
    )


def growth(values: list[float]) -> float:
    """Return by what part the median of the last tenth is above that of the first."""
    tenth = max(len(values) // 10, 1)
    first, last = (statistics.median(part) for part in (values[:tenth], values[-tenth:]))
    return last / first - 1 if first else float(last > 0)


def judge(samples: list[Sample], first_epochs: int = FIRST_EPOCHS) -> list[str]:
    """Return a line for each thing that is measured after the first epochs; those that grew begin
    with FAILED.
    """
    steady = [one for one in samples if one.epoch > first_epochs]
    if len(steady) < 10:
        return [
            f'FAILED: {len(samples)} epochs are too few, at least {first_epochs + 10} are needed'
        ]
    lines = []
    for name in ('main_kib', 'workers_kib', 'files', 'processes', 'threads', 'shared_maps'):
        values = [getattr(one, name) for one in steady]
        grown = growth(values)
        verdict = 'ok' if grown < MAX_GROWTH else 'FAILED'
        lines.append(f'{verdict}: {name} {values[0]} -> {values[-1]}, {grown:+.2%}')
    return lines


def soak(work_dir: Path, epochs: int, minutes: float) -> list[Sample]:
    """Run a training and measure it after each epoch.

    Raises:
        RuntimeError: it failed.
    """
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    options = ['--cfg-options', f'train_cfg.max_epochs={epochs or FOREVER}', *SHORT_EPOCHS]
    command = [sys.executable, 'tools/train.py', CONFIG, '--work-dir', str(work_dir), *options]
    since, samples = time.monotonic(), []
    with (
        (work_dir / 'output.txt').open('w') as output,
        (work_dir / 'samples.csv').open('w', newline='') as table,
    ):
        writer = csv.DictWriter(table, [field.name for field in fields(Sample)])
        writer.writeheader()
        with subprocess.Popen(command, cwd=REPO, stdout=output, stderr=output) as process:
            newest = 0
            while process.poll() is None:
                time.sleep(POLL_S)
                named = EPOCH.search(read(work_dir / 'last_checkpoint'))
                if named and int(named[1]) > newest and process.poll() is None:
                    newest = int(named[1])
                    samples.append(measure(process.pid, newest, since))
                    writer.writerow(asdict(samples[-1]))
                    table.flush()
                if minutes and time.monotonic() - since > 60 * minutes:
                    process.send_signal(signal.SIGTERM)
                    process.wait(END_S)
                    return samples
    if process.returncode:
        raise RuntimeError(f'the training failed, see {work_dir / "output.txt"}')
    return samples


def main() -> None:
    """Soak as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument('--minutes', type=float, default=0, help='train for so long')
    length.add_argument('--epochs', type=int, default=0, help='train so many epochs')
    parser.add_argument('--work-dir', type=Path, default=REPO / 'work_dirs/soak')
    args = parser.parse_args()
    samples = soak(args.work_dir.resolve(), args.epochs, args.minutes)
    print(f'{len(samples)} epochs, {samples[-1].seconds if samples else 0} s; {args.work_dir}')
    lines = judge(samples, FIRST_OF_MANY if args.minutes else FIRST_EPOCHS)
    print('\n'.join(lines))
    sys.exit(any(line.startswith('FAILED') for line in lines))


if __name__ == '__main__':
    main()
