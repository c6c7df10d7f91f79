"""Draw the learning rate or momentum that a config's training would have."""

import argparse
from pathlib import Path

from mmyolo_lite.apis.cli import add_config_arguments, run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument('-p', '--parameter', choices=('lr', 'momentum'), default='lr')
    parser.add_argument(
        '-d', '--dataset-size', type=int, help="images (default: those of the config's data)"
    )
    parser.add_argument('-n', '--ngpus', type=int, default=1, help='processes that share the data')
    parser.add_argument(
        '-s',
        '--save-path',
        '--out',
        type=Path,
        help='of the picture (default: output/<config>.png)',
    )
    parser.add_argument('--title', help='of the picture (default: the name of the config)')
    return parser.parse_args()


def main() -> None:
    """Draw the schedule."""
    args = parse_args()
    from mmyolo_lite.apis import schedule
    from mmyolo_lite.engine.config import TRAIN_PARTS, load_config

    needs = TRAIN_PARTS if args.dataset_size is None else ()
    config = load_config(args.config, args.cfg_options, needs)
    per_epoch = schedule.iterations_per_epoch(config, args.dataset_size, args.ngpus)
    found = schedule.schedule(config, per_epoch, args.parameter)
    name = Path(args.config).stem
    path = args.save_path or Path('output') / f'{name}_{args.parameter}.png'
    schedule.save_schedule(found, args.parameter, path, args.title or name)
    print(f'{found.epochs} epochs of {per_epoch} iterations: {path}')


if __name__ == '__main__':
    run_cli(main)
