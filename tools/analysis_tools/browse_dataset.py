"""Draw a config's data: as annotated, as the network sees it, or step by step."""

import argparse
from pathlib import Path

from mmyolo_lite.apis.choices import DEFAULT_OUT_DIR, MODES, PHASES
from mmyolo_lite.apis.cli import add_config_arguments, run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument('-p', '--phase', choices=PHASES, default='train')
    parser.add_argument('-m', '--mode', choices=MODES, default='transformed')
    parser.add_argument(
        '--out-dir', type=Path, help=f'default: {DEFAULT_OUT_DIR}, where no window can open'
    )
    parser.add_argument('--not-show', action='store_true', help='open no window')
    parser.add_argument('-n', '--show-number', type=int, help='at most so many (default: all)')
    parser.add_argument('--indices', type=int, nargs='+', help='these images, from 0')
    parser.add_argument(
        '-i', '--show-interval', type=float, default=3, help='seconds that a window stays'
    )
    parser.add_argument('--max-side', type=int, default=1600, help='of pictures, in pixels')
    parser.add_argument('--seed', type=int, default=0, help='of the augmentations')
    parser.add_argument(
        '--show-keys', action='store_true', help='print what each step leaves in the sample'
    )
    return parser.parse_args()


def main() -> None:
    """Draw, and write or show."""
    args = parse_args()
    from mmyolo_lite.apis import browse
    from mmyolo_lite.engine.config import load_config

    config = load_config(args.config, args.cfg_options, ('model', f'{args.phase}_dataloader'))
    options = browse.BrowseOptions(
        phase=args.phase,
        mode=args.mode,
        indices=args.indices,
        number=args.show_number,
        max_side=args.max_side,
        seed=args.seed,
        show_keys=args.show_keys,
    )
    total = len(args.indices) if args.indices else args.show_number
    drawn = browse.pictures(config, options)
    browse.deliver(drawn, args.out_dir, args.not_show, args.show_interval, total)


if __name__ == '__main__':
    run_cli(main)
