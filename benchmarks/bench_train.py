"""Train a config once for each seed and print box and mask AP, wall time, peak memory and images
per second.

    python benchmarks/bench_train.py CONFIG --seeds 0 1 2 [--amp] [--out-dir DIR] [--cfg-options
    KEY=VALUE ...]

Each run is a process of its own (``tools/train.py``). ``--collect`` reads runs that are already
there. The rows go to ``DIR/<name>.json`` and, as a Markdown table, to the screen.
"""

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
from datetime import datetime
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
METRICS = {
    'box AP': 'coco/bbox_mAP',
    'box AP50': 'coco/bbox_mAP_50',
    'box AP75': 'coco/bbox_mAP_75',
    'mask AP': 'coco/segm_mAP',
    'mask AP50': 'coco/segm_mAP_50',
    'mask AP75': 'coco/segm_mAP_75',
}


def train(config: str, work_dir: Path, seed: int, amp: bool, options: list[str]) -> None:
    """Run one training and leave its log in the work dir."""
    command = [sys.executable, str(REPO / 'tools/train.py'), config, '--work-dir', str(work_dir)]
    command += ['--amp'] * amp + ['--cfg-options', f'randomness.seed={seed}', *options]
    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / 'stdout.log').open('w') as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)


def read_scalars(work_dir: Path) -> list[dict]:
    """Return the lines of every scalars file of a work dir, oldest first."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        raise SystemExit(f'error: no run in {work_dir}: it has no */vis_data/scalars.json')
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def wall_seconds(work_dir: Path) -> float:
    """Return the time between the first and the last line of each log, added up; validation is part
    of it.
    """
    total = 0.0
    for log in work_dir.glob('*/*.log'):
        stamps = re.findall(
            r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ', log.read_text(), flags=re.MULTILINE
        )
        first, last = (
            datetime.strptime(stamp, '%Y/%m/%d %H:%M:%S') for stamp in (stamps[0], stamps[-1])
        )
        total += (last - first).total_seconds()
    return total


def summarize(work_dir: Path, batch_size: int) -> dict[str, float]:
    """Return one row: the metrics of the last validation, wall time, images/s, peak GPU memory.

    Args:
        work_dir: of a finished run, logged at every few iterations.
        batch_size: images of an iteration.
    """
    lines = read_scalars(work_dir)
    scores = [line for line in lines if METRICS['box AP'] in line]
    steps = [line for line in lines if 'loss' in line]
    row = {
        name: round(scores[-1][key], 3)
        for name, key in METRICS.items()
        if scores and key in scores[-1]
    }
    row['epochs'] = max(line['epoch'] for line in steps)
    row['minutes'] = round(wall_seconds(work_dir) / 60, 1)
    row['images/s'] = round(batch_size / statistics.median(line['time'] for line in steps), 1)
    if 'memory' in steps[-1]:
        row['GPU MiB'] = max(line['memory'] for line in steps)
    return row


def table(rows: dict[str, dict[str, float]]) -> str:
    """Return a Markdown table, with a row of means when there are several runs."""
    columns = list(next(iter(rows.values())))
    if len(rows) > 1:
        shared = [c for c in columns if all(c in row for row in rows.values())]
        rows = {
            **rows,
            'mean': {c: round(statistics.mean(row[c] for row in rows.values()), 3) for c in shared},
        }
    lines = ['| run | ' + ' | '.join(columns) + ' |', '|---' * (len(columns) + 1) + '|']
    lines += [
        f'| {name} | ' + ' | '.join(str(row.get(c, '')) for c in columns) + ' |'
        for name, row in rows.items()
    ]
    return '\n'.join(lines)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--amp', action='store_true')
    parser.add_argument(
        '--batch-size', type=int, default=4, help='of the config, for images per second'
    )
    parser.add_argument('--out-dir', type=Path, default=Path('work_dirs/bench'))
    parser.add_argument(
        '--collect', action='store_true', help='do not train, read the runs in --out-dir'
    )
    parser.add_argument('--cfg-options', nargs='+', default=[])
    return parser.parse_args()


def main() -> None:
    """Train, collect, print."""
    args = parse_args()
    rows = {}
    for seed in args.seeds:
        name = f'{Path(args.config).stem}{"_amp" * args.amp}_seed{seed}'
        if not args.collect:
            train(args.config, args.out_dir / name, seed, args.amp, args.cfg_options)
        rows[name] = summarize(args.out_dir / name, args.batch_size)
        result = {
            'machine': platform.processor() or platform.machine(),
            'python': platform.python_version(),
            'options': args.cfg_options,
            **rows[name],
        }
        (args.out_dir / f'{name}.json').write_text(json.dumps(result, indent=1) + '\n')
    print(table(rows))


if __name__ == '__main__':
    main()
