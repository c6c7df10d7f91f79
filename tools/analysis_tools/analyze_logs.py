"""Draw curves of logs, or tell the time of iterations."""

import argparse
from pathlib import Path

from mmyolo_lite.apis.cli import run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    tasks = parser.add_subparsers(dest='task', required=True)
    curve = tasks.add_parser('plot_curve', help='draw values over iterations or epochs')
    times = tasks.add_parser('cal_train_time', help='tell the time of iterations')
    for task in (curve, times):
        task.add_argument(
            'logs', nargs='+', type=Path, metavar='WORK_DIR|SCALARS.json', help='of trainings'
        )
    curve.add_argument(
        '--keys', nargs='+', default=['segm_mAP'], help='such as loss_mask or bbox_mAP_50'
    )
    curve.add_argument('--title', default='', help='of the picture')
    curve.add_argument('--out', type=Path, default=Path('output/curves.png'), help='the picture')
    return parser.parse_args()


def main() -> None:
    """Do what is asked for."""
    args = parse_args()
    from mmyolo_lite.apis import logs

    found = [logs.read_log(path) for path in args.logs]
    if args.task == 'plot_curve':
        logs.plot_curve(found, args.keys, args.out, args.title)
        print(f'{", ".join(args.keys)}: {args.out}')
        return
    for log in found:
        print('\n'.join(logs.time_lines(log)))


if __name__ == '__main__':
    run_cli(main)
