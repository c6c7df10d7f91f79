"""Write the embedded sample set: painted balloon photos with exact polygons, in the balloon set's
layout.
"""

import argparse

from mmyolo_lite.apis.cli import run_cli
from mmyolo_lite.datasets.sample import make_sample_dataset


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        '--out-dir', default='data/sample_balloon', help='target folder, gets train/ and val/'
    )
    parser.add_argument('--train', type=int, default=80, help='number of training pictures')
    parser.add_argument('--val', type=int, default=20, help='number of held-out pictures')
    parser.add_argument('--size', type=int, default=480, help='longer side of a picture in pixels')
    parser.add_argument('--seed', type=int, default=0, help='the same seed writes the same bytes')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier sample set')
    return parser.parse_args()


def main() -> None:
    """Make the set and print what to do with it."""
    args = parse_args()
    counts = make_sample_dataset(
        args.out_dir, args.train, args.val, args.size, args.seed, overwrite=args.overwrite
    )
    for split, (pictures, balloons) in counts.items():
        print(f'{args.out_dir}/{split}: {pictures} pictures, {balloons} balloons')
    print(f'next: python tools/dataset_converters/balloon2coco.py --data-root {args.out_dir}')


if __name__ == '__main__':
    run_cli(main)
