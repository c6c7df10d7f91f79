"""Convert a folder of labelme files to COCO."""

import argparse

from mmyolo_lite.apis.cli import add_report_arguments, print_reports, run_cli
from mmyolo_lite.datasets.converters.labelme import LabelmeOptions, convert_labelme


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write one COCO file for the images of a folder that have a labelme file. '
        'Polygons, rectangles, circles and masks become objects; shapes of the same label and '
        'group id are one object of several parts.'
    )
    parser.add_argument('--img-dir', required=True, help='folder of the images')
    parser.add_argument(
        '--labels-dir', required=True, help='folder of the label files; may be the same'
    )
    parser.add_argument('--out', required=True, help='the COCO file, *.json')
    parser.add_argument(
        '--class-id-txt',
        help='classes, "id name" a line (default: numbered from 1 as they appear, and written to '
        'class_with_id.txt beside the output)',
    )
    parser.add_argument('--recursive', action='store_true', help='look into sub-folders')
    parser.add_argument(
        '--keep-empty',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='keep images whose label file has no object as background',
    )
    add_report_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Convert and print what was kept and what was left out."""
    args = parse_args()
    options = LabelmeOptions(
        recursive=args.recursive,
        keep_empty=args.keep_empty,
        strict=args.strict,
        skip_errors=args.skip_errors,
    )
    report = convert_labelme(
        args.img_dir,
        args.labels_dir,
        args.out,
        args.class_id_txt,
        options,
        overwrite=args.overwrite,
    )
    print_reports({args.out: report})


if __name__ == '__main__':
    run_cli(main)
