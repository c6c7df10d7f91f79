"""Convert COCO files to a YOLO data set."""

import argparse

from mmyolo_lite.apis.cli import add_report_arguments, print_reports, run_cli
from mmyolo_lite.datasets.converters.to_yolo import ToYoloOptions, convert_to_yolo


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write labels/<split>/*.txt, classes.txt, data.yaml and, with --img-dir, the '
        'images. Labels are polygons, or boxes with --boxes. Crowd regions are left out.'
    )
    parser.add_argument('json', nargs='+', help='COCO files with the same categories')
    parser.add_argument('--out-dir', required=True, help='folder of the data set')
    parser.add_argument(
        '--img-dir',
        nargs='+',
        default=[],
        help='folder of the images of each file, or one for all (default: no images)',
    )
    parser.add_argument(
        '--splits',
        nargs='+',
        help='name of the split of each file (default: train, val or test, as the file is named)',
    )
    parser.add_argument(
        '--boxes', action='store_true', help='write boxes, for detection, not polygons'
    )
    parser.add_argument(
        '--images',
        choices=['link', 'copy', 'list'],
        default='link',
        help='link or copy images to images/<split>, or write their paths to <split>.txt',
    )
    add_report_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Convert and print what was kept and what was left out."""
    args = parse_args()
    options = ToYoloOptions(
        boxes=args.boxes, images=args.images, strict=args.strict, skip_errors=args.skip_errors
    )
    reports = convert_to_yolo(
        args.json, args.out_dir, args.img_dir, args.splits, options, overwrite=args.overwrite
    )
    print_reports(reports)


if __name__ == '__main__':
    run_cli(main)
