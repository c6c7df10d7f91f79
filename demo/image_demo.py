"""Predict images: pictures with the objects, labelme files, a COCO data set."""

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
    return parse_with_checkpoint(parser)


def main() -> None:
    """Predict as the command line says."""
    args = parse_args()
    startup.pause_collection()
    from mmyolo_lite.apis import predict_files

    results = predict_cli.make_results(args)
    images = predict_files.images_of(args.img, results.out_dir)
    results.check(images)
    predictor = predict_cli.make_predictor(args, keep_images=results.draw or results.show)
    predict_files.predict_images(images, predictor, results)


if __name__ == '__main__':
    run_cli(main)
