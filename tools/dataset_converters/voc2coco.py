"""Convert a Pascal VOC data set to COCO."""

import argparse

from mmyolo_lite.apis.cli import add_report_arguments, print_reports, run_cli
from mmyolo_lite.datasets.converters.voc import VocOptions, convert_voc


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write coco/<split>.json for the lists of ImageSets/Main, or coco/result.json '
        'for all XML files of a folder without lists. Masks come from SegmentationObject and '
        'from polygon elements.'
    )
    parser.add_argument('root', help='VOCdevkit/VOC2007, or a folder of XML files and images')
    parser.add_argument('--out-dir', help='where the COCO files go (default: coco/ in the root)')
    parser.add_argument('--ann-dir', help='folder of the XML files, if not Annotations/')
    parser.add_argument('--img-dir', help='folder of the images, if not JPEGImages/')
    parser.add_argument('--splits', nargs='+', help='lists to convert (default: all there are)')
    parser.add_argument('--classes', metavar='FILE', help='classes in their order, one a line')
    parser.add_argument(
        '--zero-based',
        action='store_true',
        help='boxes are coordinates from 0, not pixel numbers from 1 with both ends inside',
    )
    parser.add_argument(
        '--difficult',
        choices=['keep', 'ignore', 'skip'],
        default='keep',
        help="difficult objects: keep as any other, ignore (iscrowd=1: what mmdet's VOC dataset "
        'does), or leave out',
    )
    parser.add_argument('--no-masks', action='store_true', help='read boxes only')
    parser.add_argument(
        '--no-box-polygon',
        action='store_true',
        help='do not write the box of an object without outline as its segmentation',
    )
    add_report_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Convert and print what was kept and what was left out."""
    args = parse_args()
    options = VocOptions(
        zero_based=args.zero_based,
        difficult=args.difficult,
        masks=not args.no_masks,
        box_polygon=not args.no_box_polygon,
        strict=args.strict,
        skip_errors=args.skip_errors,
    )
    reports = convert_voc(
        args.root,
        args.out_dir,
        args.classes,
        options,
        splits=args.splits,
        annotation_dir=args.ann_dir,
        image_dir=args.img_dir,
        overwrite=args.overwrite,
    )
    print_reports(reports)


if __name__ == '__main__':
    run_cli(main)
