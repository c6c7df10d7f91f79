"""Split a COCO annotation file into train, val and test."""

import argparse

from mmyolo_lite.apis.cli import run_cli
from mmyolo_lite.datasets.converters.split import SplitOptions, split_coco


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--json', required=True, help='COCO annotation file')
    parser.add_argument('--out-dir', required=True, help='folder for the parts')
    parser.add_argument(
        '--ratios',
        nargs='+',
        type=float,
        default=[0.8, 0.1, 0.1],
        metavar='R',
        help='shares: two for trainval.json and test.json, three for train.json, val.json and '
        'test.json (default: 0.8 0.1 0.1)',
    )
    parser.add_argument(
        '--names', nargs='+', metavar='N', help='of the parts, such as train val for two'
    )
    parser.add_argument('--shuffle', action='store_true', help='in random order')
    parser.add_argument(
        '--seed', type=int, default=0, help='of the random order (default: 0; -1: any)'
    )
    parser.add_argument(
        '--stratify', action='store_true', help='share out the objects of every class alike'
    )
    parser.add_argument(
        '--group-by',
        metavar='REGEX',
        help='keep images together whose file names agree in the first group of this expression, '
        r"such as '^(.*)_\d+\.jpg$' for the frames of a film",
    )
    parser.add_argument('--strict', action='store_true', help='refuse a file with any error')
    parser.add_argument('--overwrite', action='store_true', help='replace existing output')
    return parser.parse_args()


def main() -> None:
    """Split, and print what each part has."""
    args = parse_args()
    options = SplitOptions(
        ratios=args.ratios,
        shuffle=args.shuffle,
        seed=args.seed,
        stratify=args.stratify,
        group_by=args.group_by,
        strict=args.strict,
        names=args.names,
    )
    print('\n'.join(split_coco(args.json, args.out_dir, options, overwrite=args.overwrite)))


if __name__ == '__main__':
    run_cli(main)
