"""Draw the annotations of a COCO json on its images; no config is needed."""

import argparse
from itertools import islice
from pathlib import Path

from mmyolo_lite.apis.choices import DEFAULT_OUT_DIR
from mmyolo_lite.apis.cli import run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data-root', type=Path, default=Path(), help='where both paths start')
    parser.add_argument('--img-dir', type=Path, default=Path('data/coco/train2017'))
    parser.add_argument(
        '--ann-file', type=Path, default=Path('data/coco/annotations/instances_train2017.json')
    )
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that a window stays')
    parser.add_argument(
        '--disp-all', action='store_true', help='draw masks and outlines, not boxes alone'
    )
    parser.add_argument(
        '--category-names', nargs='+', default=[], metavar='NAME', help='these classes alone'
    )
    parser.add_argument('--shuffle', action='store_true', help='in random order')
    parser.add_argument('--seed', type=int, default=0, help='of that order')
    parser.add_argument('-n', '--show-number', type=int, help='at most so many (default: all)')
    parser.add_argument(
        '--out-dir', type=Path, help=f'default: {DEFAULT_OUT_DIR}, where no window can open'
    )
    parser.add_argument('--not-show', action='store_true', help='open no window')
    parser.add_argument('--max-side', type=int, default=1600, help='of pictures, in pixels')
    return parser.parse_args()


def main() -> None:
    """Draw, and write or show."""
    args = parse_args()
    from mmyolo_lite.apis import browse

    options = browse.JsonOptions(
        masks=args.disp_all,
        category_names=args.category_names,
        shuffle=args.shuffle,
        seed=args.seed,
        max_side=args.max_side,
    )
    drawn = browse.pictures_of_json(
        args.data_root / args.ann_file, args.data_root / args.img_dir, options
    )
    chosen = islice(drawn, args.show_number and max(args.show_number, 0))
    browse.deliver(chosen, args.out_dir, args.not_show, args.wait_time, args.show_number)


if __name__ == '__main__':
    run_cli(main)
