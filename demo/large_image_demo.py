"""Predict large images tile by tile, so that small objects stay large enough to be found."""

import argparse

from mmyolo_lite import startup
from mmyolo_lite.apis import predict_cli
from mmyolo_lite.apis.cli import parse_with_checkpoint, run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('img', help='image, folder (with its sub-folders), pattern, or URL')
    predict_cli.add_model_arguments(parser)
    predict_cli.add_result_arguments(parser)
    parser.add_argument(
        '--patch-size', type=int, default=640, help='side of a tile in pixels (default: 640)'
    )
    parser.add_argument(
        '--patch-overlap-ratio',
        type=float,
        default=0.25,
        help='part of a side that neighbouring tiles share (default: 0.25)',
    )
    parser.add_argument(
        '--merge-iou-thr',
        type=float,
        default=0.25,
        help='from which agreement on detections of two tiles are one object (default: 0.25)',
    )
    parser.add_argument(
        '--merge-nms-type',
        choices=['union', 'nms'],
        default='union',
        help='union: one object of both, with the union of their masks (default); nms: the better '
        'one alone',
    )
    parser.add_argument(
        '--debug', action='store_true', help='write a picture of each tile to <stem>_tiles too'
    )
    return parse_with_checkpoint(parser)


def main() -> None:
    """Predict as the command line says."""
    args = parse_args()
    startup.pause_collection()
    from mmyolo_lite.apis import predict_files
    from mmyolo_lite.apis.tiles import TileSettings

    settings = TileSettings(
        args.patch_size, args.patch_overlap_ratio, args.merge_nms_type, args.merge_iou_thr
    )
    results = predict_cli.make_results(args)
    images = predict_files.images_of(args.img, results.out_dir)
    results.check(images)
    predictor = predict_cli.make_predictor(args)
    predict_files.predict_large_images(images, predictor, settings, results, args.debug)


if __name__ == '__main__':
    run_cli(main)
