"""Convert a YOLO data set, boxes or polygons, to COCO."""

import argparse

from mmyolo_lite.apis.cli import add_report_arguments, print_reports, run_cli
from mmyolo_lite.datasets.converters.yolo import YoloOptions, convert_yolo


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write annotations/{train,val,test}.json for the splits of a YOLO data set, '
        'or annotations/result.json if it has none. Splits come from train.txt, val.txt and '
        'test.txt, else from data.yaml, else from sub-folders of images/. Use the images with '
        "data_prefix=dict(img='images/')."
    )
    parser.add_argument('image_dir', help='folder with images/, labels/ and classes.txt')
    parser.add_argument('--out-dir', help='where the COCO files go (default: annotations/ there)')
    parser.add_argument(
        '--names', metavar='FILE', help='classes: one a line, or a data.yaml with the key "names"'
    )
    parser.add_argument(
        '--task',
        choices=['auto', 'det', 'seg'],
        default='auto',
        help='what lines may be: boxes and polygons, boxes only, polygons only',
    )
    parser.add_argument(
        '--no-box-polygon',
        action='store_true',
        help='do not write the box of an object without polygon as its segmentation',
    )
    parser.add_argument(
        '--rest', metavar='NAME', help='write images that no split names to NAME.json'
    )
    add_report_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Convert and print what was kept and what was left out."""
    args = parse_args()
    options = YoloOptions(
        task=args.task,
        box_polygon=not args.no_box_polygon,
        rest=args.rest,
        strict=args.strict,
        skip_errors=args.skip_errors,
    )
    reports = convert_yolo(
        args.image_dir, args.out_dir, args.names, options, overwrite=args.overwrite
    )
    print_reports(reports)


if __name__ == '__main__':
    run_cli(main)
