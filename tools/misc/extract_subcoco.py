"""Take a small set out of COCO, or of any set in COCO format, images included."""

import argparse

from mmyolo_lite.apis.cli import run_cli
from mmyolo_lite.datasets.converters.subset import (
    AREAS,
    SubsetOptions,
    extract_subcoco,
    sources_of,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', help='folder with annotations/, train2017/ and val2017/')
    parser.add_argument('out_dir', help='new folder, of the same layout')
    parser.add_argument(
        '--num-img', type=int, default=50, help='images of each part; 0 or -1: all (default: 50)'
    )
    parser.add_argument(
        '--area-size', choices=list(AREAS), help='only annotations under 32², 96² or above'
    )
    parser.add_argument('--classes', nargs='+', default=[], help='only these classes')
    parser.add_argument(
        '--use-training-set',
        action='store_true',
        help='take the training part from the training set, not from validation too',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the choice (default: 0; -1: any)')
    for split in ('train', 'val'):
        parser.add_argument(f'--{split}-json', help=f'annotation file of {split}, if not COCO 2017')
        parser.add_argument(f'--{split}-img', help=f'folder of the images of {split}')
    parser.add_argument(
        '--keep-empty', type=int, default=0, metavar='N', help='add N images without objects'
    )
    parser.add_argument('--link', action='store_true', help='link images in place of copies')
    parser.add_argument(
        '--categories-used-only', action='store_true', help='leave out categories without objects'
    )
    parser.add_argument('--strict', action='store_true', help='refuse files with any error')
    parser.add_argument('--overwrite', action='store_true', help='replace existing output')
    return parser.parse_args()


def main() -> None:
    """Extract, and print what each part has."""
    args = vars(parse_args())
    paths = {name: args.pop(name) for name in ('train_json', 'val_json', 'train_img', 'val_img')}
    sources = sources_of(args.pop('root'), **paths)
    out_dir, overwrite = args.pop('out_dir'), args.pop('overwrite')
    lines = extract_subcoco(sources, out_dir, SubsetOptions(**args), overwrite=overwrite)
    print('\n'.join(lines))


if __name__ == '__main__':
    run_cli(main)
