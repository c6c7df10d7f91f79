"""Convert the balloon set, or any set of VIA polygons in the same layout, to COCO."""

import argparse

from mmyolo_lite.apis.cli import add_report_arguments, print_reports, run_cli
from mmyolo_lite.datasets.converters.via import ViaOptions, convert_via_splits


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write <out-dir>/<split>.json in COCO format for every VIA file '
        '<data-root>/<split>/<ann-name>. Without arguments: data/balloon/{train,val}.json.'
    )
    parser.add_argument(
        '--data-root', default='data/balloon', help='folder with one sub-folder per split'
    )
    parser.add_argument(
        '--splits', nargs='+', default=['train', 'val'], help='sub-folders to convert'
    )
    parser.add_argument(
        '--ann-name', default='via_region_data.json', help='VIA file in each sub-folder'
    )
    parser.add_argument('--out-dir', help='where the COCO files go (default: the data root)')
    parser.add_argument('--category', default='balloon', help='class of every object')
    parser.add_argument(
        '--class-attr', metavar='NAME', help='region attribute that holds the class instead'
    )
    parser.add_argument(
        '--area',
        choices=['polygon', 'bbox'],
        default='polygon',
        help='area of an object: that of its polygon, or width x height of its box, as MMYOLO has',
    )
    add_report_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Convert and print what was kept and what was left out."""
    args = parse_args()
    options = ViaOptions(
        category=args.category,
        class_attr=args.class_attr,
        area=args.area,
        strict=args.strict,
        skip_errors=args.skip_errors,
    )
    out_dir = args.out_dir or args.data_root
    reports = convert_via_splits(
        args.data_root, args.splits, args.ann_name, out_dir, options, overwrite=args.overwrite
    )
    print_reports({f'{out_dir}/{split}.json': report for split, report in reports.items()})


if __name__ == '__main__':
    run_cli(main)
